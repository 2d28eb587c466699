"""Compares a kernel's model with its reference."""

import numpy as np
from rtlm.hw.hls import Float
from rtlm.hw.hls.kernel import Kernel

from tests.hw.kernels.references import REFERENCES, ulp

TIGHT = 0.35
"""Share of a bound that some error must reach."""


def check_kernel(kernel: Kernel, rng: np.random.Generator) -> None:
    """Assert that all results of a kernel keep their bounds, and that the bounds are not far too wide."""
    reference = REFERENCES[kernel.name]
    worst, used = [0.0] * len(kernel.results), [0.0] * len(kernel.results)
    for arguments in reference.draw(rng):
        results = as_tuple(kernel.model(*arguments))
        wide = [argument.astype(np.float64) for argument in np.broadcast_arrays(*arguments)]
        with np.errstate(all="ignore"):
            more = [result.astype(np.float64) for result in results] if reference.uses_results else []
            expected = reference.define(*wide, *more)
        for index, (result, each, type_) in enumerate(zip(results, expected, kernel.results.values(), strict=True)):
            error, share = largest_error(result, each, type_)
            worst[index], used[index] = max(worst[index], error), max(used[index], share)
    figures = ", ".join(f"{error:.3f} ({share:.0%})" for error, share in zip(worst, used, strict=True))
    print(f"{kernel.name}: largest errors in ulp (share of the bound) {figures}; bound: {reference.bound}")
    # A bound that no error comes near would hide a wrong kernel.
    assert reference.bound == "exact" or min(used) > TIGHT, f"no error of {kernel.name} comes near its bound"


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


def largest_error(result, expected, type_) -> tuple[float, float]:
    """Assert that a result keeps its bound; return the largest error, in ulp or units, and as a share of its bound."""
    got = result.astype(np.float64)
    exact, error = np.broadcast_arrays(expected.exact, expected.error)
    assert got.shape == exact.shape and np.size(got)
    assert not np.isnan(exact).any()
    error = np.where(np.isfinite(exact), error, 0)
    assert np.isfinite(error).all()
    with np.errstate(all="ignore"):
        difference = np.where(got == exact, 0.0, np.abs(got - exact))
        infinite = (got * exact > 0) & np.isinf(got)
    good = difference <= error
    unit = np.ones_like(exact)
    if isinstance(type_, Float):
        smallest, largest = type_.smallest, (2 - 2.0**-type_.mantissa / 2) * 2.0**type_.bias
        unit = ulp(exact, type_.mantissa)
        good |= (got == 0) & (np.abs(exact) - error < smallest)  # flushed
        good |= infinite & (np.abs(exact) + error >= largest)
        good &= (got == 0) | (np.abs(got) >= smallest)
    counter = np.flatnonzero(~good)
    assert not counter.size, (
        f"{counter.size} of {good.size} results are out of bounds, the first: {got.flat[counter[0]]!r}, "
        f"exact {exact.flat[counter[0]]!r} ± {error.flat[counter[0]]!r}"
    )
    normal = (np.abs(exact) >= 2.0**-126) & np.isfinite(difference) if isinstance(type_, Float) else np.isfinite(exact)
    share = np.divide(difference, error, out=np.zeros_like(exact), where=normal & (error > 0))
    return float(np.max(difference / unit, where=normal, initial=0.0)), float(share.max())
