"""IQ4_NL (ggml's ``block_iq4_nl``): 32 codes of 4 bits that stand for int8 values, with a scale."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description, nibbles

VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""What the codes stand for, ggml's ``kvalues_iq4nl``."""

ZERO = 128

TABLE = (np.array(VALUES, np.int16) + ZERO).astype(np.uint8)


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: the scale, then codes as in Q4_0, which become their values and 128."""
    return Codes(TABLE[nibbles(raw[:, 2:], 16)])


IQ4_NL = Description(code=23, bits=4, zero=ZERO, file_bytes=18, unpack=unpack, table=tuple(TABLE.tolist()))
