"""MXFP4 (ggml's ``block_mxfp4``, OCP Microscaling 1.0): 32 numbers of 4 bits with a power of two as their scale."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description, nibbles

ZERO = 16

VALUES = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
"""What the codes (E2M1) stand for, twice."""

TABLE = (np.array(VALUES, np.int8) + ZERO).astype(np.uint8)

EXPONENT_BIAS = 128
"""Of ``e`` (E8M0), with half a scale for twice the value."""

MIN_EXPONENT, MAX_EXPONENT = -16, 15
"""Scales that the upper byte of an fp16 holds."""


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: the scale, then codes as in Q4_0, which become their values and 16.

    Raises
    ------
    ValueError
        If a scale is not from 2^-16 to 2^15, but for blocks of zeros, whose scale becomes 0.
    """
    u = TABLE[nibbles(raw[:, 1:], 16)]
    exponent = raw[:, 0].astype(np.int16) - EXPONENT_BIAS
    used = (u != ZERO).any(axis=1)
    wrong = exponent[used & ((exponent < MIN_EXPONENT) | (exponent > MAX_EXPONENT))]
    if wrong.size:
        raise ValueError(f"scales of MXFP4 must be from 2^{MIN_EXPONENT} to 2^{MAX_EXPONENT}, got 2^{wrong[0]}")
    return Codes(u, d=np.where(used, np.ldexp(1.0, exponent), 0).astype(np.float16).view(np.uint16))


MXFP4 = Description(
    code=43,
    bits=4,
    zero=ZERO,
    scales_at=(),
    scale_bits=8,
    file_bytes=17,
    unpack=unpack,
    table=tuple(TABLE.tolist()),
)
