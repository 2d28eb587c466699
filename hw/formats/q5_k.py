"""Q5_K (ggml's ``block_q5_K``): Q4_K with a fifth bit."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import BLOCK, Codes, Description, Factors, bit_fields, joined, nibbles
from rtlm.hw.formats.q4_k import HEAD_BYTES, factors_of


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take super-blocks apart: as Q4_K, with 32 bytes whose bits ``i`` are the fifth bits of block ``i``."""
    low = HEAD_BYTES + BLOCK
    upper = bit_fields(raw[:, HEAD_BYTES:low], BLOCK, 1)
    return Codes(joined(nibbles(raw[:, low:], BLOCK), upper), factors_of(raw))


Q5_K = Description(
    code=15,
    bits=5,
    zero=0,
    scales_at=(0, 2),
    factors=Factors.SCALE_AND_MINIMUM,
    file_weights=256,
    file_bytes=176,
    unpack=unpack,
)
