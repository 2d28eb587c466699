"""The golden model of a region: kernels' models, and rates in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from rtlm.hw.hls import types as t
from rtlm.hw.hls.evaluate import checked_field, evaluate_fields, joined_fields, split_fields
from rtlm.hw.hls.regions import streams as s
from rtlm.hw.hls.regions.graph import RegionGraph


@dataclass(frozen=True)
class Beats:
    """What goes over a stream.

    Parameters
    ----------
    columns
        For each number of a beat an array of shape ``(beats,)``.
    last
        Whether each beat ends a packet; all beats together are one in a region without packets.
    """

    columns: list[np.ndarray]
    last: np.ndarray

    def taken(self, places: np.ndarray) -> Beats:
        """Beats at places."""
        return Beats([c[places] for c in self.columns], self.last[places])

    def packets(self) -> np.ndarray:
        """Number of the packet of each beat."""
        return np.cumsum(self.last) - self.last


def evaluate_region(graph: RegionGraph, inputs: Sequence[Beats]) -> list[Beats]:
    """Return the beats of each output for those of each input."""
    computed: dict[tuple[s.Node, int], Beats] = {}
    given, results = iter(inputs), []
    for node in graph.nodes:
        if isinstance(node, s.Input):
            outputs = [next(given)]
        elif isinstance(node, s.Output):
            results.append(_read(node.name, node.inputs[0], computed))
            continue
        else:
            outputs = MODELS[type(node)](node, [_read(node.name, columns, computed) for columns in node.inputs])
        computed |= {(node, port): beats for port, beats in enumerate(outputs)}
    return results


def _read(name: str, columns: Sequence[s.Column | int], computed: dict[tuple[s.Node, int], Beats]) -> Beats:
    """Pair streams: beats side by side."""
    sources = [computed[c.node, c.port] for c in columns if isinstance(c, s.Column)]
    for other in sources[1:]:
        if not np.array_equal(other.last, sources[0].last):
            raise ValueError(
                f"Streams that meet at {name} have {len(sources[0].last)} and {len(other.last)} beats, or packets of "
                "different lengths."
            )
    arrays = [computed[c.node, c.port].columns[c.place] if isinstance(c, s.Column) else np.asarray(c) for c in columns]
    return Beats(arrays, sources[0].last)


def _call(node: Any, inputs: list[Beats]) -> list[Beats]:
    beats, *loads = inputs
    kernel, fields = node.kernel, []
    for column, given, (type_, _) in zip(beats.columns, node.inputs[0], kernel.arguments.values(), strict=True):
        constant = not isinstance(given, s.Column)
        fields.append(np.broadcast_to(t.from_bits(column, type_), beats.last.shape) if constant else column)
    last = beats.last[beats.last] if kernel.graph.once_per_packet else beats.last
    parts = [
        evaluate_fields(kernel, [f[part] for f in fields], contents, beats.last[part] if kernel.graph.framed else None)
        for part, contents in _loaded(node, beats, loads)
    ]
    if not parts:
        return [Beats([np.zeros(0, dtype=int) for _ in kernel.results], last)]
    return [Beats([np.concatenate(column) for column in zip(*parts, strict=True)], last)]


def _loaded(node: Any, beats: Beats, loads: list[Beats]) -> Iterator[tuple[slice, dict[str, list[np.ndarray]]]]:
    """Parts of beats, and what a kernel's memories hold for each: all beats if it has none."""
    if not len(beats.last):
        return
    if not loads:
        yield slice(None), {}
        return
    ends = [0, *(np.flatnonzero(beats.last) + 1).tolist()]
    filled = [[0, *(np.flatnonzero(load.last) + 1).tolist()] for load in loads]
    if any((len(own) - 1) * node.uses != len(ends) - 1 for own in filled):
        raise ValueError(
            f"{node.name} reads each load in {node.uses} packets, but has {len(ends) - 1} packets and "
            f"{', '.join(str(len(own) - 1) for own in filled)} loads."
        )
    for n in range((len(ends) - 1) // node.uses):
        contents = {
            name: [c[own[n] : own[n + 1]] for c in load.columns]
            for name, own, load in zip(node.memories, filled, loads, strict=True)
        }
        yield slice(ends[n * node.uses], ends[(n + 1) * node.uses]), contents


def _widen(node: Any, inputs: list[Beats]) -> list[Beats]:
    (beats,) = inputs
    n, ends = node.count, beats.last.copy()
    if len(ends) % n or (ends.reshape(-1, n)[:, :-1]).any():
        raise ValueError(f"{node.name} takes packets of a multiple of {n} elements.")
    return [Beats([c[k::n] for k in range(n) for c in beats.columns], ends[n - 1 :: n])]


def _narrow(node: Any, inputs: list[Beats]) -> list[Beats]:
    (beats,) = inputs
    n, width = node.count, len(node.outputs[0])
    columns = [np.stack(beats.columns[m::width], axis=-1).reshape(-1) for m in range(width)]
    return [Beats(columns, _only_last(np.repeat(beats.last, n), n))]


def _repeat(node: Any, inputs: list[Beats]) -> list[Beats]:
    (beats,) = inputs
    repeated = beats.taken(np.repeat(np.arange(len(beats.last)), node.count))
    return [Beats(repeated.columns, _only_last(repeated.last, node.count))]


def _only_last(last: np.ndarray, n: int) -> np.ndarray:
    """Ends of packets, of which only the last of each `n` beats is one."""
    return last & (np.arange(len(last)) % n == n - 1)


def _repeat_packets(node: Any, inputs: list[Beats]) -> list[Beats]:
    (beats,) = inputs
    packets = np.split(np.arange(len(beats.last)), np.flatnonzero(beats.last) + 1)
    places = [packet for packet in packets for _ in range(node.count)]
    return [beats.taken(np.concatenate(places))]


def _repeat_over(node: Any, inputs: list[Beats]) -> list[Beats]:
    beats, over = inputs
    if len(beats.last) != int(over.last.sum()):
        raise ValueError(f"{node.name} takes a beat a packet, but has {len(beats.last)} for {over.last.sum()} packets.")
    return [Beats(beats.taken(over.packets()).columns, over.last)]


def _distribute(node: Any, inputs: list[Beats]) -> list[Beats]:
    (beats,) = inputs
    branch = beats.packets() % node.count
    return [beats.taken(np.flatnonzero(branch == k)) for k in range(node.count)]


def _collect(node: Any, inputs: list[Beats]) -> list[Beats]:
    counts = [int(beats.last.sum()) for beats in inputs]
    if max(counts) - min(counts) > 1 or sorted(counts, reverse=True) != counts:
        raise ValueError(f"{node.name} takes packets in turn, but its streams have {counts} of them.")
    everything = Beats(
        [np.concatenate(columns) for columns in zip(*(beats.columns for beats in inputs), strict=True)],
        np.concatenate([beats.last for beats in inputs]),
    )
    turn = np.concatenate([beats.packets() * node.count + k for k, beats in enumerate(inputs)])
    return [everything.taken(np.argsort(turn, kind="stable"))]


MODELS: dict[type, Callable[[Any, list[Beats]], list[Beats]]] = {
    s.Call: _call,
    s.Register: lambda node, inputs: inputs,
    s.Widen: _widen,
    s.Narrow: _narrow,
    s.Repeat: _repeat,
    s.RepeatPackets: _repeat_packets,
    s.RepeatOver: _repeat_over,
    s.Distribute: _distribute,
    s.Collect: _collect,
}
"""Model of each kind of node: beats of each input to beats of each output."""


class Traced(Protocol):
    """What evaluation needs of a :class:`.region.Region`."""

    name: str
    declared: dict[str, s.StreamType]
    declared_results: dict[str, s.StreamType]

    @property
    def graph(self) -> RegionGraph:
        """Its nodes."""
        ...


def evaluate_arrays(region: Traced, arrays: Sequence[Any]) -> list[Any]:
    """Evaluate on arrays; see :meth:`.region.Region.model`."""
    if len(arrays) != len(region.declared):
        raise TypeError(
            f"{region.name}.model takes {len(region.declared)} arrays ({', '.join(region.declared)}), "
            f"got {len(arrays)}."
        )
    inputs, leading = [], ()
    for (name, type_), array in zip(region.declared.items(), arrays, strict=True):
        parts = array if len(type_.parts) > 1 else [array]
        if len(parts) != len(type_.parts):
            raise TypeError(f"Argument {name} of {region.name}.model is {type_}: give a tuple of that many arrays.")
        fields = [f for part, a in zip(type_.parts, parts, strict=True) for f in split_fields(region, name, part, a)]
        checked = [
            checked_field(region, field, leaf, a) for (field, leaf), a in zip(type_.fields(name), fields, strict=True)
        ]
        shape = np.broadcast_shapes(*(a.shape for a in checked))
        if not shape:
            raise ValueError(f"Argument {name} of {region.name}.model needs an axis of beats.")
        last = np.zeros(shape, dtype=bool)
        last[..., -1] = True
        leading = leading or shape[:-1]
        inputs.append(Beats([np.broadcast_to(a, shape).reshape(-1) for a in checked], last.reshape(-1)))
    results = []
    for type_, beats, output in zip(
        region.declared_results.values(),
        evaluate_region(region.graph, inputs),
        region.graph.outputs,
        strict=True,
    ):
        shaped = [_shaped(c, int(beats.last.sum()), leading) for c in beats.columns]
        if output.rate.beats.settled().of is None:
            shaped = [a[..., 0] for a in shaped]
        values = iter(shaped)
        parts = tuple(joined_fields(part, values) for part in type_.parts)
        results.append(parts if len(parts) > 1 else parts[0])
    return results


def _shaped(column: np.ndarray, packets: int, leading: tuple[int, ...]) -> np.ndarray:
    """An array with axes of packets, as the inputs have them if there are as many."""
    shape = leading if math.prod(leading) == packets else (packets,)
    return column.reshape(*shape, -1)
