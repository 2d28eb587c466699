"""The page that says what lies where in the accelerator's memory, for one configuration or for all."""

from dataclasses import fields

from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.header import HEADER_BYTES, MAGIC, VERSION, ImageHeader
from rtlm.host.compiler.image_manifest import IMAGE, MANIFEST, PROGRAM, described
from rtlm.host.compiler.layout import MemoryMap, memory_map
from rtlm.host.compiler.plan import make_plan
from rtlm.host.errors import ModelError
from rtlm.host.models.stored import ModelShape, Storage
from rtlm.hw.common.kv_codes import MAGNITUDES
from rtlm.hw.common.layouts import STORED_BITS
from rtlm.hw.common.markdown import table, wrapped
from rtlm.hw.formats import BLOCK, BlockFormat, Factors, TileShape
from rtlm.hw.formats.tiles import QUARTERS
from rtlm.hw.params import AcceleratorParams

EXAMPLE_LAYERS = 2
EXAMPLE_EPSILON = 1e-5


def memory_page(config: Configuration) -> str:
    """Describe the memory of a configuration.

    Parameters
    ----------
    config
        The configuration; sizes in the page are its.
    """
    params = config.to_params()
    parts = (
        _head(config, params),
        _header(),
        _tiles(params),
        _vectors(params),
        _kv(params),
        _regions(params),
        _striping(config),
        _folder(),
    )
    return wrapped("\n".join(parts))


def _head(config: Configuration, params: AcceleratorParams) -> str:
    return (
        "# Memory image\n\n"
        f"Sizes are those of configuration `{config.name}`. All numbers are little-endian. Memory is a sequence of "
        f"words of {params.word_bytes} bytes, each {params.beats_per_word} "
        f"beat{'s' if params.beats_per_word > 1 else ''} of {params.beat_bytes} bytes. Registers and instructions "
        "address beats. The image holds everything up to the KV cache; KV cache and result buffer follow it and start "
        "as zeros.\n"
    )


def _header() -> str:
    """Describe the header; places are found in a packed one, so that they are those that the packer writes."""
    names = [field.name for field in fields(ImageHeader)]
    marks = {name: 0xA0 + number for number, name in enumerate(names)}
    raw = ImageHeader(**marks).pack().tobytes()
    starts = [(0, "magic", repr(MAGIC.decode())[1:-1]), (len(MAGIC), "version", str(VERSION))]
    starts += [(raw.index(mark), name, "") for name, mark in marks.items()]
    ends = [start for start, _, _ in starts[1:]] + [HEADER_BYTES - 4]
    rows = [(start, end - start, f"`{name}`", value) for (start, name, value), end in zip(starts, ends, strict=True)]
    rows.append((HEADER_BYTES - 4, 4, "`checksum`", "CRC-32 (zlib) of the bytes before it"))
    return (
        "## Header\n\nThe first words; numbers are unsigned.\n\n"
        f"{table(('byte', 'bytes', 'field', 'value'), rows)}\n"
        "`words` counts all memory that is used, KV cache and result buffer included; `content_words` the image.\n"
    )


_FACTORS = {
    Factors.NONE: "none",
    Factors.SCALE_AND_MINIMUM: "6 bits each for scale and minimum, 4 of `d, m`",
    Factors.HALVES: "int8 for each 16 weights",
    Factors.SHORT_HALVES: "6 bits for each 16 weights, 4 of `d` twice",
    Factors.HALVES_WITH_MINIMA: "4 bits each for scale and minimum of each 16 weights",
}
"""What a factor word has for each row and tile."""


