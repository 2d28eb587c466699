"""The loops of a nest in gates: counters that turn a command into the beats of its iterations."""

from __future__ import annotations

from collections import Counter as Multiset
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from rtlm.hw.hls.emit import field_shape
from rtlm.hw.hls.nests.lowering import Counter, Lowered, command_arguments
from rtlm.hw.hls.technology import Technology


class LoopCounters(wiring.Component):
    """Counters of a nest: a command in, the beats of its iterations out, the innermost loop fastest.

    Protocol: streams with valid and ready; ``ready`` of a command depends on that of the beats, ``valid`` does not. A
    command with a bound of 0 makes one beat, with ``_void``.

    Latency: a command's first beat comes two cycles behind it.

    Throughput: a beat a cycle, also from one command to the next.

    Parameters
    ----------
    lowered
        The nest.
    held
        Fields of a command that each of its beats has too: names and shapes.
    releases
        Whether a command has ``release``; the last of its beats has it then.
    tag
        Shape of a command's tag, or None.

    Attributes
    ----------
    i : In(stream.Signature(StructLayout))
        What `held` says, ``_last<n>`` for each loop whose bound is none of Python (its beats less one), ``_tail``
        (lanes of the innermost loop's last beat less one), ``_empty`` (a bound is 0), factors, ``release``, ``tag``.
    o : Out(stream.Signature(StructLayout))
        Arguments of the body by name, ``last`` (of the innermost loop), ``_end`` (of the command), ``_void``,
        ``release``, ``tag``.
    busy : Out(1)
        A command or a beat is inside; from registers.
    """

    def __init__(self, lowered: Lowered, held: dict[str, Shape], *, releases: bool, tag: Shape | None):
        self.lowered, self.releases, self.tag = lowered, releases, tag
        extra = ({"release": unsigned(1)} if releases else {}) | ({} if tag is None else {"tag": tag})
        setup = {name: v.type.shape for name, v in lowered.setup.items()}
        self.void = "_empty" in lowered.setup
        flags = {"last": unsigned(1), "_end": unsigned(1)} | ({"_void": unsigned(1)} if self.void else {})
        arguments = {v.attrs["name"]: field_shape(v, lowered.lanes) for v in lowered.body.graph.args}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(held | setup | extra))),
                "o": Out(stream.Signature(data.StructLayout(arguments | flags | extra))),
                "busy": Out(1),
            }
        )
        levels = range(len(lowered.nest.levels))
        self._command = Signal(self.i.payload.shape(), name="command", reset_less=True)
        self._beat = Signal(self.o.payload.shape(), name="beat", reset_less=True)
        self._left = [Signal(max(1, self._last(n).bit_length()), name=f"left{n}") for n in levels]
        self._ends = [Signal(name=f"end{n}") for n in levels]  # a loop is in its last beat
        self._once = [Signal(name=f"once{n}") for n in levels]  # a loop of the command has one beat
        self._registers = {id(c): _registers(c, lowered.lanes) for c in lowered.counters if c.level is not None}

    def _last(self, n: int) -> int:
        """Largest number of beats of a loop, less one."""
        return self.lowered.beats(self.lowered.nest.levels[n]) - 1

    def elaborate(self, platform: object) -> Module:
        """Count."""
        m = Module()
        running, full, move, done = (Signal(name=n) for n in ("running", "full", "move", "done"))
        empty = self._command["_empty"] if self.void else Const(0, 1)
        m.d.comb += [
            move.eq(running & (~full | self.o.ready)),
            done.eq(Cat(*self._ends).all() | empty),
            self.i.ready.eq(~running | (move & done)),
            self.o.valid.eq(full),
            self.o.payload.eq(self._beat),
            self.busy.eq(running | full),
        ]
        with m.If(move):
            m.d.sync += [full.eq(1), *self._issue(empty, done)]
            inner: Value = Const(1, 1)
            for n, end in reversed(list(enumerate(self._ends))):
                with m.If(inner & end):
                    m.d.sync += self._begin(n, self._command, self._once[n])
                with m.Elif(inner):
                    m.d.sync += self._next(n)
                inner = inner & end
        with m.Elif(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.ready):
            m.d.sync += running.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += self._command.eq(self.i.payload)
                for n, once in enumerate(self._once):
                    last = self._number(n, self.i.payload)
                    m.d.sync += [once.eq(last == 0), *self._begin(n, self.i.payload, last == 0)]
        return m

    def _number(self, n: int, command: Any) -> Value:
        """Beats of a loop, less one."""
        known = isinstance(self.lowered.nest.levels[n].bound, int)
        return Const(self._last(n), len(self._left[n])) if known else command[f"_last{n}"]

    def _counts(self, n: int) -> list[Counter]:
        return [c for c in self.lowered.counters if c.level is self.lowered.nest.levels[n]]

    def _begin(self, n: int, command: Any, once: Value) -> list:
        """Begin a loop."""
        first = [
            register.eq(lane * c.factor if isinstance(c.factor, int) else 0)
            for c in self._counts(n)
            for lane, register in enumerate(self._registers[id(c)])
        ]
        return [self._left[n].eq(self._number(n, command)), self._ends[n].eq(once), *first]

    def _next(self, n: int) -> list:
        """Go on to the next beat of a loop."""
        left = self._left[n]
        steps = []
        for c in self._counts(n):
            lanes = self.lowered.lanes if c.value.per_lane else 1
            step = c.factor * lanes if isinstance(c.factor, int) else self._command[c.source]
            steps += [register.eq(register + step) for register in self._registers[id(c)]]
        return [left.eq(left - 1), self._ends[n].eq(left == 1), *steps]

    def _issue(self, empty: Value, done: Value) -> list:
        """Make a beat of the counters as they are."""
        lowered, command = self.lowered, self._command
        packet = Cat(*self._ends[len(self._ends) - len(lowered.nest.packet) :]).all() | empty
        fields: dict[str, Value] = {"last": packet, "_end": done}
        if self.void:
            fields["_void"] = empty
        if self.releases:
            fields["release"] = command["release"] & done
        if self.tag is not None:
            fields["tag"] = command["tag"]
        counters = {id(c.value): c for c in lowered.counters}
        for v in lowered.body.graph.args:
            fields[v.attrs["name"]] = self._active() if v is lowered.active else self._argument(v, counters.get(id(v)))
        return [Value.cast(self._beat[name]).eq(value) for name, value in fields.items()]

    def _argument(self, v: Any, counter: Counter | None) -> Value:
        """An argument of the body: a field of the command, or a counter."""
        if counter is None:
            return self._command[v.attrs["name"]]
        if counter.level is None:
            return self._command[counter.source]
        registers = self._registers[id(counter)]
        if not _wired(counter, self.lowered.lanes):
            return Cat(*registers)
        low = (self.lowered.lanes - 1).bit_length()
        lanes = (Cat(Const(lane, low), registers[0][low:]) for lane in range(self.lowered.lanes))
        return Cat(*(count[: v.type.width] for count in lanes))

    def _active(self) -> Value:
        """Lanes that have an iteration: all but those behind the end of the innermost loop."""
        lowered, bound = self.lowered, self.lowered.nest.levels[-1].bound
        tail = self._command["_tail"] if "_tail" in lowered.setup else Const((bound - 1) % lowered.lanes)
        return Cat(*(Mux(self._ends[-1], tail >= lane, 1) for lane in range(lowered.lanes)))


