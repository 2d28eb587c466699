"""Codes of quantised values in payloads: the first lowest, each with as many bits as activations and queries have."""

from collections.abc import Sequence

from rtlm.hw.common.layouts import CODE_BITS

SIGN, RANGE = 1 << CODE_BITS - 1, 1 << CODE_BITS


def packed(codes: Sequence[int]) -> int:
    """Return codes as one integer."""
    return sum((int(code) % RANGE) << CODE_BITS * place for place, code in enumerate(codes))


def unpacked(value: int, count: int) -> list[int]:
    """Return the codes of which an integer consists."""
    raw = [(value >> CODE_BITS * place) % RANGE for place in range(count)]
    return [code - RANGE * (code >= SIGN) for code in raw]
