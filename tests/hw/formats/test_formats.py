import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from rtlm.hw.formats import BLOCK, BlockFormat, Blocks, TileShape, pack_tiles, unpack_tiles
from rtlm.hw.matmul.model import accumulate

FORMATS = list(BlockFormat)


def random_blocks(rng, format, rows, k_blocks):
    raw = rng.integers(0, 256, (rows, k_blocks, format.block_bytes), dtype=np.uint8)
    scales = rng.normal(0, 0.05, (rows, k_blocks, format.scale_bytes // 2)).astype("<f2")
    raw[..., : format.scale_bytes] = scales.view(np.uint8)
    return raw


@pytest.mark.parametrize("format", FORMATS)
def test_blocks_agree_with_gguf_package(format):
    rng = np.random.default_rng(1)
    raw = random_blocks(rng, format, 7, 3)
    expected = dequantize(raw.reshape(7, -1), getattr(gguf.GGMLQuantizationType, format.name))
    got = Blocks.from_gguf(format, raw.reshape(-1), 7, 3 * BLOCK).dequantise()
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("rows", [4, 8, 64])
@pytest.mark.parametrize("format", FORMATS)
def test_tiles_round_trip(format, rows):
    rng = np.random.default_rng(2)
    blocks = Blocks.from_gguf(format, random_blocks(rng, format, 27, 5).reshape(-1), 27, 5 * BLOCK)
    shape = TileShape(rows=rows)
    words = pack_tiles(shape, blocks)
    assert len(words) == shape.words(format, 27, 5)
    back = unpack_tiles(shape, format, words, 27, 5)
    np.testing.assert_array_equal(back.u, blocks.u)
    np.testing.assert_array_equal(back.d, blocks.d)
    if format.has_minimum:
        np.testing.assert_array_equal(back.m, blocks.m)


def grouped_blocks(rng, format, rows, k_blocks, shift):
    u = rng.integers(0, 1 << format.bits, (rows, k_blocks * BLOCK)).astype(np.uint8)
    d, m = rng.normal(0, 0.05, (2, rows, k_blocks >> shift)).astype(np.float16)
    return u, d, Blocks.from_groups(format, u, d, m if format.has_minimum else None)


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize("format", FORMATS)
def test_group_tiles_round_trip(format, rows, shift):
    _, _, blocks = grouped_blocks(np.random.default_rng(shift), format, 27, 24, shift)
    shape = TileShape(rows=rows)
    assert blocks.group_shift == shift
    words = pack_tiles(shape, blocks, shift)
    assert len(words) == shape.words(format, 27, 24, shift)
    back = unpack_tiles(shape, format, words, 27, 24, shift)
    np.testing.assert_array_equal(back.u, blocks.u)
    np.testing.assert_array_equal(back.d, blocks.d)
    if format.has_minimum:
        np.testing.assert_array_equal(back.m, blocks.m)


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
        suma = sum(int(x) for x in a[kb])
        total = sum((int(u) - blocks.format.zero) * int(x) for u, x in zip(blocks.u[row, kb], a[kb], strict=True))
        terms = [(total, blocks.d)] + ([(suma, blocks.m)] if blocks.m is not None else [])
        for value, source in terms:
            half = int(source[row, kb])
            exponent = half >> 10 & 31
            sig = ((half & 1023) + (1024 if exponent else 0)) * (-1 if half >> 15 else 1)
            shift = max(exponent, 1) + s_exp - 135
            p = value * sig * s_sig
            right = min(-shift, 45)
            acc += p << min(shift, 47) if shift >= 0 else (p + (1 << (right - 1))) >> right
    acc &= (1 << 48) - 1
    return acc - (1 << 48) if acc >> 47 else acc


@pytest.mark.parametrize("format", FORMATS)
def test_accumulate_is_exact(format):
    rng = np.random.default_rng(3)
    blocks = Blocks.from_gguf(format, random_blocks(rng, format, 9, 6).reshape(-1), 9, 6 * BLOCK)
    a = rng.integers(-127, 128, (3, 6, BLOCK), dtype=np.int8)
    scale = rng.choice(np.array([0, 1, 0x3C80, 0x3F80, 0x4012, 0x7F00, 0x2000], np.uint16), (3, 6))
    got = accumulate(blocks, a, scale, chunk_rows=4)
    for vector in range(3):
        for row in range(9):
            assert got[vector, row] == exact_accumulator(blocks, a[vector], scale[vector], row)


def test_errors_are_sentences():
    with pytest.raises(ValueError, match="does not divide into blocks of 32"):
        Blocks.from_gguf(BlockFormat.Q4_0, np.zeros(18, np.uint8), 1, 33)
    with pytest.raises(ValueError, match="power of two"):
        TileShape(rows=6)