def _tiles(params: AcceleratorParams) -> str:
    tile = params.tile_shape
    rows = [
        (
            format.name,
            format.bits,
            tile.group_rows(format),
            tile.tiles_per_scale_word(format) or "none",
            f"`d{', m' if format.has_minimum else ''}`",
            _FACTORS[format.factors],
            QUARTERS // format.upper_bits if format.upper_bits else "none",
            f"{format.block_bytes * 8 / format.block_weights:.4f}",
            f"{tile.words(format, 1024, 1024 // BLOCK) * tile.word_bytes * 8 / 1024**2:.4f}",
            f"{1e6 * tile.words(format, 1024, 1024 // BLOCK) / 1024**2:,.0f}",
            f"{1e6 * _cycles(tile, format, 1024, 1024 // BLOCK) / 1024**2:,.0f}",
        )
        for format in BlockFormat
    ]
    head = (
        *("format", "bits", "rows of a tile", "tiles for a scale word", "scales"),
        *("factors in a word for 8 tiles", "tiles for a plane word", "bits a weight in the file"),
        *("in memory, 1024 x 1024", "words for 10^6 weights", "cycles"),
    )
    return (
        "## Matrices\n\n"
        f"A matrix is cut into tiles of some rows x one block of {BLOCK} inputs; a tile is a word of "
        f"{tile.rows} nibble rows x {BLOCK} nibbles. Byte `16·r + i` of a word holds inputs `2i` (low nibble) and `2i "
        "+ 1` (high nibble) of nibble row `r`. In a 4-bit format nibble row `r` is matrix row `r` of the tile; in an "
        "8-bit format nibble rows `2r` and `2r + 1` are the low and the high nibbles of matrix row `r`. In a format of "
        "2 or 3 bits a word is two tiles: of each nibble the lower 2 bits are of the first, the upper 2 of the second. "
        "Codes are unsigned (docs/numerics.md); rows that pad the last tile have weight 0.\n\n"
        "Tiles follow each other row group by row group, in a row group block by block. Before each run of tiles "
        "(fewer at the end) lies a scale word: for each tile of the run, for each of its rows, the fp16 scale `d`, "
        "then the minimum `m` where the format has one. Scales shared by 2, 4 or 8 blocks (`group_shift` 1 to 3) stand "
        "once for each such group of tiles, so that a scale word serves as many times more tiles.\n\n"
        "Formats with super-blocks of 8 blocks have a factor word before each run of 8 tiles: for each row 8 lanes of "
        "16 bits, one for each tile. In Q4_K and Q5_K a lane has the 6 bits of the block's scale, then the 6 bits of "
        "its minimum, then 4 of the 32 bits of the super-block's own `d` and `m`, the lowest in the first lane; there "
        "is no scale word. In Q6_K it has an int8 for the first and one for the last 16 weights; in Q3_K 6 bits for "
        "each, then 4 bits of `d`, which the 8 lanes have twice; in Q2_K 4 bits each for both scales, then for both "
        "minima. Formats of 3, 5 and 6 bits have a plane word before each run of 4, 4 and 2 tiles, with the bits above "
        "those in nibbles: a quarter of the word has a bit for each weight of a tile, row by row. With 6 bits the "
        "first two quarters are the fifth bits of both tiles, the last two the sixth. Where words of several kinds "
        "stand together, scales come first and planes last.\n\n"
        f"{table(head, rows)}\n"
        "A large matrix takes the bytes that it has in the file, but for two formats: Q3_K takes 1.8 % more, because "
        "scales of 12 bits lie in lanes of 16, and TQ1_0, whose digits of base 3 the host takes apart, has the words "
        "of TQ2_0.\n\n"
        f"An array that takes a word a cycle ({tile.rows * BLOCK} lanes here) takes each word of the table's last "
        "column but one in a cycle, or in two if it is two tiles: the last column. So every format of 4 bits and more "
        "is read at the full rate of the memory; those of 2 and 3 bits save bytes, not cycles.\n\n"
        "Rows of gate and up alternate in one matrix: gate 0, up 0, gate 1, up 1 ... Where the vector lanes do not "
        "divide the vocabulary, the output matrix repeats its last row until they do: such rows never win the "
        "arg-max.\n"
    )


def _cycles(tile: TileShape, format: BlockFormat, rows: int, k_blocks: int) -> int:
    """Return the cycles of an array that takes a tile in each, and another word in each."""
    tiles = rows // tile.group_rows(format) * k_blocks
    return tile.words(format, rows, k_blocks) + tiles - tiles // format.tiles_per_word


