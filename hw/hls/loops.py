"""Loops of a kernel: ``for i in loop(n)``, whose iterations are the elements that its pipeline takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rtlm.hw.hls import types as t
from rtlm.hw.hls.errors import caller_place
from rtlm.hw.hls.graph import Value, topological
from rtlm.hw.hls.nest import Level, traced
from rtlm.hw.hls.ranges import ranges_of
from rtlm.hw.hls.types import UInt

WIDEST_BOUND = 32


def loop(*bounds: Any) -> Iterator[Any]:
    """Iterate: ``for i in loop(n)`` runs its body for ``i`` from 0 to ``n - 1``, ``for i, j in loop(m, n)`` for pairs.

    The body is traced once; the gates count. Loops stand in each other, and the iterations of the innermost one are a
    packet for ``stream_sum``, ``fold``, ``scan``, ``previous`` and ``index``.

    Parameters
    ----------
    *bounds
        Numbers of Python from 1, or unsigned values that depend on the kernel's arguments only; with a bound of 0
        nothing runs.

    Yields
    ------
    Value or tuple of Value
        The iteration: unsigned, as wide as the largest bound needs.

    Raises
    ------
    TypeError, ValueError
        If a bound is none, or the loop is not in the body of a kernel, inside the loops that are open.
    """
    nest = traced()
    if nest is None:
        raise TypeError("loop stands in the body of a kernel: write range(n) for a loop of Python.")
    if not bounds:
        raise TypeError("loop takes how often it runs: loop(n), or loop(m, n) for pairs.")
    nest.admit()
    place, first, steady = caller_place(), len(nest.levels), not nest.innermost
    levels = [
        _level(bound, f"_loop{first + n}", place, steady, shared=steady or n < len(bounds) - 1)
        for n, bound in enumerate(bounds)
    ]
    nest.open(levels)
    yield levels[0].value if len(levels) == 1 else tuple(level.value for level in levels)
    nest.close(levels)


def _level(bound: Any, name: str, place: str, steady: bool, *, shared: bool) -> Level:
    if isinstance(bound, Value):
        most = _largest(bound)
    elif isinstance(bound, bool) or not isinstance(bound, int):
        raise TypeError(f"loop takes numbers of Python, or unsigned values of the kernel's arguments, not {bound!r}.")
    elif bound < 1:
        raise ValueError(f"loop runs at least once where its bound is a number: not {bound} times.")
    else:
        most = bound
    if most >= 1 << WIDEST_BOUND:
        raise ValueError(f"loop counts to less than 2**{WIDEST_BOUND}, and {bound!r} goes to {most}: clamp it.")
    high = max(0, most - 1)
    value = Value("arg", (), t.int_type(0, high), name=name, shared=shared, high=high, steady=steady)
    return Level(bound, most, place, value)


def _largest(bound: Value) -> int:
    """Largest number that a bound can be."""
    if not isinstance(bound.type, UInt):
        raise TypeError(f"loop counts to an unsigned value, not to {bound.type}: write clamp(n, 0, most).")
    for v in topological([bound]):
        own = v.op == "arg" and "high" not in v.attrs
        if v.op in ("read", "index") or v.phase or not (own or v.op == "const" or v.args):
            raise TypeError(
                "The bound of a loop depends on the kernel's arguments and numbers only, not on a memory or another "
                "loop: loop to the largest one, and select what counts."
            )
    found = ranges_of([bound])[id(bound)]
    assert found is not None, "a bound is an integer"
    return found[1]
