"""Q8_0 (ggml's ``block_q8_0``): 32 int8 with a scale."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: the scale, then int8, which become codes by adding 128."""
    return Codes(raw[:, 2:] ^ np.uint8(0x80))


Q8_0 = Description(code=2, bits=8, zero=128, file_bytes=34, unpack=unpack)
