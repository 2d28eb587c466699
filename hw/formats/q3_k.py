"""Q3_K (ggml's ``block_q3_K``): 16 groups of 16 codes of 3 bits, each with a scale of 6 bits."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import (
    PAIR_BITS,
    Codes,
    Description,
    Factors,
    bit_fields,
    half_bytes,
    packed_fields,
)

HIGH, LOW, SCALES = 32, 64, 12
"""Bytes of third bits, of the bits below them, and of scales."""

SCALE_ZERO = 32


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take super-blocks apart.

    The bits ``i`` of the first bytes are the third bits of block ``i``. Of each 32 bytes of lower bits, the pairs of
    bits from the lowest on are those of 32 weights. Of the scales, the nibbles of 8 bytes are the lower bits, all lower
    nibbles first, and the pairs of bits of 4 bytes the upper ones.
    """
    high, low, scales, _ = np.split(raw, np.cumsum([HIGH, LOW, SCALES]), axis=1)
    u = bit_fields(low, 32, PAIR_BITS) | bit_fields(high, 32, 1) << np.uint8(PAIR_BITS)
    factors = bit_fields(scales[:, :8], 8, 4) | bit_fields(scales[:, 8:], 4, 2) << np.uint8(4)
    return Codes(u, (factors.astype(np.int8) - SCALE_ZERO).astype(np.int8).reshape(len(raw), -1, 2))


def pack(u: NDArray[np.uint8], factors: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Make super-blocks."""
    high, low = packed_fields(u, 32, 1, above=PAIR_BITS), packed_fields(u, 32, PAIR_BITS)
    stored = (factors + np.int8(SCALE_ZERO)).view(np.uint8).reshape(len(u), -1)
    parts = [high, low, packed_fields(stored, 8, 4), packed_fields(stored, 4, 2, above=4), half_bytes(scales)]
    return np.concatenate(parts, axis=1)


Q3_K = Description(
    code=31,
    bits=3,
    zero=4,
    scales_at=(HIGH + LOW + SCALES,),
    factors=Factors.SHORT_HALVES,
    file_weights=256,
    file_bytes=110,
    unpack=unpack,
    pack=pack,
)
