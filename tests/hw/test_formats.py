import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from rtlm.hw.formats import BLOCK, BlockFormat, Blocks, TileShape, accumulate, pack_tiles, unpack_tiles
from rtlm.hw.formats.matmul import bf16_parts, fp16_parts

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


def exact_accumulator(blocks, a, scale, row):
    """One row by Python integers, written from docs/numerics.md and not from the NumPy code."""
    acc = 0
    for kb in range(blocks.k_blocks):
        s_sig, s_exp = (int(x) for x in bf16_parts(scale[kb]))
        suma = sum(int(x) for x in a[kb])
        total = sum((int(u) - blocks.format.zero) * int(x) for u, x in zip(blocks.u[row, kb], a[kb], strict=True))
        terms = [(total, blocks.d)] + ([(suma, blocks.m)] if blocks.m is not None else [])
        for value, source in terms:
            sig, exponent = (int(x) for x in fp16_parts(source[row, kb]))
            shift = exponent + s_exp - 135
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
