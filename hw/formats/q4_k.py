"""Q4_K (ggml's ``block_q4_K``): 8 blocks of 4-bit codes, whose scales and minima have 6 bits."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import (
    BLOCK,
    NIBBLE_BITS,
    Codes,
    Description,
    Factors,
    half_bytes,
    nibbles,
    packed_fields,
)

HEAD_BYTES = 16
"""Scale and minimum of the super-block, and 12 bytes with those of its blocks."""


def factors_of(raw: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Return the factors of super-blocks that begin with `HEAD_BYTES`.

    Scales and minima of the blocks 0 to 3 are the lower 6 bits of bytes 0 to 3 and 4 to 7 of the 12; those of 4 to 7
    are the nibbles of bytes 8 to 11, with the upper 2 bits of the other bytes above them.
    """
    low, high, mixed = (raw[:, first : first + 4] for first in (4, 8, 12))
    scales = np.concatenate([low & 63, (mixed & 15) | (low >> 6) << 4], axis=1)
    minima = np.concatenate([high & 63, (mixed >> 4) | (high >> 6) << 4], axis=1)
    # What the minimum stands for is subtracted.
    return np.stack([scales.astype(np.int8), -minima.astype(np.int8)], axis=-1)


def packed_head(factors: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the `HEAD_BYTES` of super-blocks, whose factors `factors_of` returns."""
    of_scales, minima = factors[..., 0].astype(np.uint8), (-factors[..., 1]).astype(np.uint8)
    low, high = (part[:, :4] | part[:, 4:] >> 4 << 6 for part in (of_scales, minima))
    mixed = of_scales[:, 4:] & 15 | minima[:, 4:] << 4
    return np.concatenate([half_bytes(scales), low, high, mixed], axis=1)


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take super-blocks apart; of each 32 bytes the lower nibbles are one block and the upper ones the next."""
    return Codes(nibbles(raw[:, HEAD_BYTES:], BLOCK), factors_of(raw))


def pack(u: NDArray[np.uint8], factors: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Make super-blocks."""
    return np.concatenate([packed_head(factors, scales), packed_fields(u, BLOCK, NIBBLE_BITS)], axis=1)


Q4_K = Description(
    code=11,
    bits=4,
    zero=0,
    scales_at=(0, 2),
    factors=Factors.SCALE_AND_MINIMUM,
    file_weights=256,
    file_bytes=144,
    unpack=unpack,
    pack=pack,
)
