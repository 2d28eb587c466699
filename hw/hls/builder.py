"""Scheduling: each combinational micro-step gets a pipeline stage as it is created.

As soon as possible, chaining steps of one operator within a stage while they fit the clock period. Operators follow
each other within a stage where all of them fit a share of it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from amaranth.hdl import Const, Shape, Signal, Value
from rtlm.hw.hls.technology import Technology


class Net:
    """Result of one micro-step: available in ``stage``, ``time`` nanoseconds after the clock edge."""

    __slots__ = (
        "alone", "args", "crossing", "delay", "flows", "function", "memory", "name", "operator", "rom", "shape",
        "source", "stage", "state", "taker", "time", "unit", "use_dsp", "uses",
    )  # fmt: skip

    def __init__(self, function: Callable | None, args: tuple[Net, ...], shape: Shape, name: str):
        self.function, self.args, self.shape, self.name = function, args, shape, name
        self.stage, self.time, self.operator, self.uses = 0, 0.0, 0, 0
        self.delay = 0.0
        self.crossing = 0.0  # longest path to it, in its cycle, that runs through two operators
        self.alone = False  # whether no other logic may be in its cycle
        self.use_dsp = ""  # value of the attribute of that name
        self.source: Value | None = None
        self.rom: list[int] | None = None
        self.state: State | None = None
        self.memory: str | None = None
        self.unit: SharedUnit | None = None  # as whose operand it comes in
        self.taker: SharedUnit | None = None  # whose result it takes
        self.flows = False

    @property
    def is_const(self) -> bool:
        """Whether the net needs no registers."""
        return self.stage < 0

    @property
    def width(self) -> int:
        """Bits."""
        return self.shape.width

    @property
    def is_input(self) -> bool:
        """Whether it comes with the beat."""
        return not (self.function or self.rom or self.state or self.memory or self.unit or self.taker)

    @property
    def behind(self) -> int:
        """Cycles since it read its operands: a memory's word comes a cycle behind its address."""
        return self.taker.latency if self.taker else int(self.memory is not None)

    @property
    def reads_at(self) -> int:
        """Stage in which it reads its operands."""
        return self.stage - self.behind


@dataclass(eq=False)
class SharedUnit:
    """Operator at which several of a kernel's operators take turns, each in its own cycle of the interval.

    Parameters
    ----------
    start
        Stage of the operands of the first.
    inputs, out
        Nets of the operands and of the result inside.
    turns
        For each turn, by its cycle of the interval, the operands and the stage in which they come.
    """

    start: int
    inputs: list[Net]
    out: Net
    turns: dict[int, tuple[int, list[Net]]] = field(default_factory=dict)

    @property
    def latency(self) -> int:
        """Cycles from operands to result."""
        return self.out.stage - self.start


@dataclass(eq=False)
class State:
    """Register that the elements of a packet hand on to each other: read in one stage, written in that or a later one.

    Parameters
    ----------
    initial
        What is on its wires before a packet's first element.
    read
        Net of what it holds; `initial` at a packet's first beat.
    next
        Net of what it holds for the next beat; the one who made it says so.
    """

    initial: int
    read: Net
    next: Net | None = None

    @property
    def written(self) -> Net:
        """What it holds next."""
        assert self.next is not None, "every state is written"
        return self.next

    @property
    def write_stage(self) -> int:
        """Stage behind which it is written."""
        return max(self.read.stage, self.written.stage)

    @property
    def interval(self) -> int:
        """Cycles that the next beat has to keep behind."""
        return self.write_stage - self.read.stage + 1


