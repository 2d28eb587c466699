"""Q2_K (ggml's ``block_q2_K``): 16 groups of 16 codes of 2 bits, whose scales and minima have 4 bits."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description, Factors, bit_fields, half_bytes, packed_fields

SCALES, CODES = 16, 64
"""Bytes of scales and minima, and of codes."""


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take super-blocks apart; of each 32 bytes of codes the pairs of bits from the lowest on are those of 32 weights.

    The lower nibble of a byte is the scale of 16 weights and the upper one their minimum.
    """
    pairs = raw[:, :SCALES].reshape(len(raw), -1, 2)
    # What the minimum stands for is subtracted.
    factors = np.concatenate([(pairs & 15).astype(np.int8), -(pairs >> 4).astype(np.int8)], axis=-1)
    return Codes(bit_fields(raw[:, SCALES : SCALES + CODES], 32, 2), factors)


def pack(u: NDArray[np.uint8], factors: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Make super-blocks."""
    pairs = (factors[..., :2] | -factors[..., 2:] << 4).view(np.uint8).reshape(len(u), -1)
    return np.concatenate([pairs, packed_fields(u, 32, 2), half_bytes(scales)], axis=1)


Q2_K = Description(
    code=27,
    bits=2,
    zero=0,
    scales_at=(SCALES + CODES, SCALES + CODES + 2),
    factors=Factors.HALVES_WITH_MINIMA,
    file_weights=256,
    file_bytes=84,
    unpack=unpack,
    pack=pack,
)
