"""Streams inside a region: what its function gets, and what kernels and operators of rates make of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rtlm.hw.hls.graph import constant
from rtlm.hw.hls.regions.rates import Flow
from rtlm.hw.hls.trace import TracedFunction, same_type
from rtlm.hw.hls.types import ELEMENTS, Fixed, RamType, Type, VectorType, on_wires
from rtlm.hw.hls.vectors import leaves

Element = Type | Fixed | VectorType
MOST = 1024
"""Largest number of elements, repetitions or branches."""


@dataclass(frozen=True)
class StreamType:
    """What ``Stream[...]`` gives: the types of a beat's parts."""

    parts: tuple[Element, ...]

    def __str__(self) -> str:
        return f"Stream[{', '.join(map(str, self.parts))}]"

    def same(self, other: StreamType) -> bool:
        """Whether beats of both are alike; how a fixed-point type rounds does not matter."""
        return len(self.parts) == len(other.parts) and all(map(same_type, self.parts, other.parts))

    def fields(self, name: str) -> list[tuple[str, Type]]:
        """Fields of a payload: ``x``, or ``x0``, ``x1``, ... of several parts."""
        if len(self.parts) == 1:
            return leaves(name, self.parts[0])
        return [field for n, part in enumerate(self.parts) for field in leaves(f"{name}{n}", part)]


class _Stream:
    def __getitem__(self, parts: Any) -> StreamType:
        parts = parts if isinstance(parts, tuple) else (parts,)
        for part in parts:
            if not isinstance(part, ELEMENTS):
                raise TypeError(
                    f"Stream[...] takes number types or Vecs, such as F32 or Vec[SInt(8), 16], not {part!r}."
                )
        return StreamType(parts)


Stream: Any = _Stream()
"""Annotation ``Stream[F32]``: a stream of such values; ``Stream[F32, UInt(8)]`` has two a beat."""


@dataclass(frozen=True)
class Column:
    """A number of the beats that a node puts out: of which port, and its place there."""

    node: Node
    port: int
    place: int

    @property
    def type(self) -> Type:
        """Its type."""
        return self.node.outputs[self.port][self.place]


class Node:
    """A component of a region, with streams in and out.

    Parameters
    ----------
    name
        What reports call it.
    inputs
        For each stream in, the numbers of a beat: columns of other nodes, or constant bits.
    outputs
        For each stream out, the types of the numbers of a beat.
    """

    framed = False
    """Whether it needs to know where packets end."""
    ignored: frozenset[int] = frozenset()
    """Inputs of whose beats only `last` is read."""

    def __init__(self, name: str, inputs: Sequence[Sequence[Column | int]], outputs: Sequence[Sequence[Type]]):
        self.name, self.inputs, self.outputs = name, [list(i) for i in inputs], [list(o) for o in outputs]
        self.flows: list[Flow] = []
        """Rate of each stream out."""

    def value(self, parts: Sequence[Element], port: int = 0) -> StreamValue:
        """One of its streams."""
        places = range(len(self.outputs[port]))
        return StreamValue(tuple(parts), [Column(self, port, place) for place in places], self.flows[port])


class Input(Node):
    """Input of a region."""

    def __init__(self, name: str, type_: StreamType):
        super().__init__(name, [], [[leaf for _, leaf in type_.fields(name)]])
        self.type = type_
        self.flows = [Flow.of_input(name)]


class Output(Node):
    """Output of a region."""

    def __init__(self, name: str, columns: Sequence[Column], type_: StreamType):
        super().__init__(name, [columns], [])
        self.type = type_
        self.rate = columns[0].node.flows[columns[0].port]


