"""Codes of keys and values in the KV cache: the int8 of the quantiser, or 4 bits that stand for some of them."""

from itertools import pairwise

import numpy as np
from amaranth.hdl import Cat, Const, Mux, Value
from numpy.typing import NDArray
from rtlm.hw.common.layouts import STORED_BITS

KV_BITS = (4, STORED_BITS)
"""Bits that a code may have."""

MAGNITUDES = (4, 11, 20, 30, 43, 60, 84, 127)
"""What the lower 3 of 4 bits stand for: closer where most keys and values lie (decision 0030)."""

KV_VALUES = (*MAGNITUDES, *(-each for each in MAGNITUDES))
"""What a code of 4 bits stands for; the uppermost bit is the sign."""

THRESHOLDS = tuple((low + high + 1) // 2 for low, high in pairwise(MAGNITUDES))
"""The least magnitudes that become each but the first."""


def check_kv_bits(kv_bits: int) -> None:
    """Raise a `ValueError` if codes of the KV cache cannot have so many bits."""
    if kv_bits not in KV_BITS:
        raise ValueError(f"kv_bits must be {' or '.join(map(str, KV_BITS))}, got {kv_bits}")


def encode(codes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the 4 bits whose value is nearest to each int8, the larger one where two are; 0 counts as positive."""
    index = np.searchsorted(THRESHOLDS, np.abs(codes.astype(np.int16)), side="right")
    return np.where(codes < 0, index + len(MAGNITUDES), index).astype(np.uint8)


def encoded(code: Value) -> Value:
    """`encode` in gates: 4 bits of a signed code."""
    negative = code < 0
    magnitude = Mux(negative, -code, code)[: STORED_BITS - 1]
    index: Value = Const(0, 3)
    for place, threshold in enumerate(THRESHOLDS, start=1):
        index = Mux(magnitude >= threshold, Const(place, 3), index)
    return Cat(index, negative)


def short_codes(codes: NDArray[np.integer], kv_bits: int) -> NDArray[np.integer]:
    """Return codes of keys and values with the bits that memory has: the int8 themselves, or 4 unsigned bits."""
    check_kv_bits(kv_bits)
    return codes if kv_bits == STORED_BITS else encode(codes)


def kv_codes(codes: NDArray[np.integer], kv_bits: int) -> NDArray[np.int8]:
    """Return what memory keeps of quantised keys and values.

    Parameters
    ----------
    codes
        What the quantiser gives, -127 ... 127.
    kv_bits
        Bits of a code in memory.
    """
    check_kv_bits(kv_bits)
    kept = codes if kv_bits == STORED_BITS else np.array(KV_VALUES)[encode(codes)]
    return kept.astype(np.int8)


def pack_codes(codes: NDArray[np.integer], kv_bits: int) -> NDArray[np.uint8]:
    """Return the bytes of codes in memory, the first one lowest: shape (..., head_dim) to (..., bytes of a row)."""
    check_kv_bits(kv_bits)
    if kv_bits == STORED_BITS:
        return np.ascontiguousarray(codes, np.int8).view(np.uint8)
    short = encode(codes)
    return (short[..., ::2] | short[..., 1::2] << 4).astype(np.uint8)
