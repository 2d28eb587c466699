"""Rates of streams, as synchronous dataflow has them: how many packets, and how many beats a packet.

A rate is a multiple of what an input of the region has, which is unknown. Where streams meet their rates have to be
equal: a balance equation (Lee and Messerschmitt, 1987), which binds an unknown or is contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


class Unknown:
    """What an input has, until a balance equation binds it.

    Parameters
    ----------
    name
        The input's.
    """

    def __init__(self, name: str):
        self.name = name
        self.value: Ratio | None = None
        self.reduced = False
        """Whether it is the length of packets that a kernel reduces: no number, then."""


@dataclass(frozen=True)
class Ratio:
    """A multiple of an unknown, or a number."""

    factor: Fraction
    of: Unknown | None = None

    def times(self, factor: Fraction | int) -> Ratio:
        """So many times of it."""
        return Ratio(self.factor * factor, self.of)

    def settled(self) -> Ratio:
        """The same as a multiple of an unknown that nothing binds."""
        found = self
        while found.of is not None and found.of.value is not None:
            found = Ratio(found.factor * found.of.value.factor, found.of.value.of)
        return found

    def equate(self, other: Ratio) -> bool:
        """Whether two can be equal; if so they are from now on."""
        a, b = self.settled(), other.settled()
        if a.of is b.of:
            return a.factor == b.factor
        if b.of is None:
            a, b = b, a
        assert b.of is not None, "two numbers have no unknown"
        bound = Ratio(a.factor / b.factor, a.of)
        if bound.of is None and (b.of.reduced or bound.factor.denominator != 1):
            return False  # a packet has whole beats
        if bound.of is not None:
            bound.of.reduced |= b.of.reduced
        b.of.value = bound
        return True


@dataclass(frozen=True)
class Flow:
    """Rate of a stream."""

    packets: Ratio
    """Packets, for each packet of an input."""
    beats: Ratio
    """Beats of a packet: for each beat of an input's packet, or a number."""

    @staticmethod
    def of_input(name: str) -> Flow:
        """Rate of an input of the region."""
        return Flow(Ratio(Fraction(1), Unknown(name)), Ratio(Fraction(1), Unknown(name)))

    def scaled(self, beats: Fraction | int = 1, packets: Fraction | int = 1) -> Flow:
        """So many times of the beats of a packet, and of the packets; a TypeError where beats are not whole."""
        flow = Flow(self.packets.times(packets), self.beats.times(beats))
        flow.check()
        return flow

    def check(self) -> None:
        """Raise a TypeError if a packet cannot have whole beats."""
        beats = self.beats.settled()
        if beats.of is None and beats.factor.denominator != 1:
            raise TypeError(
                f"A packet of this stream would have {beats.factor} beats; its length is given, and is a whole number."
            )

    def one_beat(self) -> Flow:
        """One beat a packet, because something reduces packets."""
        unknown = self.beats.settled().of
        if unknown is not None:
            unknown.reduced = True
        return Flow(self.packets, Ratio(Fraction(1)))

    def meet(self, other: Flow) -> None:
        """Make two rates equal; a TypeError says how they differ."""
        self.meet_packets(other)
        _balance(self.beats, other.beats, "beat")

    def meet_packets(self, other: Flow) -> None:
        """Make the rates of packets equal, not their lengths; a TypeError says how they differ."""
        _balance(self.packets, other.packets, "packet")


def _balance(mine: Ratio, its: Ratio, what: str) -> None:
    if not mine.equate(its):
        a, b = mine.settled(), its.settled()
        raise TypeError(
            f"Streams of different rates meet: one has {_told(a, what)}, the other {_told(b, what)}; split, widen, "
            "narrow or repeat one of them."
        )


def _told(ratio: Ratio, what: str) -> str:
    """Say a rate."""
    number = f"{ratio.factor} {what}{'' if ratio.factor <= 1 else 's'}"
    return f"{number} for each of {ratio.of.name}" if ratio.of is not None else f"{number} a packet"