class Call(Node):
    """A kernel at work on streams: its first input is that of its arguments, the others fill its memories.

    Parameters
    ----------
    kernel
        The kernel.
    columns
        Its arguments.
    flow
        Their rate.
    loads
        For each of its memories, what fills it.
    """

    def __init__(self, kernel: TracedFunction, columns: Sequence[Column | int], flow: Flow, loads: dict[str, Load]):
        filling = [load.stream.columns for load in loads.values()]
        super().__init__(kernel.name, [columns, *filling], [list(kernel.results.values())])
        self.kernel, self.memories = kernel, list(loads)
        self.uses = next((load.packets for load in loads.values()), 1)
        """Packets that read a load."""
        self.framed = kernel.graph.framed or bool(loads)
        self.flows = [flow.one_beat() if kernel.graph.once_per_packet else flow]


class Register(Node):
    """One stream of several, or an input, behind a register."""

    def __init__(self, columns: Sequence[Column], flow: Flow):
        super().__init__("register", [columns], [[c.type for c in columns]])
        self.flows = [flow]


class Counted(Node):
    """An operator with a number: of elements, repetitions, or branches."""

    def __init__(self, name: str, count: int, inputs: Sequence[Sequence[Column]], outputs: Sequence[Sequence[Type]]):
        super().__init__(name, inputs, outputs)
        self.count = count


class Widen(Counted):
    """So many beats become one, side by side: all numbers of the first, then of the second."""


class Narrow(Counted):
    """A beat becomes so many, part by part."""


class Repeat(Counted):
    """A beat comes so many times."""


class RepeatPackets(Counted):
    """A packet comes so many times, from a memory of two packets."""

    framed = True


class RepeatOver(Node):
    """A beat comes with each beat of a packet of another stream, whose `last` it takes."""

    framed = True
    ignored = frozenset({1})


class Distribute(Counted):
    """Packets go to so many branches in turn."""

    framed = True


class Collect(Counted):
    """Packets come from so many branches in turn."""

    framed = True


class StreamValue:
    """A stream inside a region.

    Parameters
    ----------
    parts
        Types of what a beat has.
    columns
        The numbers of a beat.
    flow
        Its rate.
    """

    def __init__(self, parts: tuple[Element, ...], columns: list[Column], flow: Flow):
        self.parts, self.columns, self.flow = parts, columns, flow

    @property
    def type(self) -> StreamType:
        """Its type."""
        return StreamType(self.parts)

    def __repr__(self) -> str:
        return f"<{self.type}>"

    def __iter__(self) -> Iterator[StreamValue]:
        """Streams of its parts."""
        place = 0
        for part in self.parts:
            width = len(leaves("", part))
            yield StreamValue((part,), self.columns[place : place + width], self.flow)
            place += width

    def __bool__(self) -> bool:
        raise TypeError("A stream has no truth in Python: put what depends on its values into a kernel.")

    def _refuse(self, *_: Any) -> Any:
        raise TypeError("Streams have no operators; write a kernel for the arithmetic and call it on streams.")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __getitem__ = _refuse


@dataclass(frozen=True)
class Load:
    """What fills a memory of a kernel.

    Parameters
    ----------
    stream
        Each packet is a load.
    packets
        Packets that read it.
    """

    stream: StreamValue
    packets: int


def load(x: StreamValue, packets: int = 1) -> Load:
    """Return what a kernel takes as a memory: each packet of `x` fills it, and so many packets read that.

    The memory has two banks: the next packet of `x` is loaded while one is read.
    """
    _check("load", [x])
    if not isinstance(packets, int) or packets < 1:
        raise TypeError(f"load takes a number of packets from 1, not {packets!r}.")
    return Load(x, packets)


