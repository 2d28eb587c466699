"""Nodes of a region as they are timed, cycle by cycle as the gates do it, with no data.

A beat is 1, one that ends a packet 2, none 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Any

from rtlm.hw.hls.banks import BANKS
from rtlm.hw.hls.phase import queue_words
from rtlm.hw.hls.plan import Plan
from rtlm.hw.hls.regions import streams as s
from rtlm.hw.hls.report import RESULT_DEPTH

SHALLOW = 32
"""Deepest FIFO in distributed memory, which is read in the cycle behind the one of the write; others take two."""


class Queue:
    """FIFO of Amaranth's library: ``SyncFIFO`` up to `SHALLOW` entries, else ``SyncFIFOBuffered``."""

    def __init__(self, depth: int, *, buffered: bool | None = None):
        self.buffered = depth > SHALLOW if buffered is None else buffered
        self.room = depth - 1 if self.buffered else depth
        self.inner: deque[int] = deque()
        self.out = 0
        """Beat at its end."""
        self.ready = self.room > 0
        """Whether it takes a beat."""
        self.peak = 0
        """Most beats that it has held."""

    def step(self, pushed: int, popped: bool) -> None:
        """Pass a cycle."""
        inner = self.inner
        if self.buffered:
            if popped or not self.out:
                self.out = inner.popleft() if inner else 0
            if pushed:
                inner.append(pushed)
        else:
            if popped:
                inner.popleft()
            if pushed:
                inner.append(pushed)
            self.out = inner[0] if inner else 0
        self.ready = len(inner) < self.room
        if pushed and len(inner) >= self.peak:
            self.peak = len(inner) + (self.buffered and self.out > 0)

    def state(self) -> Hashable:
        """What the next cycle depends on."""
        return self.out, tuple(self.inner)


class Part:
    """Something with streams in and out; outputs depend on its state only."""

    def outs(self) -> Sequence[int]:
        """Beat at each output."""
        raise NotImplementedError

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:
        """Whether each input is ready, for what is offered at each, and outputs that would be taken or not."""
        raise NotImplementedError

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:
        """Pass a cycle with what is offered at each input."""
        raise NotImplementedError

    def state(self) -> Hashable:
        """What the next cycle depends on."""
        raise NotImplementedError


