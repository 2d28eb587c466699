"""Q6_K (ggml's ``block_q6_K``): 16 groups of 16 codes of 6 bits, each with an int8 scale."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import (
    NIBBLE_BITS,
    Codes,
    Description,
    Factors,
    bit_fields,
    half_bytes,
    joined,
    nibbles,
    packed_fields,
)

LOW, HIGH, SCALES = 128, 64, 16
"""Bytes of nibbles, of upper bits, and of scales."""


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take super-blocks apart.

    Of each 64 bytes of nibbles, the lower ones are 64 weights and the upper ones the next; of each 32 bytes of upper
    bits, the pairs of bits from the lowest on are those of 32 weights.
    """
    low, high, scales, _ = np.split(raw, np.cumsum([LOW, HIGH, SCALES]), axis=1)
    u = joined(nibbles(low, 64), bit_fields(high, 32, 2))
    return Codes(u, np.ascontiguousarray(scales).view(np.int8).reshape(len(raw), -1, 2))


def pack(u: NDArray[np.uint8], factors: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Make super-blocks."""
    low, high = packed_fields(u, 64, NIBBLE_BITS), packed_fields(u, 32, 2, above=NIBBLE_BITS)
    stored = np.ascontiguousarray(factors).view(np.uint8).reshape(len(u), -1)
    return np.concatenate([low, high, stored, half_bytes(scales)], axis=1)


Q6_K = Description(
    code=19,
    bits=6,
    zero=32,
    scales_at=(LOW + HIGH + SCALES,),
    factors=Factors.HALVES,
    file_weights=256,
    file_bytes=210,
    unpack=unpack,
    pack=pack,
)