def apply(kernel: TracedFunction, args: Sequence[Any], named: dict[str, Any]) -> Any:
    """Call a kernel on streams: they are paired, beat by beat; numbers are constants."""
    if kernel.nest.levels:
        raise TypeError(f"Kernel {kernel.name} has loops and takes commands: a region calls kernels without loops.")
    bound = inspect.signature(kernel.function).bind(*args, **named)
    columns: list[Column | int] = []
    flow: Flow | None = None
    loads: dict[str, Load] = {}
    for (name, type_), value in zip(kernel.declared.items(), bound.args, strict=True):
        if isinstance(type_, RamType):
            loads[name] = _checked_load(kernel, name, type_, value)
        elif isinstance(value, StreamValue):
            if not value.type.same(StreamType((type_,))):
                raise TypeError(f"Argument {name} of kernel {kernel.name} is {type_}, but got {value.type}.")
            if flow is not None:
                flow.meet(value.flow)
            flow = flow or value.flow
            columns += value.columns
        elif isinstance(type_, Fixed | VectorType) or not isinstance(value, int | float):
            raise TypeError(f"Argument {name} of kernel {kernel.name} is {type_}: pass a stream, not {value!r}.")
        else:
            columns.append(on_wires(constant(value, type_).attrs["value"], type_) & ((1 << type_.width) - 1))
    if flow is None:
        raise TypeError(f"Kernel {kernel.name} is called without a stream beside its memories.")
    for each in loads.values():
        flow.meet_packets(each.stream.flow.scaled(packets=each.packets))
    if len({each.packets for each in loads.values()}) > 1:
        raise TypeError(f"The memories of kernel {kernel.name} are read by the same packets: load all for as many.")
    node = Call(kernel, columns, flow, loads)
    results = iter(node.value(()).columns)
    values = []
    for type_ in kernel.declared_results.values():
        own = [next(results) for _ in leaves("", type_)]
        values.append(StreamValue((type_,), own, node.flows[0]))
    return kernel.pack(values)


def _checked_load(kernel: TracedFunction, name: str, type_: RamType, value: Any) -> Load:
    if not isinstance(value, Load):
        raise TypeError(
            f"Argument {name} of kernel {kernel.name} is a memory: pass load(stream, packets), each packet of the "
            "stream to be read by so many packets."
        )
    if not value.stream.type.same(StreamType((type_.item,))):
        raise TypeError(f"Memory {name} of kernel {kernel.name} is {type_}, but is loaded from {value.stream.type}.")
    if not any(v.attrs["memory"].name == name for v in kernel.graph.reads):
        raise TypeError(f"Kernel {kernel.name} does not read its memory {name}.")
    return value


def pair(*streams: StreamValue) -> StreamValue:
    """Return a stream whose beats are those of several side by side.

    Packets of the streams are of equal lengths; `last` is that of the first.
    """
    _check("pair", streams)
    for other in streams[1:]:
        streams[0].flow.meet(other.flow)
    parts = tuple(part for s in streams for part in s.parts)
    return StreamValue(parts, [c for s in streams for c in s.columns], streams[0].flow)


def widen(x: StreamValue, n: int) -> StreamValue:
    """Return a stream of ``Vec[T, n]``: `n` elements become a beat.

    The length of a packet is a multiple of `n`; the beat that holds its last element ends it.
    """
    _check("widen", [x], n)
    node = Widen("widen", n, [x.columns], [[c.type for _ in range(n) for c in x.columns]])
    node.flows = [x.flow.scaled(beats=Fraction(1, n))]
    # Beside each other are the parts of an element, in a beat the elements of a part.
    whole = node.value(())
    width = len(x.columns)
    columns: list[Column] = []
    place = 0
    for part in x.parts:
        count = len(leaves("", part))
        columns += [whole.columns[k * width + place + m] for k in range(n) for m in range(count)]
        place += count
    return StreamValue(tuple(VectorType(part, n) for part in x.parts), columns, node.flows[0])


def narrow(x: StreamValue) -> StreamValue:
    """Return a stream of ``T`` from one of ``Vec[T, n]``: a beat becomes `n` elements; the last one ends a packet."""
    _check("narrow", [x])
    counts = {part.length if isinstance(part, VectorType) else 1 for part in x.parts}
    if len(counts) > 1 or 1 in counts:
        raise TypeError(f"narrow takes a stream of a Vec, or of several of one length, not {x.type}.")
    (n,) = counts
    items = [part.item for part in x.parts if isinstance(part, VectorType)]
    return _narrow(items, _by_element(x, n), n, x.flow)


