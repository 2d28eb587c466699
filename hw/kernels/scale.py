"""Results of a matrix product: from the accumulator to a scaled float."""

from rtlm.hw.hls import F32, Shared, SInt, kernel, to_float

ACC_BITS = 48
"""Width of a row's accumulator (two's complement, modulo 2^48)."""
ACCUMULATOR_FRACTION = 24
"""The accumulator's unit is 2^-24."""


@kernel
def scale(y: F32, r: Shared[F32]) -> F32:
    """``y * r`` with one ``r`` for all lanes."""
    return y * r


@kernel
def accumulator_to_float(acc: SInt(ACC_BITS)) -> F32:
    """Row accumulator (unit 2**-24), rounded once."""
    return to_float(acc, F32, ACCUMULATOR_FRACTION)


@kernel
def scaled_result(acc: SInt(ACC_BITS), r: Shared[F32]) -> F32:
    """Turn an accumulator into a float and multiply it by the activation vector's scalar."""
    return scale(accumulator_to_float(acc), r)
