import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from rtlm.hw.formats import BLOCK, DEFAULT_FORMATS, BlockFormat, Blocks, Factors, TileShape, pack_tiles, unpack_tiles
from rtlm.hw.formats.blocks import DESCRIPTIONS
from rtlm.hw.matmul.model import accumulate

FORMATS = list(BlockFormat)
GROUPED = [format for format in FORMATS if not format.group_shift]


def random_matrix(rng, format, rows, k_blocks):
    """A matrix of random bytes, but for its fp16: of `k_blocks` blocks of 32, or as many super-blocks."""
    k_blocks <<= format.group_shift
    raw = rng.integers(0, 256, (rows, k_blocks * BLOCK // format.block_weights, format.block_bytes), dtype=np.uint8)
    for at in format.description.scales_at:
        raw[..., at : at + 2] = rng.normal(0, 0.05, (*raw.shape[:2], 1)).astype("<f2").view(np.uint8)
    if format is BlockFormat.MXFP4:
        raw[..., 0] = rng.integers(112, 144, raw.shape[:2])
    return raw, Blocks.from_gguf(format, raw.reshape(-1), rows, k_blocks * BLOCK)


def assert_same(got, expected):
    assert got.format is expected.format
    for name in ("u", "d", "m", "factors"):
        one, other = getattr(got, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one, other, name)


@pytest.mark.parametrize("format", FORMATS)
def test_blocks_agree_with_gguf_package(format):
    kind = gguf.GGMLQuantizationType[format.name]
    assert gguf.GGML_QUANT_SIZES[kind] == (format.block_weights, format.block_bytes)
    raw, blocks = random_matrix(np.random.default_rng(1), format, 7, 3)
    np.testing.assert_array_equal(blocks.dequantise(), dequantize(raw.reshape(7, -1), kind))


@pytest.mark.parametrize("format", [format for format in FORMATS if format.description.pack])
def test_pack_is_the_inverse_of_unpack(format):
    raw = np.random.default_rng(8).integers(0, 256, (40, format.block_bytes), dtype=np.uint8)
    codes = format.description.unpack(raw)
    scales = [np.ascontiguousarray(raw[:, at : at + 2]).view("<u2") for at in format.description.scales_at]
    packed = format.description.pack(codes.u, codes.factors, np.concatenate(scales, axis=1))
    np.testing.assert_array_equal(packed, raw)


def test_descriptions_are_complete():
    """Each format has its own description, whose code an accelerator without it refuses."""
    assert list(DESCRIPTIONS) == FORMATS
    assert len({format.value for format in FORMATS}) == len(FORMATS)
    for format in FORMATS:
        assert format.value == format.description.code
        assert (format.value & 3 == 3) == (format not in DEFAULT_FORMATS)
        assert format.zero & (format.zero - 1) == 0


@pytest.mark.parametrize("rows", [4, 8, 64])
@pytest.mark.parametrize("format", FORMATS)
def test_tiles_round_trip(format, rows):
    _, blocks = random_matrix(np.random.default_rng(2), format, 27, 5)
    shape = TileShape(rows=rows)
    words = pack_tiles(shape, blocks)
    assert len(words) == shape.words(format, 27, blocks.k_blocks)
    assert_same(unpack_tiles(shape, format, words, 27, blocks.k_blocks), blocks)


@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize("format", FORMATS)
def test_memory_has_the_bits_of_the_file(format, rows):
    """Nothing is widened: a large matrix takes the bytes that it has in the file, but for two formats."""
    shape = TileShape(rows=rows)
    size = shape.words(format, 1024, 64) * shape.word_bytes
    of_block = {BlockFormat.Q3_K: 112, BlockFormat.TQ1_0: 66}.get(format, format.block_bytes)
    assert size == 1024 * 64 * BLOCK // format.block_weights * of_block


def test_super_blocks_in_words():
    """Where the parts of Q4_K, Q5_K and Q6_K lie, written from the module's text."""
    rng = np.random.default_rng(6)
    shape = TileShape(rows=4)
    for format, plane_words in ((BlockFormat.Q4_K, 0), (BlockFormat.Q5_K, 2), (BlockFormat.Q6_K, 4)):
        _, blocks = random_matrix(rng, format, 4, 1)
        words = [int.from_bytes(word.tobytes(), "little") for word in pack_tiles(shape, blocks)]
        assert len(words) == 8 + 1 + plane_words + (format is BlockFormat.Q6_K)
        if format is BlockFormat.Q6_K:
            scales = words.pop(0)
            assert [scales >> 16 * row & 0xFFFF for row in range(4)] == blocks.d[:, 0].tolist()
        factors = words.pop(0)
        run = 4 // format.upper_bits if plane_words else 8
        for tile in range(8):
            if tile % run == 0 and plane_words:
                planes = words.pop(0)
            nibbles = words.pop(0)
            for row in range(4):
                lane = factors >> 128 * row + 16 * tile & 0xFFFF
                first, second = blocks.factors[row, tile].tolist()
                if format is BlockFormat.Q6_K:
                    assert lane == (first & 255) | (second & 255) << 8
                else:
                    own = int(blocks.d[row, tile]) | int(blocks.m[row, tile]) << 16
                    assert lane == first | -second << 6 | (own >> 4 * tile & 15) << 12
                for k in range(BLOCK):
                    u = nibbles >> 128 * row + 4 * k & 15
                    for bit in range(format.upper_bits):
                        quarter = tile % run + run * bit
                        u |= (planes >> 128 * quarter + 32 * row + k & 1) << 4 + bit
                    assert u == blocks.u[row, tile, k]
        assert not words


def test_pairs_in_words():
    """Where the parts of Q2_K, Q3_K and TQ2_0 lie, written from the module's text."""
    rng = np.random.default_rng(7)
    shape = TileShape(rows=4)
    for format in (BlockFormat.Q2_K, BlockFormat.Q3_K, BlockFormat.TQ2_0):
        _, blocks = random_matrix(rng, format, 4, 1)
        words = [int.from_bytes(word.tobytes(), "little") for word in pack_tiles(shape, blocks)]
        if format is not BlockFormat.Q3_K:
            scales = words.pop(0)
            stored = [blocks.d] if blocks.m is None else [blocks.d, blocks.m]
            for n, expected in enumerate(each for row in range(4) for each in (part[row, 0] for part in stored)):
                assert scales >> 16 * n & 0xFFFF == expected
        factors = words.pop(0) if blocks.factors is not None else 0
        for tile in range(8):
            if tile % 4 == 0 and format is BlockFormat.Q3_K:
                planes = words.pop(0)
            if tile % 2 == 0:
                nibbles = words.pop(0)
            for row in range(4):
                lane = factors >> 128 * row + 16 * tile & 0xFFFF
                if format is BlockFormat.Q2_K:
                    first, second, low, high = blocks.factors[row, tile].tolist()
                    assert lane == first | second << 4 | -low << 8 | -high << 12
                if format is BlockFormat.Q3_K:
                    first, second = blocks.factors[row, tile].tolist()
                    own = int(blocks.d[row, tile]) * 0x10001
                    assert lane == first & 63 | (second & 63) << 6 | (own >> 4 * tile & 15) << 12
                for k in range(BLOCK):
                    u = nibbles >> 128 * row + 4 * k + 2 * (tile % 2) & 3
                    if format is BlockFormat.Q3_K:
                        u |= (planes >> 128 * (tile % 4) + 32 * row + k & 1) << 2
                    assert u == blocks.u[row, tile, k]
        assert not words


def test_scales_of_mxfp4():
    """Powers of two from 2^-16 on; a block of zeros may have any, another one is refused with its scale."""
    raw = np.full((2, 17), 0x21, np.uint8)
    raw[:, 0] = 112, 143
    blocks = Blocks.from_gguf(BlockFormat.MXFP4, raw.reshape(-1), 2, BLOCK)
    np.testing.assert_array_equal(blocks.dequantise()[:, 0], np.ldexp(1.0, [-16, 15]))
    for scale, told in ((111, "-17"), (144, "16"), (255, "127"), (0, "-128")):
        raw[1] = scale, *[0x80] * 16
        assert Blocks.from_gguf(BlockFormat.MXFP4, raw.reshape(-1), 2, BLOCK).d[1, 0] == 0
        raw[1, 9] = 0x70
        with pytest.raises(ValueError, match=rf"scales of MXFP4 must be from 2\^-16 to 2\^15, got 2\^{told}$"):
            Blocks.from_gguf(BlockFormat.MXFP4, raw.reshape(-1), 2, BLOCK)


def grouped_blocks(rng, format, rows, k_blocks, shift):
    u = rng.integers(0, 1 << format.bits, (rows, k_blocks * BLOCK)).astype(np.uint8)
    if format.table is not None:
        u = np.array(format.table, np.uint8)[u]
    d, m = rng.normal(0, 0.05, (2, rows, k_blocks >> shift)).astype(np.float16)
    if format.has_short_scales:
        d = np.ldexp(1, rng.integers(-16, 16, d.shape)).astype(np.float16)
    return u, d, Blocks.from_groups(format, u, d, m if format.has_minimum else None)


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize("format", GROUPED)
def test_group_tiles_round_trip(format, rows, shift):
    _, _, blocks = grouped_blocks(np.random.default_rng(shift), format, 27, 24, shift)
    shape = TileShape(rows=rows)
    assert blocks.group_shift == shift
    words = pack_tiles(shape, blocks, shift)
    assert len(words) == shape.words(format, 27, 24, shift)
    assert_same(unpack_tiles(shape, format, words, 27, 24, shift), blocks)


@pytest.mark.parametrize(("format", "codes"), [(BlockFormat.Q4_0, 8), (BlockFormat.Q8_0, 128)])
def test_group_weights_are_scale_times_code(format, codes):
    """int4 and int8 with one fp16 scale for 128 weights, from the definition."""
    u, d, blocks = grouped_blocks(np.random.default_rng(4), format, 3, 12, 2)
    expected = (u.astype(np.float32) - codes) * np.repeat(d.astype(np.float32), 128, axis=1)
    np.testing.assert_array_equal(blocks.dequantise(), expected)


@pytest.mark.parametrize(("shift", "bits"), [(0, 4.5), (1, 4.25), (2, 4.125), (3, 4.0625)])
def test_bits_of_a_group_weight(shift, bits):
    """A scale word serves as many tiles as it has scales: four bits and 16 / group."""
    rows, k_blocks = 256, 64
    words = TileShape(rows=16).words(BlockFormat.Q4_0, rows, k_blocks, shift)
    assert words * TileShape(rows=16).word_bytes * 8 / (rows * k_blocks * BLOCK) == bits


def test_wrong_groups_are_refused():
    _, _, blocks = grouped_blocks(np.random.default_rng(5), BlockFormat.Q4_1, 5, 12, 1)
    shape = TileShape(rows=4)
    with pytest.raises(ValueError, match=r"groups of 128 weights are asked for, .* only groups of 64 weights"):
        pack_tiles(shape, blocks, 2)
    with pytest.raises(ValueError, match="12 blocks does not divide into groups of 8 blocks"):
        shape.words(BlockFormat.Q4_0, 5, 12, 3)
    with pytest.raises(ValueError, match="group_shift must be from 0 to 3, got 4"):
        shape.words(BlockFormat.Q4_0, 5, 16, 4)
    u, d = np.zeros((2, 512), np.uint8), np.ones((2, 1), np.float16)
    with pytest.raises(ValueError, match="a group has 32, 64, 128 or 256 weights"):
        Blocks.from_groups(BlockFormat.Q4_0, u, d)
    with pytest.raises(ValueError, match=r"minima of shape None do not fit Q4_1"):
        Blocks.from_groups(BlockFormat.Q4_1, u, np.ones((2, 2), np.float16))
    # A difference in the last row or in a minimum alone is seen.
    blocks.d[-1, -1] ^= 1
    assert blocks.group_shift == 0
    blocks.d[-1, -1] ^= 1
    blocks.m[2, 4] ^= 1
    assert blocks.group_shift == 0


def exact_accumulator(blocks, a, scale, row):
    """One row by Python integers, written from docs/numerics.md and not from the NumPy code."""
    acc = 0
    for kb in range(blocks.k_blocks):
        s_exp = int(scale[kb]) >> 7
        s_sig = (int(scale[kb]) & 127) + 128 if s_exp else 0
        products = [(int(u) - blocks.format.zero) * int(x) for u, x in zip(blocks.u[row, kb], a[kb], strict=True)]
        sums = [sum(products), sum(int(x) for x in a[kb])]
        scales = [blocks.d, blocks.m]
        factors = [1, 1] if blocks.factors is None else blocks.factors[row, kb].tolist()
        if blocks.format.factors in (Factors.HALVES, Factors.SHORT_HALVES):
            sums = [sum(products[:16]), sum(products[16:])]
            scales = [blocks.d, blocks.d]
        if blocks.format.factors is Factors.HALVES_WITH_MINIMA:
            codes, plain = products, [int(x) for x in a[kb]]
            sums = [
                first * sum(values[:16]) + second * sum(values[16:])
                for values, first, second in ((codes, *factors[:2]), (plain, *factors[2:]))
            ]
            factors = [1, 1]
        for value, source, factor in zip(sums, scales, factors, strict=True):
            if source is None:
                continue
            half = int(source[row, kb])
            exponent = half >> 10 & 31
            sig = ((half & 1023) + (1024 if exponent else 0)) * (-1 if half >> 15 else 1)
            shift = max(exponent, 1) + s_exp - 136
            p = value * factor * sig * s_sig
            right = min(-shift, 45 if blocks.factors is None else 52)
            acc += p << min(shift, 47) if shift >= 0 else (p + (1 << (right - 1))) >> right
    acc &= (1 << 48) - 1
    return acc - (1 << 48) if acc >> 47 else acc


@pytest.mark.parametrize("format", FORMATS)
def test_accumulate_is_exact(format):
    rng = np.random.default_rng(3)
    _, blocks = random_matrix(rng, format, 9, 6)
    a = rng.integers(-255, 256, (3, blocks.k_blocks, BLOCK), dtype=np.int16)
    scale = rng.choice(np.array([0, 1, 0x3C80, 0x3F80, 0x4012, 0x7F00, 0x2000], np.uint16), (3, blocks.k_blocks))
    got = accumulate(blocks, a, scale, chunk_rows=4)
    for vector in range(3):
        for row in range(9):
            assert got[vector, row] == exact_accumulator(blocks, a[vector], scale[vector], row)


def test_errors_are_sentences():
    with pytest.raises(ValueError, match="does not divide into blocks of 32"):
        Blocks.from_gguf(BlockFormat.Q4_0, np.zeros(18, np.uint8), 1, 33)
    with pytest.raises(ValueError, match="a row of 288 weights does not divide into blocks of 256"):
        Blocks.from_gguf(BlockFormat.Q4_K, np.zeros(162, np.uint8), 1, 288)
    with pytest.raises(ValueError, match="143 bytes given for a 1 x 256 Q4_K matrix, which takes 144"):
        Blocks.from_gguf(BlockFormat.Q4_K, np.zeros(143, np.uint8), 1, 256)
    with pytest.raises(ValueError, match="12 blocks does not divide into groups of 8 blocks"):
        TileShape(rows=4).words(BlockFormat.Q6_K, 4, 12)
    with pytest.raises(ValueError, match="power of two"):
        TileShape(rows=6)