class Builder:
    """Creates and schedules the nets of one pipeline."""

    def __init__(
        self,
        tech: Technology,
        clock_mhz: float,
        *,
        chained_share: float = 0.0,
        bind: Mapping[str, str] = MappingProxyType({}),
    ):
        self.tech, self.clock_mhz, self.chained_share, self.bind = tech, clock_mhz, chained_share, bind
        self.period = tech.budget(clock_mhz)
        self.nets: list[Net] = []
        self.states: list[State] = []
        self.operators: Counter[str] = Counter()
        self.labels: dict[int, str] = {}
        """Names of the operators that are counted, by their numbers."""
        self.fixed: set[int] = set()
        """Operators that stay where they are: loops, which are one operator as a register there costs a whole beat,
        and those that are shared."""
        self.units: dict[Hashable, list[SharedUnit]] = {}
        self.bound: set[str] = set()
        """Names of `bind` that an operator answers to."""
        self.current = 0
        self.critical = 0.0
        self.slowest = (0.0, "")
        """Delay and name of the slowest operator that no register can cut."""
        self._label = self._name = ""
        self._whole = self._flowing = False

    def operator(self, name: str | None, label: str = "") -> None:
        """Begin an operator (counted under ``name`` unless None); in a loop it is a part of that."""
        if not self._whole:
            self.current += 1
        self._label = label or "t"
        self._name = name or self._label
        if name is not None:
            self.operators[name] += 1
            self.labels[self.current] = name

    def style_of(self, *kinds: str) -> str:
        """Return what the operator is bound to, by its name or by one of these; empty if it is not."""
        names = [name for name in (self._name, *kinds) if name in self.bind]
        self.bound.update(names)
        return self.bind[names[0]] if names else ""

    def longest(self, operator: int, *, crosses: bool) -> float:
        """Return how long a path within a cycle may be that ends in an operator; if it crosses, it began in another."""
        if not crosses:
            return self.period
        return -1.0 if operator in self.fixed else self.chained_share * self.period

    def _crossing(self, late: list[Net], operator: int) -> float:
        """Longest path within the cycle, up to these nets, on which an operator other than this one lies."""
        return max((a.crossing if a.operator == operator else a.time for a in late), default=0.0)

    @contextlib.contextmanager
    def loop(self) -> Iterator[None]:
        """Count all that is built within as one operator, which stays where it is."""
        self.operator(None, "scan")
        self.fixed.add(self.current)
        self._whole = True
        yield
        self._whole = False
        self.current += 1

    @property
    def looping(self) -> bool:
        """Whether a loop is being built."""
        return self._whole

    def share(self, key: Hashable, limit: int, interval: int, args: list[Net], build: Callable[..., Net]) -> Net:
        """Result of an operator that takes turns with others of its kind.

        Parameters
        ----------
        key
            Operators with equal keys are the same but for their operands.
        limit
            Units that there may be of this kind.
        interval
            Cycles between beats: so many turns a unit has.
        args
            Operands, at least one of them not constant.
        build
            Makes the unit from the nets of its operands.
        """
        pool = self.units.setdefault(key, [])
        ready = max(a.stage + (a.time > 0) for a in args)
        start, unit = self._free_turn(pool, limit, interval, ready)
        self.operator(None, "operand")
        self.fixed.add(self.current)
        ports = [self.step(lambda x: x, a, delay=self.tech.levels(1)) for a in args]
        for port in ports:
            if not port.is_const:
                port.stage, port.time = start, self.tech.levels(1)
        if unit is None:
            unit = self._new_unit(start, args, build)
            pool.append(unit)
        unit.turns[start % interval] = start, ports
        taken = Net(None, tuple(ports), unit.out.shape, unit.out.name)
        taken.taker, taken.stage, taken.operator = unit, start + unit.latency, unit.out.operator
        taken.time = taken.delay = unit.out.time
        taken.alone = unit.out.alone
        self.nets.append(taken)
        return taken

    @staticmethod
    def _free_turn(pool: list[SharedUnit], limit: int, interval: int, ready: int) -> tuple[int, SharedUnit | None]:
        """First stage in which a unit is free, and the unit; None for a new one."""
        for start in range(ready, ready + interval):
            for unit in pool:
                if start % interval not in unit.turns:
                    return start, unit
            if len(pool) < limit:
                return start, None
        raise AssertionError("there are as many turns as operators")

    def _new_unit(self, start: int, args: list[Net], build: Callable[..., Net]) -> SharedUnit:
        self._flowing = True
        first, inputs = self.current + 1, []
        for a in args:
            net = Net(None, (), a.shape, "operand")
            net.stage, net.flows = start, True
            net.time = net.delay = self.tech.levels(1)
            net.operator = first
            inputs.append(net)
            self.nets.append(net)
        unit = SharedUnit(start, inputs, build(*inputs))
        for net in inputs:
            net.unit = unit
        self.fixed.update(range(first, self.current + 1))
        self._flowing = False
        return unit

    def input(self, shape: Shape, name: str) -> Net:
        """Value that arrives with the beat."""
        net = Net(None, (), shape, name)
        self.nets.append(net)
        return net

    def const(self, value: int, shape: Shape) -> Net:
        """Constant."""
        net = Net(None, (), shape, "const")
        net.stage, net.source = -1, Const(value, shape)
        return net

    def step(self, function: Callable, *args: Net, delay: float, alone: bool = False, use_dsp: str = "") -> Net:
        """Micro-step ``function(*amaranth_values)`` that takes ``delay`` nanoseconds (0: wires only).

        One that is `alone` has a register in front of it and one behind it.
        """
        shape = Value.cast(function(*(a.source if a.is_const else Signal(a.shape) for a in args))).shape()
        net = Net(function, args, shape, self._label)
        net.flows = self._flowing
        varying = [a for a in args if not a.is_const]
        if not varying:
            net.stage, net.source = -1, Value.cast(function(*(a.source for a in args)))
            return net
        stage = max(a.stage for a in varying)
        late = [a for a in varying if a.stage == stage and a.time > 0]
        net.stage, net.operator, net.delay, net.use_dsp = stage, self.current, delay, use_dsp
        if delay > 0:
            self.slowest = max(self.slowest, (delay, self._name))
            net.alone = alone
            self._settle(net, late)
            self.critical = max(self.critical, net.time)
        elif late:
            self._join(net, late)
        self.nets.append(net)
        for a in args:
            a.uses += 1
        return net

    def _settle(self, net: Net, late: list[Net]) -> None:
        """Put a step into the cycle of its latest operands, or into the next."""
        time = max((a.time for a in late), default=0.0) + net.delay
        crossing = self._crossing(late, net.operator)
        fits = time <= self.period and not (late and (net.alone or any(a.alone for a in late)))
        if crossing:
            crossing += net.delay
            fits = fits and crossing <= self.longest(net.operator, crosses=True)
        if fits and (net.stage or not net.alone):  # what arrives with the beat comes from anywhere
            net.time, net.crossing = time, crossing
        else:
            net.stage, net.time = net.stage + 1, net.delay

    def _join(self, net: Net, late: list[Net]) -> None:
        """Let wires belong to the operator that they follow; what joins operators that may not meet is registered."""
        latest = max(late, key=lambda a: a.time)
        several = any(a.operator != latest.operator for a in late)
        if several and latest.time > self.longest(latest.operator, crosses=True):
            net.stage += 1
            return
        net.time, net.operator, net.alone = latest.time, latest.operator, any(a.alone for a in late)
        net.crossing = latest.time if several else max(a.crossing for a in late)

    def wire(self, function: Callable, *args: Net) -> Net:
        """Slices, concatenations, sign changes of representation: no delay."""
        return self.step(function, *args, delay=0.0)

    def rom(self, index: Net, values: list[int], shape: Shape) -> Net:
        """``values[index]``: a read-only memory in logic."""
        net = self.step(lambda i: Const(0, shape), index, delay=self.tech.table(index.width, shape.width))
        net.function, net.rom = None, list(values)
        return net

    def state(self, initial: int, shape: Shape, stage: int) -> State:
        """Register from element to element, read in a stage; the caller settles its `next`."""
        net = Net(None, (), shape, "state")
        net.stage, net.operator = stage, self.current
        net.time = net.delay = self.tech.levels(1)
        net.state = State(initial, net)
        self.nets.append(net)
        self.states.append(net.state)
        return net.state

    def read(self, memory: str, address: Net, width: int) -> Net:
        """Word of a memory, a cycle behind its address."""
        net = Net(None, (address,), Shape(width), memory)
        net.stage, net.operator = max(0, address.stage) + 1, self.current
        net.time = net.delay = self.tech.levels(2)
        net.memory = memory
        self.nets.append(net)
        address.uses += 1
        return net

    def add(self, a: Net, b: Net, function: Callable | None = None) -> Net:
        """Sum, or another function with one carry chain."""
        return self.step(function or (lambda x, y: x + y), a, b, delay=self.tech.add(max(a.width, b.width) + 1))

    def mux(self, c: Net, a: Net, b: Net) -> Net:
        """``a`` if ``c`` else ``b``."""
        from amaranth.hdl import Mux

        return self.step(Mux, c, a, b, delay=self.tech.levels(1))

    def depth(self, outputs: list[Net]) -> int:
        """Stages until every output stands in a register."""
        return max([1] + [n.stage + (n.time > 0) for n in outputs if not n.is_const])
