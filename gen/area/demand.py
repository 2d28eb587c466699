"""Which bits of a value's inputs decide some of its bits, and which are nothing but these bits.

Synthesis removes registers of the others, and keeps one register where two hold the same.
"""

from amaranth.hdl import Const, Signal, Value
from amaranth.hdl._ast import Concat, Operator, Slice, SwitchValue

BITWISE = ("&", "|", "^", "~")
CASTS = ("u", "s")
SUMS = ("+", "-")


def demand(value: Value, mask: int, found: dict[int, int]) -> None:
    """Add to `found`, by the signal's ``id``, the bits of each signal that the bits `mask` of a value depend on.

    Exact for selections, concatenations and bitwise operators, and for the low bits of sums; elsewhere every bit
    depends on every bit.

    Parameters
    ----------
    value
        An expression.
    mask
        Bits of it that something reads.
    found
        Bits found so far.
    """
    mask &= (1 << len(value)) - 1
    if not mask:
        return
    match value:
        case Signal():
            found[id(value)] = found.get(id(value), 0) | mask
        case Slice():
            demand(value.value, mask << value.start, found)
        case Concat():
            start = 0
            for part in value.parts:
                demand(part, mask >> start, found)
                start += len(part)
        case SwitchValue():
            demand(value.test, _all(value.test), found)
            for _, chosen in value.cases:
                demand(chosen, _extended(chosen, mask), found)
        case Operator() if value.operator in (*BITWISE, *CASTS):
            for operand in value.operands:
                demand(operand, _extended(operand, mask), found)
        case Operator() if value.operator in SUMS:
            for operand in value.operands:
                demand(operand, _extended(operand, (1 << mask.bit_length()) - 1), found)
        case Operator():
            for operand in value.operands:
                demand(operand, _all(operand), found)
        case _ if hasattr(value, "_rhs_signals"):
            for signal in value._rhs_signals():
                demand(signal, _all(signal), found)


def origins(value: Value) -> list[tuple[Value, int] | None]:
    """Return for each bit of a value the signal and bit, or the constant, that it simply is; None if it is computed."""
    match value:
        case Signal() | Const():
            return [(value, bit) for bit in range(len(value))]
        case Slice():
            return origins(value.value)[value.start : value.stop]
        case Concat():
            return [origin for part in value.parts for origin in origins(part)]
        case Operator() if value.operator in CASTS:
            return origins(value.operands[0])
    return [None] * len(value)


def _all(value: Value) -> int:
    return (1 << len(value)) - 1


def _extended(value: Value, mask: int) -> int:
    """Return the bits of a narrower operand: those above it are its sign."""
    sign = 1 << (len(value) - 1) if len(value) and mask >> len(value) and value.shape().signed else 0
    return mask & _all(value) | sign