def _wired(c: Counter, lanes: int) -> bool:
    """Whether the lanes' counts are one count with other low bits."""
    one = isinstance(c.factor, int) and c.factor == 1
    return one and c.value.per_lane and lanes & (lanes - 1) == 0


def _registers(c: Counter, lanes: int) -> list[Signal]:
    """Registers of a counter: of the innermost loop, one for each lane."""
    name, width = c.value.attrs["name"], c.value.type.width
    if not c.value.per_lane or _wired(c, lanes):
        return [Signal(width, name=name)]
    return [Signal(width, name=f"{name}_{lane}") for lane in range(lanes)]


def counter_operators(lowered: Lowered) -> Multiset[str]:
    """Return how many counters there are of each type."""
    found: Multiset[str] = Multiset()
    for c in lowered.counters:
        if c.level is not None:
            found[f"{c.value.type} loop counter"] += len(_registers(c, lowered.lanes))
    return found


def counter_bits(lowered: Lowered) -> int:
    """Return the register bits of the counters: of a command, of a beat, and of what counts."""
    given = sum(v.type.width for v in [*command_arguments(lowered.kernel), *lowered.setup.values()])
    beat = sum(v.type.width * (lowered.lanes if v.per_lane else 1) for v in lowered.body.graph.args)
    left = sum(2 + (lowered.beats(level) - 1).bit_length() for level in lowered.nest.levels)
    counts = sum(c.value.type.width * len(_registers(c, lowered.lanes)) for c in lowered.counters if c.level)
    return given + beat + left + counts


def counter_delay(lowered: Lowered, technology: Technology) -> float:
    """Return the longest path of the counters, in nanoseconds: which loops end, then what a counter counts next."""
    width = max([c.value.type.width for c in lowered.counters], default=1)
    return technology.gather(len(lowered.nest.levels) + 2) + technology.levels(1) + technology.add(width)


def longest_packet(lowered: Lowered) -> int:
    """Return the largest number of beats of a packet."""
    most = 1
    for level in lowered.nest.packet:
        most *= lowered.beats(level)
    return most


def product_text(lowered: Lowered) -> str:
    """Write the number of beats of a command as a product of bounds."""
    factors = []
    for level, name in zip(lowered.nest.levels, bound_names(lowered), strict=True):
        inner = level is lowered.nest.levels[-1] and lowered.lanes > 1
        if isinstance(level.bound, int):
            factors.append(str(lowered.beats(level)))
        else:
            factors.append(f"ceil({name} / {lowered.lanes})" if inner else name)
    return " * ".join(factors)


def bound_names(lowered: Lowered) -> list[str]:
    """Return how each bound is called: its number, its argument, or what it is at most."""
    names = []
    for level in lowered.nest.levels:
        bound = level.bound
        if isinstance(bound, int):
            names.append(str(bound))
        else:
            names.append(bound.attrs["name"] if bound.op == "arg" else f"(at most {level.most})")
    return names
