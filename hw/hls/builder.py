"""Scheduling: each combinational micro-step gets a pipeline stage as it is created.

As soon as possible, chaining steps of one operator within a stage while they fit the clock period. A register follows
every operator, so that no combinational path runs through two of them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from amaranth.hdl import Const, Shape, Signal, Value
from rtlm.hw.hls.technology import Technology


class Net:
    """Result of one micro-step: available in ``stage``, ``time`` nanoseconds after the clock edge."""

    __slots__ = (
        "args", "delay", "flows", "function", "memory", "name", "operator", "rom", "shape", "source", "stage", "state",
        "taker", "time", "unit", "uses",
    )  # fmt: skip

    def __init__(self, function: Callable | None, args: tuple[Net, ...], shape: Shape, name: str):
        self.function, self.args, self.shape, self.name = function, args, shape, name
        self.stage, self.time, self.operator, self.uses = 0, 0.0, 0, 0
        self.delay = 0.0
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

    def __init__(self, tech: Technology, clock_mhz: float, *, chain: bool = False):
        self.tech, self.clock_mhz, self.chain = tech, clock_mhz, chain
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

    def _chains(self, late: list[Net], operator: int) -> bool:
        """Whether an operator may follow these within a cycle."""
        return all(a.operator == operator for a in late) or (self.chain and operator not in self.fixed)

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
            Operands, none of them constant.
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
            port.stage, port.time = start, self.tech.levels(1)
        if unit is None:
            unit = self._new_unit(start, args, build)
            pool.append(unit)
        unit.turns[start % interval] = start, ports
        taken = Net(None, tuple(ports), unit.out.shape, unit.out.name)
        taken.taker, taken.stage, taken.operator = unit, start + unit.latency, unit.out.operator
        taken.time = taken.delay = unit.out.time
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

    def step(self, function: Callable, *args: Net, delay: float) -> Net:
        """Micro-step ``function(*amaranth_values)`` that takes ``delay`` nanoseconds (0: wires only)."""
        shape = Value.cast(function(*(a.source if a.is_const else Signal(a.shape) for a in args))).shape()
        net = Net(function, args, shape, self._label)
        net.flows = self._flowing
        varying = [a for a in args if not a.is_const]
        if not varying:
            net.stage, net.source = -1, Value.cast(function(*(a.source for a in args)))
            return net
        stage = max(a.stage for a in varying)
        late = [a for a in varying if a.stage == stage and a.time > 0]
        net.stage, net.operator, net.delay = stage, self.current, delay
        if delay > 0:
            self.slowest = max(self.slowest, (delay, self._name))
            time = max((a.time for a in late), default=0.0) + delay
            if time > self.period or not self._chains(late, self.current):
                net.stage, time = stage + 1, delay
            net.time = time
            self.critical = max(self.critical, time)
        elif late:
            latest = max(late, key=lambda a: a.time)
            if not self._chains(late, latest.operator):
                net.stage += 1  # wires that join two operators: register both
            else:
                net.time, net.operator = latest.time, latest.operator
        self.nets.append(net)
        for a in args:
            a.uses += 1
        return net

    def wire(self, function: Callable, *args: Net) -> Net:
        """Slices, concatenations, sign changes of representation: no delay."""
        return self.step(function, *args, delay=0.0)

    def rom(self, index: Net, values: list[int], shape: Shape) -> Net:
        """``values[index]``: a read-only memory in logic."""
        net = self.step(lambda i: Const(0, shape), index, delay=self.tech.levels(1 + max(0, index.width - 6)))
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

    def multiply(self, a: Net, b: Net) -> Net:
        """Product; cut into partial products where one multiplier does not fit the period."""
        delay = self.tech.multiply(a.width, b.width)
        if delay <= self.period or max(a.width, b.width) <= 9:
            return self.step(lambda x, y: x * y, a, b, delay=delay)
        if b.width > a.width:
            a, b = b, a
        cut = 17 if a.width > 17 else a.width // 2
        low = self.multiply(self.wire(lambda x: x[:cut], a), b)
        high = self.multiply(self.wire(lambda x: x[cut:].as_signed() if x.shape().signed else x[cut:], a), b)
        width = a.width + b.width
        signed = a.shape.signed or b.shape.signed
        return self.step(
            lambda x, y: ((x + y.shift_left(cut))[:width]).as_signed() if signed else (x + y.shift_left(cut))[:width],
            low,
            high,
            delay=self.tech.add(width - cut),
        )

    def depth(self, outputs: list[Net]) -> int:
        """Stages until every output stands in a register."""
        return max([1] + [n.stage + (n.time > 0) for n in outputs if not n.is_const])