def _by_element(x: StreamValue, n: int) -> list[Column]:
    """Columns of vectors of one length: all parts of the first element, then of the second."""
    per_part = [list(stream.columns) for stream in x]
    sizes = [len(columns) // n for columns in per_part]
    return [
        column
        for k in range(n)
        for columns, size in zip(per_part, sizes, strict=True)
        for column in columns[k * size : (k + 1) * size]
    ]


def _narrow(parts: Sequence[Element], columns: list[Column], n: int, flow: Flow) -> StreamValue:
    node = Narrow("narrow", n, [columns], [[c.type for c in columns[: len(columns) // n]]])
    node.flows = [flow.scaled(beats=n)]
    return node.value(parts)


def repeat(x: StreamValue, n: int | StreamValue, *, packets: bool = False) -> StreamValue:
    """Return a stream in which each element comes `n` times, the last of them ending a packet.

    With `packets`, each packet comes `n` times, from a memory: while one is repeated, the next is stored. Where `n` is
    a stream, what comes once a packet comes with each element of a packet of that one.
    """
    if isinstance(n, StreamValue):
        return _repeat_over(x, n)
    _check("repeat", [x], n)
    types = [c.type for c in x.columns]
    node: Counted
    if packets:
        node = RepeatPackets("repeat", n, [x.columns], [types])
        node.flows = [x.flow.scaled(packets=n)]
    else:
        node = Repeat("repeat", n, [x.columns], [types])
        node.flows = [x.flow.scaled(beats=n)]
    return node.value(x.parts)


def _repeat_over(x: StreamValue, over: StreamValue) -> StreamValue:
    _check("repeat", [x])
    x.flow.meet(over.flow.one_beat())
    node = RepeatOver("repeat", [x.columns, over.columns[:1]], [[c.type for c in x.columns]])
    node.flows = [over.flow]
    return node.value(x.parts)


def split(x: StreamValue, n: int, *, packets: bool = False) -> tuple[StreamValue, ...]:
    """Return `n` streams of which element k of a packet goes to number ``k % n``.

    The length of a packet is a multiple of `n`, and each stream gets a packet of a share of it. With `packets`, whole
    packets go to the streams in turn.
    """
    _check("split", [x], n)
    if packets:
        types = [c.type for c in x.columns]
        node = Distribute("split", n, [x.columns], [types] * n)
        node.flows = [x.flow.scaled(packets=Fraction(1, n))] * n
        return tuple(node.value(x.parts, port) for port in range(n))
    wide = Widen("split", n, [x.columns], [[c.type for _ in range(n) for c in x.columns]])
    wide.flows = [x.flow.scaled(beats=Fraction(1, n))]
    columns, width = wide.value(()).columns, len(x.columns)
    return tuple(StreamValue(x.parts, columns[k * width : (k + 1) * width], wide.flows[0]) for k in range(n))


def join(*streams: StreamValue, packets: bool = False) -> StreamValue:
    """Return a stream that takes an element from each of several in turn: what `split` took apart.

    With `packets`, it takes whole packets in turn.
    """
    _check("join", streams)
    if len({s.parts for s in streams}) > 1:
        raise TypeError(f"join takes streams of one type, not {', '.join(str(s.type) for s in streams)}.")
    n, first = len(streams), streams[0]
    for other in streams[1:]:
        first.flow.meet(other.flow)
    if n == 1:
        return first
    if packets:
        node = Collect("join", n, [s.columns for s in streams], [[c.type for c in first.columns]])
        node.flows = [first.flow.scaled(packets=n)]
        return node.value(first.parts)
    return _narrow(first.parts, [c for s in streams for c in s.columns], n, first.flow)


def _check(name: str, streams: Sequence[Any], n: int | None = None) -> None:
    """Refuse what an operator does not take."""
    if not streams:
        raise TypeError(f"{name} takes at least one stream.")
    for stream in streams:
        if not isinstance(stream, StreamValue):
            raise TypeError(f"{name} takes streams of a region, not {stream!r}.")
    if n is not None and (not isinstance(n, int) or not 2 <= n <= MOST):
        raise TypeError(f"{name} takes a number from 2 to {MOST}, not {n!r}.")
