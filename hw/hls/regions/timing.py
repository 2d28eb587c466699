"""When beats move in a region: parts and the links between them, executed until their state recurs.

That gives the exact throughput for sizes of FIFOs (Stuijk, Geilen and Basten, "Throughput-Buffering Trade-Off
Exploration for Cyclo-Static and Synchronous Dataflow Graphs", IEEE Trans. Computers 57(10), 2008).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction

from rtlm.hw.hls.regions.parts import Part, Queue

IDLE = 64
"""Cycles without a beat taken after which it is looked whether anything still moves."""


@dataclass(eq=False, slots=True)
class Link:
    """An edge at work: a wire if it has no queue."""

    queue: Queue | None
    done: bool = False
    inward: int = 0
    outward: int = 0
    accepts: bool = False
    popped: bool = False


@dataclass
class Network:
    """Parts and the links between them.

    Parameters
    ----------
    parts
        Those before the ones that read them.
    links
        All edges.
    sources
        For each part, the edges of each input.
    targets
        For each part, the edges of each output.
    """

    parts: list[Part]
    links: list[Link]
    sources: list[list[list[Link]]]
    targets: list[list[list[Link]]]
    fired: bool = False
    """Whether a beat of the first input was taken in the last cycle."""

    def cycle(self) -> None:
        """Pass a cycle."""
        beats = [part.outs() for part in self.parts]
        for outs, ports in zip(beats, self.targets, strict=True):
            for beat, links in zip(outs, ports, strict=True):
                for link in links:
                    link.inward = 0 if link.done else beat
                    link.outward = link.queue.out if link.queue else link.inward
        taken: list[list[bool]] = [[]] * len(self.parts)
        offered: list[list[int]] = [[]] * len(self.parts)
        for n in range(len(self.parts) - 1, -1, -1):
            outs_taken = taken[n] = []
            for links in self.targets[n]:
                settled = True
                for link in links:
                    settled = settled and (link.done or link.accepts)
                outs_taken.append(settled)
            given = offered[n] = []
            for links in self.sources[n]:
                beat = links[0].outward
                for link in links:
                    beat = beat if link.outward else 0
                given.append(beat)
            for links, beat, ready in zip(
                self.sources[n], given, self.parts[n].readies(given, outs_taken), strict=True
            ):
                popped = bool(ready and beat)
                for link in links:
                    link.popped = popped
                    link.accepts = link.queue.ready if link.queue else popped
        for n, part in enumerate(self.parts):
            part.step(offered[n], taken[n])
            for beat, out_taken, links in zip(beats[n], taken[n], self.targets[n], strict=True):
                for link in links:
                    moved = link.inward if link.accepts else 0
                    link.done = not (beat and out_taken) and (link.done or moved > 0)
                    if link.queue:
                        link.queue.step(moved, link.popped)
        self.fired = bool(beats[0][0] and taken[0][0])

    def state(self) -> Hashable:
        """What the next cycle depends on."""
        return (
            tuple(part.state() for part in self.parts),
            tuple((link.done, link.queue.state() if link.queue else None) for link in self.links),
        )

    def interval(self, iteration: int) -> Fraction | None:
        """Cycles for each beat of the first input in the long run; None if nothing moves any more.

        Parameters
        ----------
        iteration
            Beats of the first input after which the state is looked at.
        """
        seen: dict[Hashable, tuple[int, int]] = {}
        cycle = beats = idle = 0
        before: Hashable = None
        while True:
            self.cycle()
            cycle, idle = cycle + 1, idle + 1
            if self.fired:
                beats, idle = beats + 1, 0
                if beats % iteration == 0:
                    state = self.state()
                    if state in seen:
                        then, count = seen[state]
                        return Fraction(cycle - then, beats - count)
                    seen[state] = cycle, beats
            elif idle % IDLE >= IDLE - 2:
                state = self.state()
                if idle % IDLE == IDLE - 1 and state == before:
                    return None
                before = state

    def first_beat(self) -> int:
        """Cycles from the first beat in to the first beat out of the last part; it is known that it comes."""
        sources = self.sources[-1][0]
        cycle = 0
        while True:
            self.cycle()
            if all(link.outward for link in sources):
                return cycle
            cycle += 1
