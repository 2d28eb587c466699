"""Q5_0 and Q5_1 (ggml's ``block_q5_0``, ``block_q5_1``): 32 codes of 5 bits with a scale, and a minimum in Q5_1."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import BLOCK, Codes, Description, joined, nibbles


def _codes(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return codes: a bit for each weight in turn are the upper ones, nibbles as in Q4_0 the lower ones."""
    upper = np.unpackbits(raw[:, : BLOCK // 8], axis=1, bitorder="little")
    return joined(nibbles(raw[:, BLOCK // 8 :], BLOCK // 2), upper)


def unpack_q5_0(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: scale, codes."""
    return Codes(_codes(raw[:, 2:]))


def unpack_q5_1(raw: NDArray[np.uint8]) -> Codes:
    """Take blocks apart: scale, minimum, codes."""
    return Codes(_codes(raw[:, 4:]))


Q5_0 = Description(code=3, bits=5, zero=16, file_bytes=22, unpack=unpack_q5_0)
Q5_1 = Description(code=7, bits=5, zero=0, scales_at=(0, 2), file_bytes=24, unpack=unpack_q5_1)
