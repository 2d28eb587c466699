"""What benches share in cocotb: clock and reset, sources and sinks of valid/ready streams, budgets of cycles.

Signals are looked at behind a rising edge, where they still have the values that the edge meets; what is set there
holds until the next one.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Event, RisingEdge, SimTimeoutError, with_timeout
from rtlm.sim.verilator.cocotb_runner import CLOCK_PERIOD_NS

RESET_CYCLES = 3
EXPONENT = 30
"""A budget is missed by chance less often than once in exp(30) = 10^13 times."""
UNIT_MARGIN = 2
"""Cycles that a unit may take itself, as a multiple of what its documentation says."""


def budget(count, chance):
    """Return the cycles in which `count` transfers must be over when each cycle allows one with at least this chance.

    Of n cycles a binomial number allows a transfer, with the mean m = n chance. For m = 2 count + 2 EXPONENT fewer than
    `count` do with a probability below exp(-(m - count)²/2m) <= exp(-EXPONENT) (Chernoff's bound).
    """
    return math.ceil(2 * (count + EXPONENT) / chance)


async def reset(dut, **inputs):
    """Hold reset for some cycles and let it go; inputs of the given names get their values before."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    for _ in range(RESET_CYCLES):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


def start_clock(dut):
    """Start the clock."""
    cocotb.start_soon(Clock(dut.clk, CLOCK_PERIOD_NS, unit="ns").start())


async def power_up(dut, **inputs):
    """Start the clock, and reset."""
    start_clock(dut)
    await reset(dut, **inputs)


async def until(dut, condition, cycles, complaint="this should have happened"):
    """Wait for an edge at which a condition holds; fail where it takes more than so many cycles.

    Parameters
    ----------
    dut
        It has a clock ``clk``.
    condition
        Called behind every edge.
    cycles
        The most.
    complaint
        Text, or a function that gives it at the end.
    """
    for _ in range(cycles):
        await RisingEdge(dut.clk)
        if condition():
            return
    text = complaint() if callable(complaint) else complaint
    raise AssertionError(f"{text} within {cycles} cycles")


class Hold:
    """The rule that what is offered stays as it is until it is taken.

    Parameters
    ----------
    name
        Of the stream, for the complaint.
    """

    def __init__(self, name):
        self._name, self._held = name, None

    def forget(self):
        """Let what waits go: its unit is reset."""
        self._held = None

    def see(self, payload, taken):
        """Note what is offered in a cycle (None: nothing) and whether the other side takes; return what moves."""
        assert self._held is None or payload == self._held, (
            f"{self._name}: payload changed or valid fell while it was not taken"
        )
        self._held = None if taken else payload
        return payload if taken else None


class Stream:
    """The signals of a stream, by its name and what stands between name and part."""

    def __init__(self, dut, name, separator):
        self.dut, self.name = dut, name
        self.valid, self.payload = (getattr(dut, f"{name}{separator}{part}") for part in ("valid", "payload"))
        # A stream that is always ready has no port that says so.
        self.ready: Any = getattr(dut, f"{name}{separator}ready", None)


class Source(Stream):
    """Offers payloads in order, each until it is taken, with gaps before them; in a gap the payload is garbage.

    Parameters
    ----------
    dut, name, separator
        The stream.
    rng
        Its `random.Random`.
    chance
        That what waits is offered, in each cycle.
    """

    def __init__(self, dut, name, rng, *, chance=1.0, separator="__"):
        super().__init__(dut, name, separator)
        self.rng, self.chance = rng, chance
        self.queue: deque[int] = deque()
        self.sent = 0
        self._offered = False
        self._empty = Event()
        self.valid.value = 0

    def push(self, payloads: Iterable[int]) -> None:
        """Queue payloads."""
        self.queue.extend(payloads)
        self._offer()

    async def send(self, *payloads: int, cycles: int) -> None:
        """Queue payloads and wait until the last has been taken; fail where that takes more than so many cycles."""
        if not payloads:
            return
        self._empty.clear()
        self.push(payloads)
        try:
            await with_timeout(self._empty.wait(), cycles * CLOCK_PERIOD_NS, "ns")
        except SimTimeoutError:
            left = f"{len(self.queue)} of {len(payloads)} payloads"
            raise AssertionError(f"{self.name}: {left} were not taken within {cycles} cycles") from None

    def withdraw(self) -> None:
        """Offer nothing any more: for a unit in reset."""
        self.queue.clear()
        self._offered = False
        self.valid.value = 0

    def edge(self) -> None:
        """Do what is to be done behind an edge."""
        # What has been queued behind this very edge is not offered yet.
        if self._offered and self.valid.value and (self.ready is None or self.ready.value):
            self.queue.popleft()
            self.sent += 1
            self._offered = False
            self.valid.value = 0
            if not self.queue:
                self._empty.set()
        self._offer()

    async def run(self):
        """Do it behind every edge."""
        while True:
            await RisingEdge(self.dut.clk)
            self.edge()

    def _offer(self) -> None:
        if self._offered or not self.queue:
            return
        self._offered = self.rng.random() < self.chance
        self.valid.value = int(self._offered)
        self.payload.value = self.queue[0] if self._offered else self.rng.getrandbits(len(self.payload))


class Sink(Stream):
    """Takes payloads with back-pressure, keeps them, and checks that each holds until it is taken.

    Parameters
    ----------
    dut, name, separator
        The stream.
    rng
        Its `random.Random`.
    chance
        That it is ready in a cycle.
    check
        Called with each payload and its number.
    holds
        False for a stream that may change its mind.
    """

    def __init__(
        self,
        dut,
        name,
        rng,
        *,
        chance=1.0,
        check: Callable[[int, int], None] = lambda *_: None,
        holds=True,
        separator="__",
    ):
        super().__init__(dut, name, separator)
        self.rng, self.chance, self.check = rng, chance, check
        self.taken: list[int] = []
        self.holds, self.hold = holds, Hold(name)
        self.ready.value = 0

    def edge(self) -> int | None:
        """Do what is to be done behind an edge; return the payload that moved."""
        if not self.holds:
            self.hold.forget()
        offered = int(self.payload.value) if self.valid.value else None
        moved = self.hold.see(offered, bool(self.ready.value))
        if moved is not None:
            self.check(moved, len(self.taken))
            self.taken.append(moved)
        self.ready.value = int(self.rng.random() < self.chance)
        return moved

    async def run(self):
        """Do it behind every edge; a complaint ends the test."""
        while True:
            await RisingEdge(self.dut.clk)
            self.edge()