def _vectors(params: AcceleratorParams) -> str:
    rope_words = -(-4 * params.head_dim // params.word_bytes)
    return (
        "## Other tables\n\n"
        "* Norm weights: float32, padded to whole words.\n"
        f"* Embedding: a row for each token; the fp16 scales of its blocks of {BLOCK} from a word's start, then its "
        "int8 values from a word's start.\n"
        f"* RoPE: for each position {rope_words} word{'s' if rope_words > 1 else ''}: cosine and sine (float32) of "
        "pair 0, of pair 1, and so on. A model of which some layers have no RoPE has a region `no_rope` beside the "
        "region `rope`, one entry with cosines 1 and sines 0; one with windows has a region `window_rope`, the table "
        "of layers that have one. Where layers with different tables follow each other, the program loads the other.\n"
        "* Program: instructions of 32 bytes, padded with zeros to whole words.\n"
        "* Logits: for each column a float32 for each token, from a word's start; what follows to the word's end is "
        "undefined.\n"
    )


def _kv(params: AcceleratorParams) -> str:
    magnitudes = ", ".join(map(str, MAGNITUDES))
    content = f"for each position {params.head_dim} int8"
    if params.kv_bits < STORED_BITS:
        content = f"for each position {params.head_dim} codes of {params.kv_bits} bits, the first one lowest"
    rows = (
        ("scales", params.kv.scale_words, "for each position BF16 of the key, BF16 of the value"),
        ("keys", params.kv.row_words, content),
        ("values", params.kv.row_words, content),
    )
    return (
        "## KV cache\n\n"
        "A slot holds one sequence: layer by layer, in a layer KV head by KV head, for each head three regions of "
        f"whole words for {params.context_limit} positions ({params.kv.head_words} words in all):\n\n"
        f"{table(('region', 'words', 'content'), rows)}"
        "\nWith `attention.kv_bits` 4 a key or value is half as long: codes of 4 bits, the first one in the low nibble "
        "of the first byte. Their lower 3 bits stand "
        f"for {magnitudes}; where the upper one is set, for less than zero.\n"
    )


def _regions(params: AcceleratorParams) -> str:
    memory, example = largest_map(params)
    rows = ((f"`{r.name}`", r.purpose, r.start, r.words) for r in memory.regions.values())
    return (
        "## Regions\n\n"
        "Regions lie in the order in which a step reads them. As an example, the largest model of this configuration "
        f"with {EXAMPLE_LAYERS} layers in {example.name} and {params.context_limit} positions:\n\n"
        f"{table(('region', 'counts as', 'first word', 'words'), rows)}\n"
        f"In all {memory.words} words, {memory.words * params.word_bytes} bytes; the register `LIMIT` is "
        f"{memory.beats}.\n"
    )


def largest_map(params: AcceleratorParams) -> tuple[MemoryMap, BlockFormat]:
    """Lay the largest model of a configuration out, with two layers; return the widest format that ports reach, too."""
    try:
        return _map(params, BlockFormat.Q8_0), BlockFormat.Q8_0
    except ModelError:
        return _map(params, BlockFormat.Q4_0), BlockFormat.Q4_0


def _map(params: AcceleratorParams, example: BlockFormat) -> MemoryMap:
    storage = Storage(format=example)
    shape = ModelShape.uniform(
        layers=EXAMPLE_LAYERS,
        storage=storage,
        output_storage=storage,
        dim=params.dim,
        hidden_dim=params.hidden_dim,
        heads=params.heads,
        kv_heads=-(-params.heads // params.group),
        head_dim=params.head_dim,
        vocab=params.vocabulary,
        rms_eps=EXAMPLE_EPSILON,
    )
    return memory_map(make_plan(params, shape, context=params.context_limit))


def _striping(config: Configuration) -> str:
    ports, width, burst = config.memory.ports, config.memory.port_bits // 8, config.burst_beats
    return (
        "## Ports\n\n"
        f"{ports} port{'s' if ports > 1 else ''} of {width} bytes. Beat `n` lies, for port `p`, at byte address\n\n"
        f"    (n div {burst}) · {ports * burst * width} + p · {burst * width} + (n mod {burst}) · {width}\n\n"
        f"so that each port reads linear bursts of {burst} beats ({burst * width} bytes, never across 4 KiB), and "
        f"{ports} neighbouring chunks make a stripe. `rtlm.hw.memory.Striping.scatter` puts a linear image in this "
        "order.\n"
    )


def _folder() -> str:
    rows = ((f"`{key}`", text) for key, text in described())
    return (
        "## Files of `rtlm image`\n\n"
        "`rtlm image MODEL.gguf --config CONFIG -o DIR` writes what a board is loaded with, region by region with "
        "bounded memory, into a folder that appears when all of it is there:\n\n"
        f"* `{IMAGE}`: the memory from byte address 0 on, in the order of byte addresses (above, Ports), filled up "
        "with zeros to a whole stripe. KV cache and result buffer are left out: a loader writes "
        "`memory.zero_bytes` zeros behind the file. The accelerator's byte addresses begin at 0; where the buffer "
        "begins elsewhere in the board's memory, the interconnect adds its address.\n"
        f"* `{PROGRAM}`: the program alone, the same bytes as in the image in linear order.\n"
        f"* `{MANIFEST}`: what both are, for drivers and for `rtlm image check DIR`.\n\n"
        "`rtlm image check DIR` reads everything again and names the first difference: lengths, magic, version and "
        "checksum of the header, the configuration's hash, the CRC of each region, the hash of each file; with "
        "`--config` and `--model` also whether the image is for that accelerator and of that model. The exit code is "
        "1 where something differs, 2 where the folder cannot be read as an image's.\n\n"
        f"{table(('key of the manifest', 'meaning'), rows)}"
    )