class Source(Part):
    """An input of the region: packets of one length; beats as soon as they are taken, or so many cycles apart."""

    def __init__(self, length: int, pace: Fraction = Fraction(0)):
        self.length, self.pace = length, pace
        self.place = self.wait = 0  # The time until the next beat, in units of a denominator-th of a cycle.

    def outs(self) -> Sequence[int]:  # noqa: D102
        if self.wait > 0:
            return (0,)
        return (2 if self.place == self.length - 1 else 1,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return ()

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        if taken[0] and self.wait <= 0:
            self.place = (self.place + 1) % self.length
            self.wait += self.pace.numerator
        if self.pace:
            self.wait = max(self.wait - self.pace.denominator, -self.pace.denominator)

    def state(self) -> Hashable:  # noqa: D102
        return self.place, self.wait


class Pipe(Part):
    """As :class:`.pipeline.Pipeline`."""

    def __init__(self, stages: int, interval: int = 1, *, packet_end: bool = False):
        self.beats = deque([0] * stages)
        self.interval, self.packet_end = interval, packet_end
        self.inside = self.slot = 0
        self.active = False

    def outs(self) -> Sequence[int]:  # noqa: D102
        beat = self.beats[-1]
        return (0 if self.packet_end and beat == 1 else beat,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return ((taken[0] or not self.outs()[0]) and not self.slot,)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        beat = 0 if self.slot else offered[0]
        moves = (taken[0] or not self.outs()[0]) and (beat or self.active)
        self.active = bool(beat or self.slot or self.inside)
        if moves:
            self.slot = (self.slot + 1) % self.interval if self.active else 0
            self.inside += bool(beat) - bool(self.beats.pop())
            self.beats.appendleft(beat)

    def state(self) -> Hashable:  # noqa: D102
        return tuple(self.beats), self.slot, self.active


class LoadedPipe(Pipe):
    """A pipeline that reads memories, each as :class:`.banks.LoadedMemory`.

    Parameters
    ----------
    stages, interval, packet_end
        As of `Pipe`.
    freeing
        For each memory, the stage whose beat frees a bank.
    uses
        Packets that read a load; the last beat of the last is 3 inside.
    """

    def __init__(self, stages: int, interval: int, *, packet_end: bool, freeing: Sequence[int], uses: int):
        super().__init__(stages, interval, packet_end=packet_end)
        self.freeing, self.uses, self.packets = freeing, uses, 0
        self.full, self.claimable = [0] * len(freeing), [0] * len(freeing)

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (min(super().outs()[0], 2),)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        (ready,) = super().readies(offered, taken)
        return (ready and all(self.claimable), *(full != BANKS for full in self.full))

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        beat = offered[0] if all(self.claimable) else 0
        accepted = beat and super().readies(offered, taken)[0]
        claims = False
        if accepted and beat == 2:
            self.packets = (self.packets + 1) % self.uses
            claims = not self.packets
        beat = 3 if claims else beat
        entering = 0 if self.slot else beat
        moves = (taken[0] or not self.outs()[0]) and (entering or self.active)
        for m, stage in enumerate(self.freeing):
            freed = moves and (self.beats[stage - 1] if stage else entering) == 3
            done = offered[m + 1] == 2 and self.full[m] != BANKS
            self.full[m] += done - freed
            self.claimable[m] += done - claims
        super().step((beat,), taken)

    def state(self) -> Hashable:  # noqa: D102
        return super().state(), self.packets, tuple(self.full), tuple(self.claimable)


class Hold(Part):
    """FIFOs between phases of a kernel: elements wait for the results of their packet."""

    def __init__(self, depth: int):
        self.elements, self.results = Queue(depth, buffered=True), Queue(RESULT_DEPTH, buffered=True)

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (self.elements.out if self.results.out else 0,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return (self.elements.ready and self.results.ready,)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        pushed = offered[0] if self.elements.ready and self.results.ready else 0
        popped = self.outs()[0] if taken[0] else 0
        self.elements.step(pushed, popped > 0)
        self.results.step(2 if pushed == 2 else 0, popped == 2)

    def state(self) -> Hashable:  # noqa: D102
        return self.elements.state(), self.results.state()


def of_kernel(plan: Plan, max_length: int, memories: Sequence[str], uses: int) -> Part:
    """Return the timing of a kernel, with the memories that are its inputs in their order."""
    parts: list[Part] = []
    for index, phase in enumerate(plan.phases):
        final = index == len(plan.phases) - 1
        end = not final and not phase.every_beat
        if memories and not index:
            words = phase.words.values()
            freeing = [max(net.reads_at for net in words if net.memory == name) for name in memories]
            parts.append(LoadedPipe(phase.stages, phase.interval, packet_end=end, freeing=freeing, uses=uses))
        else:
            parts.append(Pipe(phase.stages, phase.interval, packet_end=end))
        if not final and phase.every_beat:
            parts.append(Hold(queue_words(phase, plan.phases[index + 1], max_length)))
    return Chain(parts) if len(parts) > 1 else parts[0]


class Chain(Part):
    """Phases of a kernel."""

    def __init__(self, parts: list[Part]):
        self.parts = parts
        self.taken: list[bool] = []

    def outs(self) -> Sequence[int]:  # noqa: D102
        return self.parts[-1].outs()

    def _taken(self, taken: Sequence[bool]) -> list[bool]:
        """Whether each part's output is taken, were there one."""
        found = [taken[0]]
        for part in reversed(self.parts[1:]):
            found.append(part.readies((), found[-1:])[0])
        return found[::-1]

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        self.taken = self._taken(taken)
        return self.parts[0].readies(offered, self.taken[:1])

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        beats = [part.outs() for part in self.parts[:-1]]
        for part, beat, out in zip(self.parts, [offered, *beats], self.taken, strict=True):
            part.step(beat, (out,))

    def state(self) -> Hashable:  # noqa: D102
        return tuple(part.state() for part in self.parts)


class Gather(Part):
    """As :class:`.rate_gates.Widener`."""

    def __init__(self, count: int):
        self.count, self.place, self.out = count, 0, 0

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (self.out,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return (self.place != self.count - 1 or not self.out or taken[0],)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        accepts = self.readies(offered, taken)[0]
        if taken[0]:
            self.out = 0
        if offered[0] and accepts:
            if self.place == self.count - 1:
                self.out = offered[0]
            self.place = (self.place + 1) % self.count

    def state(self) -> Hashable:  # noqa: D102
        return self.place, self.out


class Spread(Part):
    """As :class:`.rate_gates.Narrower`."""

    def __init__(self, count: int):
        self.count, self.place, self.held = count, 0, 0

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (self.held if self.place == self.count - 1 else min(self.held, 1),)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return (not self.held or (taken[0] and self.place == self.count - 1),)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        accepts = self.readies(offered, taken)[0]
        if self.held and taken[0]:
            self.place = (self.place + 1) % self.count
            self.held = self.held if self.place else 0
        if offered[0] and accepts:
            self.held = offered[0]

    def state(self) -> Hashable:  # noqa: D102
        return self.place, self.held


class Replay(Part):
    """As :class:`.rate_gates.PacketRepeater`."""

    def __init__(self, count: int):
        self.count = count
        self.stored: deque[int] = deque()
        self.written = self.address = self.round = self.out = 0

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (self.out,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return (len(self.stored) < 2,)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        accepts, packets = len(self.stored) < 2, list(self.stored)
        if taken[0] or not self.out:
            self.out = 0
            if packets:
                self.out = 2 if self.address == packets[0] - 1 else 1
                self.address = (self.address + 1) % packets[0]
                if self.out == 2:
                    self.round = (self.round + 1) % self.count
                    if not self.round:
                        self.stored.popleft()
        if offered[0] and accepts:
            self.written += 1
            if offered[0] == 2:
                self.stored.append(self.written)
                self.written = 0

    def state(self) -> Hashable:  # noqa: D102
        return tuple(self.stored), self.written, self.address, self.round, self.out


class Deal(Part):
    """As :class:`.rate_gates.Distributor`."""

    def __init__(self, count: int):
        self.count, self.turn, self.held = count, 0, 0

    def outs(self) -> Sequence[int]:  # noqa: D102
        return [self.held if k == self.turn else 0 for k in range(self.count)]

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return (not self.held or taken[self.turn],)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        accepts = self.readies(offered, taken)[0]
        if self.held and taken[self.turn]:
            self.turn = (self.turn + (self.held == 2)) % self.count
            self.held = 0
        if offered[0] and accepts:
            self.held = offered[0]

    def state(self) -> Hashable:  # noqa: D102
        return self.turn, self.held


class Merge(Part):
    """As :class:`.rate_gates.Collector`."""

    def __init__(self, count: int):
        self.count, self.turn, self.held = count, 0, 0

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (self.held,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        accepts = taken[0] or not self.held
        return [accepts and k == self.turn for k in range(self.count)]

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        if taken[0] or not self.held:
            self.held = offered[self.turn]
            self.turn = (self.turn + (self.held == 2)) % self.count

    def state(self) -> Hashable:  # noqa: D102
        return self.turn, self.held


class Keep(Part):
    """As :class:`.rate_gates.Keeper`."""

    def __init__(self) -> None:
        self.held = 0

    def outs(self) -> Sequence[int]:  # noqa: D102
        return (self.held,)

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        moves = taken[0] or not self.held
        return (moves and offered[1] == 2, moves and offered[0] > 0)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        if taken[0] or not self.held:
            self.held = offered[1] if offered[0] else 0

    def state(self) -> Hashable:  # noqa: D102
        return self.held


class Sink(Part):
    """An output of the region, always taken."""

    def outs(self) -> Sequence[int]:  # noqa: D102
        return ()

    def readies(self, offered: Sequence[int], taken: Sequence[bool]) -> Sequence[bool]:  # noqa: D102
        return (True,)

    def step(self, offered: Sequence[int], taken: Sequence[bool]) -> None:  # noqa: D102
        pass

    def state(self) -> Hashable:  # noqa: D102
        return None


PARTS: dict[type, Any] = {
    s.Widen: Gather,
    s.Narrow: Spread,
    s.Repeat: Spread,
    s.RepeatPackets: Replay,
    s.Distribute: Deal,
    s.Collect: Merge,
}
"""Timing of each operator of rates, by its number."""
