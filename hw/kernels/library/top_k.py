"""The largest values of a packet, by insertion into a sorted row of registers."""

from typing import Any, NamedTuple

from rtlm.hw.hls import SInt, UInt, Vec, Vector, fold, index, kernel, select, zeros
from rtlm.hw.hls.sequence import filled

K = 4
LEAST = -(1 << 15)


class Best(NamedTuple):
    """Largest values, and their places in the packet."""

    value: Vec[SInt(16), K]
    place: Vec[UInt(16), K]


def insert(best: Best, x: Any, place: Any) -> Best:
    """Put a new value behind those that are at least as large."""
    stays = [old >= x for old in best.value]
    # Each place keeps its value, takes the new one, or gets its neighbour's.
    new: list[Any] = []
    where: list[Any] = []
    for n in range(K):
        moves = ~stays[n - 1] if n else None
        for row, old, item in ((new, best.value, x), (where, best.place, place)):
            enters = select(moves, old[n - 1], item) if n else item
            row.append(select(stays[n], old[n], enters))
    return Best(Vector(new), Vector(where))


@kernel
def top_k(x: SInt(16)) -> Best:
    """The K largest elements in falling order; the first among equals. Shorter packets leave LEAST at place 0."""
    return fold(insert, Best(filled(Vec[SInt(16), K], LEAST), zeros(Vec[UInt(16), K])), x, index(UInt(16)))
