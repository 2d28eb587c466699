"""Q4_1 (ggml's ``block_q4_1``): 32 codes of 4 bits with a scale and a minimum."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import Codes, Description, nibbles


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: scale, minimum, then weights 0 to 15 in the lower nibbles, 16 to 31 in the upper ones."""
    return Codes(nibbles(raw[:, 4:], 16))


Q4_1 = Description(code=1, bits=4, zero=0, scales_at=(0, 2), file_bytes=20, unpack=unpack)
