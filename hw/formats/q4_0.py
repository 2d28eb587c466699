"""Q4_0 (ggml's ``block_q4_0``): 32 codes of 4 bits with a scale."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description, nibbles


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: the scale, then weights 0 to 15 in the lower nibbles, 16 to 31 in the upper ones."""
    return Codes(nibbles(raw[:, 2:], 16))


Q4_0 = Description(code=0, bits=4, zero=8, file_bytes=18, unpack=unpack)
