"""Q5_K (ggml's ``block_q5_K``): Q4_K with a fifth bit."""

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.formats.description import (
    BLOCK,
    NIBBLE_BITS,
    Codes,
    Description,
    Factors,
    bit_fields,
    joined,
    nibbles,
    packed_fields,
)
from rtlm.hw.formats.q4_k import HEAD_BYTES, factors_of, packed_head


def unpack(raw: NDArray[np.uint8]) -> Codes:
    """Take super-blocks apart: as Q4_K, with 32 bytes whose bits ``i`` are the fifth bits of block ``i``."""
    low = HEAD_BYTES + BLOCK
    upper = bit_fields(raw[:, HEAD_BYTES:low], BLOCK, 1)
    return Codes(joined(nibbles(raw[:, low:], BLOCK), upper), factors_of(raw))


def pack(u: NDArray[np.uint8], factors: NDArray[np.int8], scales: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Make super-blocks."""
    upper, lower = packed_fields(u, BLOCK, 1, above=NIBBLE_BITS), packed_fields(u, BLOCK, NIBBLE_BITS)
    return np.concatenate([packed_head(factors, scales), upper, lower], axis=1)


Q5_K = Description(
    code=15,
    bits=5,
    zero=0,
    scales_at=(0, 2),
    factors=Factors.SCALE_AND_MINIMUM,
    file_weights=256,
    file_bytes=176,
    unpack=unpack,
    pack=pack,
)
