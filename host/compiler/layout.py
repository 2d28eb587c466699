"""Where everything lies in the accelerator's memory: regions in linear word space, in the order of reading."""

from dataclasses import dataclass, field

from rtlm.host.compiler.header import HEADER_WORDS
from rtlm.host.errors import ModelError
from rtlm.host.model import LlamaModel
from rtlm.hw.formats import BLOCK, BlockFormat, find_group_shift
from rtlm.hw.params import AcceleratorParams

F32_BYTES = 4

BEAT_ADDRESS_BITS = 32
"""Width of beat addresses in instructions and registers."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A run of words.

    Parameters
    ----------
    name
        Unique name, for example ``layer3.wo``.
    purpose
        What its bytes count as in a report.
    start, words
        First word and length.
    group_shift
        log2 of the blocks that share a scale, for a matrix.
    """

    name: str
    purpose: str
    start: int
    words: int
    group_shift: int = 0


@dataclass(kw_only=True)
class MemoryMap:
    """The regions of one model on one accelerator.

    Parameters
    ----------
    params
        The accelerator.
    regions
        By name, in the order of their addresses.
    """

    params: AcceleratorParams
    regions: dict[str, Region] = field(default_factory=dict)

    @property
    def words(self) -> int:
        """Words in all."""
        return sum(region.words for region in self.regions.values())

    @property
    def beats(self) -> int:
        """Beats in all: the limit register."""
        return self.words * self.params.beats_per_word

    def add(self, name: str, purpose: str, words: int, group_shift: int = 0) -> Region:
        """Append a region."""
        region = Region(name=name, purpose=purpose, start=self.words, words=words, group_shift=group_shift)
        self.regions[name] = region
        return region

    def add_bytes(self, name: str, purpose: str, size: int) -> Region:
        """Append a region of whole words that holds `size` bytes."""
        return self.add(name, purpose, -(-size // self.params.word_bytes))

    def address(self, name: str) -> int:
        """Give the first beat of a region."""
        return self.regions[name].start * self.params.beats_per_word


PURPOSES = ("program", "weights", "embedding", "norms", "rope", "kv", "logits")
"""What bytes are counted as."""


def embedding_row_words(params: AcceleratorParams, dim: int) -> int:
    """Words of an embedding row: its fp16 scales, then its int8 values, each from a word's start."""
    return -(-2 * (dim // BLOCK) // params.word_bytes) + -(-dim // params.word_bytes)


def output_rows(params: AcceleratorParams, vocab: int) -> int:
    """Return the rows of the output matrix in memory: the vocabulary, filled up to a multiple of the vector lanes.

    The rows behind the vocabulary repeat that of the last token. Their logits equal its logit, and among equals the
    arg-max takes the lowest index, so none of them wins; the driver leaves them out of what it reads back.
    """
    return -(-vocab // params.vector_lanes) * params.vector_lanes


def check_fit(params: AcceleratorParams, model: LlamaModel) -> None:
    """Refuse a model that is too large for the accelerator.

    Raises
    ------
    ModelError
        Naming the first size that does not fit.
    """
    group = model.heads // model.kv_heads
    for what, value, limit in (
        ("dim", model.dim, params.dim),
        ("hidden_dim", model.hidden_dim, params.hidden_dim),
        ("number of query heads", model.heads, params.heads),
        ("number of KV heads", model.kv_heads, params.kv_heads),
        ("number of query heads for each KV head", group, params.group),
        ("vocabulary", model.vocab, params.vocabulary),
    ):
        if value > limit:
            raise ModelError(f"the model's {what} is {value}, but configuration {params.name} allows at most {limit}")
    if model.head_dim != params.head_dim:
        raise ModelError(
            f"the model's heads are {model.head_dim} wide, but configuration {params.name} is for {params.head_dim}"
        )


MATRICES = {
    "wq": "attn_q",
    "wk": "attn_k",
    "wv": "attn_v",
    "wo": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def stored_format(model: LlamaModel, name: str, layer: int | None) -> BlockFormat:
    """Give the block format of a matrix in memory: its own, or Q8_0 for float matrices."""
    kind = model.matrix(name, layer).type.name
    return BlockFormat[kind] if kind in BlockFormat.__members__ else BlockFormat.Q8_0


def stored_group_shift(model: LlamaModel, name: str, layer: int | None) -> int:
    """Give log2 of the blocks of a matrix that share a scale in memory.

    Where neighbouring blocks have the same scale (and minimum) throughout, as in weights that were quantised in groups
    of 64, 128 or 256 (AWQ, GPTQ), one for each group is stored.
    """
    tensor = model.matrix(name, layer)
    if tensor.type.name not in BlockFormat.__members__:
        return 0
    format = BlockFormat[tensor.type.name]
    blocks = tensor.data.reshape(tensor.shape[0], -1, format.block_bytes)
    return find_group_shift(blocks[..., : format.scale_bytes])


def layer_formats(model: LlamaModel, layer: int) -> dict[str, BlockFormat]:
    """Give the formats of a layer's matrices; gate and up, whose rows alternate in memory, must agree."""
    formats = {short: stored_format(model, long, layer) for short, long in MATRICES.items()}
    if formats["gate"] != formats["up"]:
        raise ModelError(
            f"layer {layer} has ffn_gate in {formats['gate'].name} and ffn_up in {formats['up'].name}; "
            "they are stored row by row together and must have one format"
        )
    return formats


def memory_map(params: AcceleratorParams, model: LlamaModel, *, instructions: int, context: int) -> MemoryMap:
    """Lay a model out.

    Parameters
    ----------
    params
        The accelerator.
    model
        The model.
    instructions
        Length of the program.
    context
        Positions for which RoPE tables are stored, at most the accelerator's limit.

    Raises
    ------
    ModelError
        If the model does not fit the accelerator or its address space.
    """
    check_fit(params, model)
    if not 1 <= context <= params.context_limit:
        raise ModelError(
            f"a context of {context} positions is not possible: "
            f"configuration {params.name} allows 1 to {params.context_limit}"
        )
    memory = MemoryMap(params=params)
    tile = params.tile_shape

    def matrix(name: str, format: BlockFormat, rows: int, columns: int, group_shift: int) -> None:
        memory.add(name, "weights", tile.words(format, rows, columns // BLOCK, group_shift), group_shift)

    attention, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    memory.add("header", "program", HEADER_WORDS)
    memory.add_bytes("program", "program", 32 * instructions)
    memory.add("embedding", "embedding", embedding_row_words(params, model.dim) * model.vocab)
    rope_row = -(-F32_BYTES * model.head_dim // params.word_bytes)
    memory.add("rope", "rope", rope_row * context)
    memory.add_bytes("layer0.attn_norm", "norms", F32_BYTES * model.dim)
    for i in range(model.layers):
        formats = layer_formats(model, i)
        groups = {short: stored_group_shift(model, long, i) for short, long in MATRICES.items()}
        matrix(f"layer{i}.wq", formats["wq"], attention, model.dim, groups["wq"])
        matrix(f"layer{i}.wk", formats["wk"], keys, model.dim, groups["wk"])
        matrix(f"layer{i}.wv", formats["wv"], keys, model.dim, groups["wv"])
        memory.add_bytes(f"layer{i}.ffn_norm", "norms", F32_BYTES * model.dim)
        matrix(f"layer{i}.wo", formats["wo"], model.dim, attention, groups["wo"])
        both = min(groups["gate"], groups["up"])
        matrix(f"layer{i}.gate_up", formats["gate"], 2 * model.hidden_dim, model.dim, both)
        following = f"layer{i + 1}.attn_norm" if i + 1 < model.layers else "output_norm"
        memory.add_bytes(following, "norms", F32_BYTES * model.dim)
        matrix(f"layer{i}.down", formats["down"], model.dim, model.hidden_dim, groups["down"])
    output_groups = stored_group_shift(model, "output", None)
    rows = output_rows(params, model.vocab)
    matrix("output", stored_format(model, "output", None), rows, model.dim, output_groups)
    for slot in range(params.columns):
        memory.add(f"kv{slot}", "kv", model.layers * model.kv_heads * params.kv_head_words)
    memory.add("logits", "logits", params.columns * -(-F32_BYTES * model.vocab // params.word_bytes))
    _check_address_space(memory)
    return memory


def _check_address_space(memory: MemoryMap) -> None:
    """Refuse a map that ports cannot address, or instructions cannot name; the sentence shows the sum."""
    params = memory.params
    kv = sum(region.words for region in memory.regions.values() if region.purpose == "kv")
    total, kv_bytes = memory.words * params.word_bytes, kv * params.word_bytes
    for what, limit in (
        (f"{params.address_bits} address bits reach", 1 << params.address_bits),
        (
            f"{BEAT_ADDRESS_BITS} bits count in beats of {params.beat_bytes} bytes",
            params.beat_bytes << BEAT_ADDRESS_BITS,
        ),
    ):
        if total > limit:
            raise ModelError(
                f"the memory image takes {total - kv_bytes} bytes and {params.columns} KV slots of "
                f"{params.context_limit} positions take {kv_bytes}, in all {total} bytes, but in configuration "
                f"{params.name} {what} {limit}"
            )
