"""Results of a matrix product: from the accumulator to a scaled float."""

from rtlm.hw.hls import F32, Shared, SInt, kernel, to_float

ACCUMULATOR_FRACTION = 24


@kernel
def scale(y: F32, r: Shared[F32]) -> F32:
    """``y * r`` with one ``r`` for all lanes."""
    return y * r


@kernel
def accumulator_to_float(acc: SInt(48)) -> F32:
    """Row accumulator (unit 2**-24), rounded once."""
    return to_float(acc, F32, ACCUMULATOR_FRACTION)
