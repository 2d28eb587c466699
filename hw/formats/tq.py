"""TQ1_0 and TQ2_0 (ggml's ``block_tq1_0``, ``block_tq2_0``): 256 ternary weights with a scale, as BitNets have them."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description, bit_fields

POWERS = np.array([1, 3, 9, 27, 81], np.uint8)

RUNS = ((32, 5), (16, 5), (4, 4))
"""Bytes of TQ1_0 and the codes of each; of each run of bytes first the first codes of all."""


def unpack_tq1_0(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: a byte is 5 (or 4) digits of base 3, as a fraction of 256; its first digit is the highest."""
    parts, first = [], 0
    for size, count in RUNS:
        digits = raw[:, None, first : first + size] * POWERS[:count, None]
        parts.append((digits.astype(np.uint16) * 3 >> 8).reshape(len(raw), -1))
        first += size
    return Codes(np.concatenate(parts, axis=1).astype(np.uint8))


def unpack_tq2_0(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart; of each 32 bytes the pairs of bits from the lowest on are those of 32 weights."""
    return Codes(bit_fields(raw[:, :64], 32, 2))


TQ1_0 = Description(code=35, bits=2, zero=1, scales_at=(52,), file_weights=256, file_bytes=54, unpack=unpack_tq1_0)
TQ2_0 = Description(code=39, bits=2, zero=1, scales_at=(64,), file_weights=256, file_bytes=66, unpack=unpack_tq2_0)
