"""Evaluation of a kernel's graph on NumPy arrays, bit for bit what the gates compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from rtlm.hw.hls import functions
from rtlm.hw.hls import types as t
from rtlm.hw.hls.graph import REDUCTIONS, Recurrence, Value, topological
from rtlm.hw.hls.nest import Nest
from rtlm.hw.hls.trace import TracedFunction
from rtlm.hw.hls.types import F32, Fixed, Float, RamType, Type, UInt, VectorType
from rtlm.hw.hls.vectors import leaves


class Named(Protocol):
    """What an error needs of a kernel or region."""

    name: str


_BELOW_MIN = 2.0**-126 - 2.0**-151  # what is smaller rounds, with unbounded exponent, below the smallest normal F32


class UnloadedError(ValueError):
    """A kernel reads a word of a memory that was not loaded."""


def evaluate(kernel: TracedFunction, arrays: tuple, last: Any) -> Any:
    """Evaluate ``kernel``; see :meth:`.kernel.Kernel.model`."""
    if len(arrays) != len(kernel.declared):
        raise TypeError(
            f"{kernel.name}.model takes {len(kernel.declared)} arrays ({', '.join(kernel.declared)}), "
            f"got {len(arrays)}."
        )
    fields: list[Any] = []
    contents: dict[str, list[Any]] = {}
    for (name, type_), array in zip(kernel.declared.items(), arrays, strict=True):
        if isinstance(type_, RamType):
            contents[name] = split_fields(kernel, name, type_.item, array)
        else:
            fields += split_fields(kernel, name, type_, array)
    results = iter(evaluate_fields(kernel, fields, contents, last))
    return kernel.pack([joined_fields(type_, results) for type_ in kernel.declared_results.values()])


def evaluate_fields(
    kernel: TracedFunction, fields: Sequence[Any], contents: dict[str, list[Any]], last: Any
) -> list[np.ndarray]:
    """Evaluate ``kernel`` on one array a field; see :meth:`.kernel.Kernel.model_of_fields`."""
    inputs = [
        checked_field(kernel, name, type_, a)
        for (name, (type_, _)), a in zip(kernel.arguments.items(), fields, strict=True)
    ]
    memories = {name: _words(kernel, name, contents[name]) for name in kernel.memories}
    if kernel.nest.loops:
        return _nest(kernel, inputs, memories, last)
    if last is not None and kernel.graph.framed:
        return _packets(kernel, inputs, memories, np.asarray(last, dtype=bool))
    with np.errstate(all="ignore"):
        return _run(kernel, inputs, memories)


def split_fields(kernel: Named, name: str, type_: Any, array: Any) -> list[Any]:
    """Arrays of the numbers of a vector, which are the last axes of its array."""
    if isinstance(type_, Fixed):
        return [_units(kernel, name, type_, array)]
    if not isinstance(type_, VectorType):
        return [array]
    array = np.asarray(array)
    axes = len(type_.shape)
    if array.shape[-axes:] != type_.shape:
        raise ValueError(
            f"Argument {name} of {kernel.name}.model is {type_}: the last axes of its array are {type_.shape}, "
            f"got an array of shape {array.shape}."
        )
    flat = array.reshape(*array.shape[:-axes], -1)
    columns = [flat[..., n] for n in range(flat.shape[-1])]
    number = type_.number
    return [_units(kernel, name, number, c) for c in columns] if isinstance(number, Fixed) else columns


def _units(kernel: Named, name: str, type_: Fixed, array: Any) -> np.ndarray:
    """Integers of fixed-point numbers."""
    scaled = np.asarray(array, dtype=np.float64) * 2.0**type_.fraction
    whole = np.rint(scaled)
    if not np.array_equal(whole, scaled) or np.abs(scaled).max(initial=0) >= 2.0**63:
        raise ValueError(
            f"Argument {name} of {kernel.name}.model is {type_}: give multiples of 2**-{type_.fraction} in its range."
        )
    return whole.astype(np.int64)


def joined_fields(type_: Any, values: Iterator[np.ndarray]) -> np.ndarray:
    """Array of a type from those of its numbers, in their order."""
    if isinstance(type_, Fixed):
        return next(values).astype(np.float64) * 2.0**-type_.fraction
    if not isinstance(type_, VectorType):
        return next(values)
    return np.stack([joined_fields(type_.item, values) for _ in range(type_.length)], axis=-len(type_.shape))


def _words(kernel: TracedFunction, name: str, arrays: Sequence[Any]) -> list[np.ndarray]:
    """Contents of a memory, one array of words for each of its fields."""
    type_ = kernel.memories[name]
    words = [
        checked_field(kernel, field, leaf, a) for (field, leaf), a in zip(leaves(name, type_.item), arrays, strict=True)
    ]
    if any(a.ndim != 1 or not 1 <= len(a) <= type_.depth for a in words):
        raise ValueError(
            f"Memory {name} of {kernel.name}.model takes 1 to {type_.depth} words, got an array of shape "
            f"{words[0].shape}."
        )
    return words


def _packets(
    kernel: TracedFunction, inputs: list[np.ndarray], memories: dict[str, list[np.ndarray]], last: np.ndarray
) -> list[np.ndarray]:
    ends = np.flatnonzero(last) + 1
    if len(ends) == 0 or ends[-1] != len(last):
        raise ValueError(f"The last of {len(last)} beats must carry the last flag: a packet is incomplete.")
    pieces: list[list[np.ndarray]] = []
    start = 0
    lanes = max((a.shape[1] for a in inputs if a.ndim == 2), default=1)
    per_lane = any(a.ndim == 2 for a in inputs)
    for end in ends.tolist():
        chunk = []
        for a, (_, shared) in zip(inputs, kernel.arguments.values(), strict=True):
            a = a[start:end] if a.ndim else a
            chunk.append(np.repeat(a, lanes) if shared and a.ndim == 1 else a.reshape(-1))
        with np.errstate(all="ignore"):
            results = _run(kernel, [c if c.size > 1 else c.reshape(-1) for c in chunk], memories)
        shape = () if kernel.graph.once_per_packet else (end - start, *((lanes,) if per_lane else ()))
        pieces.append([r.reshape(shape)[None] if shape == () else r.reshape(shape) for r in results])
        start = end
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def checked_field(kernel: Named, name: str, type_: Type, array: Any) -> np.ndarray:
    """Return the numbers of an argument as the gates see them; errors as of :meth:`.kernel.Kernel.model`."""
    if isinstance(type_, Float):
        values = np.asarray(array, dtype=np.float32)
        with np.errstate(all="ignore"):
            return t.flush(values, type_)
    values = np.asarray(array)
    if values.dtype.kind not in "iub":
        raise TypeError(f"Argument {name} of {kernel.name}.model is {type_}: give integers, not {values.dtype}.")
    values = values.astype(t.int_dtype(type_))
    if values.size and (int(values.min()) < type_.low or int(values.max()) > type_.high):
        raise ValueError(
            f"Argument {name} of {kernel.name}.model is {type_} ({type_.low} to {type_.high}), "
            f"got {values.min()} to {values.max()}."
        )
    return values


def _run(kernel: TracedFunction, inputs: list[np.ndarray], memories: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    graph = kernel.graph
    shape = np.broadcast_shapes(*(a.shape for a in inputs))
    if graph.framed:
        if not shape:
            raise ValueError(f"{kernel.name} works on packets: give arrays of shape (..., packet_length).")
        inputs = [
            np.broadcast_to(a, shape) if not v.attrs["shared"] else a for v, a in zip(graph.args, inputs, strict=True)
        ]
    computed: dict[int, np.ndarray] = {id(v): a for v, a in zip(graph.args, inputs, strict=True)}
    uses: dict[int, int] = {}
    for v in graph.order:
        for a in v.args:
            uses[id(a)] = uses.get(id(a), 0) + 1
    for r in graph.results:
        uses[id(r)] = uses.get(id(r), 0) + 1
    scans: dict[int, list[np.ndarray]] = {}
    for v in graph.order:
        if v.op == "arg":
            continue
        operands = [computed[id(a)] for a in v.args]
        if v.op in REDUCTIONS:
            operands = [np.broadcast_to(a, shape) for a in operands]
        if v.op == "scan":
            recurrence = v.attrs["recurrence"]
            if id(recurrence) not in scans:
                scans[id(recurrence)] = _scan(recurrence, operands, shape)
            computed[id(v)] = scans[id(recurrence)][v.attrs["part"]]
        elif v.op == "index":
            computed[id(v)] = np.broadcast_to(np.arange(shape[-1], dtype=np.int64) & v.type.high, shape)
        elif v.op == "read":
            words = memories[v.attrs["memory"].name][v.attrs["field"]]
            if operands[0].size and int(operands[0].max()) >= len(words):
                raise UnloadedError(
                    f"{kernel.name} reads word {operands[0].max()} of memory {v.attrs['memory'].name}, which was given "
                    f"{len(words)} words."
                )
            computed[id(v)] = words[operands[0]]
        elif v.op == "previous":
            computed[id(v)] = _previous(v, np.broadcast_to(operands[0], shape))
        else:
            computed[id(v)] = MODELS[v.op](v, *operands)
        for a in v.args:  # drop what nobody needs any more: whole-model runs hold large arrays
            uses[id(a)] -= 1
            if not uses[id(a)]:
                computed.pop(id(a), None)
    results = []
    for r in graph.results:
        value = computed[id(r)]
        if graph.once_per_packet:
            value = np.broadcast_to(value, (*shape[:-1], 1))[..., 0]
        elif value.shape != shape and (graph.framed or value.ndim == 0):
            value = np.broadcast_to(value, shape)
        results.append(value)
    return results


def _nest(
    kernel: TracedFunction, inputs: list[np.ndarray], memories: dict[str, list[np.ndarray]], last: Any
) -> list[np.ndarray]:
    """Run a command: results have an axis for each bound, or each of the outer loops if they come once a packet."""
    if last is not None or any(a.ndim for a in inputs):
        raise ValueError(f"{kernel.name}.model takes a command: one number, or vector, for each argument, and no last.")
    nest, args = kernel.nest, kernel.graph.args[: len(inputs)]
    counts = bounds_of(nest, {id(v): a for v, a in zip(args, inputs, strict=True)})
    outer = counts[: len(counts) - len(nest.packet)]
    axes = outer if kernel.graph.once_per_packet else counts
    if 0 in counts:  # no packet, nothing comes out
        types = (np.float32 if isinstance(r.type, Float) else t.int_dtype(r.type) for r in kernel.graph.results)
        return [np.zeros((0,) * max(1, len(axes)), type_) for type_ in types]
    inner = counts[len(outer) :]
    within = np.unravel_index(np.arange(math.prod(inner)), inner)
    places = [np.arange(n).reshape(n, *(1,) * (len(outer) - k)) for k, n in enumerate(outer)]
    with np.errstate(all="ignore"):
        results = _run(kernel, [*inputs, *places, *within], memories)
    spread = axes if kernel.graph.once_per_packet else (*outer, math.prod(inner))
    return [np.broadcast_to(r, spread).reshape(axes) for r in results]


def bounds_of(nest: Nest, computed: dict[int, np.ndarray]) -> tuple[int, ...]:
    """Return how often each level of a nest counts.

    Parameters
    ----------
    nest
        The loops.
    computed
        Numbers of the arguments, by the ids of their values.
    """
    bounds = [level.bound for level in nest.levels]
    for v in topological([bound for bound in bounds if isinstance(bound, Value)]):
        if id(v) not in computed:
            computed[id(v)] = MODELS[v.op](v, *(computed[id(a)] for a in v.args))
    return tuple(int(computed[id(bound)]) if isinstance(bound, Value) else bound for bound in bounds)


def _scan(recurrence: Recurrence, outside: list[np.ndarray], shape: tuple[int, ...]) -> list[np.ndarray]:
    """States behind each element, element by element."""
    spread = [np.broadcast_to(a, shape) for a in outside]
    states = [np.broadcast_to(_const(v), shape[:-1]) for v in recurrence.initial]
    behind: list[list[np.ndarray]] = [[] for _ in states]
    for n in range(shape[-1]):
        computed = {id(v): a for v, a in zip(recurrence.states, states, strict=True)}
        computed |= {id(v): a[..., n] for v, a in zip(recurrence.outside, spread, strict=True)}
        for v in recurrence.order:
            computed[id(v)] = MODELS[v.op](v, *(computed[id(a)] for a in v.args))
        states = [np.broadcast_to(computed[id(v)], shape[:-1]) for v in recurrence.results]
        for column, state in zip(behind, states, strict=True):
            column.append(state)
    return [np.stack(column, axis=-1) for column in behind]


def _previous(v: Value, x: np.ndarray) -> np.ndarray:
    count = min(v.attrs["count"], x.shape[-1])
    first = np.full((*x.shape[:-1], count), v.attrs["initial"], dtype=x.dtype)
    return np.concatenate([first, x[..., : x.shape[-1] - count]], axis=-1)


def _const(v: Value) -> np.ndarray:
    return np.asarray(v.attrs["value"], dtype=np.float32 if isinstance(v.type, Float) else t.int_dtype(v.type))


def _add(v: Value, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if v.type == F32:
        return t.flush(a + b, F32)  # sums this small are exact: flushing after rounding loses nothing
    return t.round_to(a.astype(np.float64) + b, v.type)


def _mul(v: Value, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if v.type != F32:
        return t.round_to(a.astype(np.float64) * b, v.type)
    y = a * b
    edge = np.abs(y) == t.F32_MIN
    if edge.any():  # float32 rounds up to the smallest normal from further below than an unbounded exponent does
        exact = np.abs(a.astype(np.float64) * b)
        y = np.where(edge & (exact < _BELOW_MIN), np.float32(0) * y, y)
    return t.flush(y, F32)


def _fma(v: Value, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Round to odd in float64, then to the format (Boldo and Melquiond, 2008: innocuous with two more bits)."""
    p, c = np.broadcast_arrays(a.astype(np.float64) * b, c.astype(np.float64))
    s = np.atleast_1d(p + c)
    virtual = s - p
    error = (p - (s - virtual)) + (c - virtual)
    raw = s.view(np.int64).copy()
    fix = np.isfinite(s) & (error != 0) & (raw & 1 == 0)
    away = (error > 0) == (s > 0)
    raw[fix] += np.where(away, 1, -1)[fix]
    return t.round_to(raw.view(np.float64).reshape(p.shape), v.type)


def _to_int(v: Value, x: np.ndarray) -> np.ndarray:
    dtype = t.int_dtype(v.type)
    r = np.rint(x.astype(np.float64) * 2.0 ** v.attrs["frac"])
    high, low = r >= float(v.type.high + 1), r < v.type.low
    inside = np.where(high | low | np.isnan(r), 0.0, r).astype(dtype)
    return np.where(high, dtype(v.type.high), np.where(low, dtype(v.type.low), inside))


def _to_float(v: Value, x: np.ndarray) -> np.ndarray:
    if v.args[0].type.width <= 53:
        wide = x.astype(np.float64)
    else:  # round to odd on 53 bits, so that the one rounding that follows is right
        low = x & x.dtype.type(0x7FF)
        odd = ((x >> x.dtype.type(11)) | (low != 0).astype(x.dtype)).astype(np.float64) * 2048.0
        direct = x.astype(np.float64)
        wide = np.where(np.abs(direct) < 2.0**53, direct, odd)
    return t.round_to(wide * 2.0 ** -v.attrs["frac"], v.type)


def _ldexp(v: Value, x: np.ndarray, k: np.ndarray) -> np.ndarray:
    return t.round_to(np.ldexp(x.astype(np.float64), np.clip(k, -600, 600).astype(np.int32)), v.type)


def _key(v: Value, x: np.ndarray) -> np.ndarray:
    type_ = v.args[0].type
    bits = t.to_bits(x + np.float32(0), type_)  # -0 + 0 is +0
    top = 1 << (type_.width - 1)
    return np.where(bits & top, bits ^ (2 * top - 1), bits | top)


def _unkey(v: Value, key: np.ndarray) -> np.ndarray:
    top = 1 << (v.type.width - 1)
    return t.from_bits(np.where(key & top, key ^ top, key ^ (2 * top - 1)), v.type)


def _wrap(v: Value, x: np.ndarray) -> np.ndarray:
    return t.from_bits(t.to_bits(x, UInt(64)) if v.type.width == 64 else x.astype(np.int64), v.type)


def _shift(v: Value, x: np.ndarray, k: np.ndarray) -> np.ndarray:
    x = x.astype(np.int64)
    less = x >> np.clip(-1 - k, 0, 63)  # one place less far to the right
    right = (less + v.attrs["half_up"]) >> 1
    left = np.where(k > 63, 0, x << np.clip(k, 0, 63))
    return _wrap(v, np.where(k < 0, right, left))


def _sum(v: Value, x: np.ndarray) -> np.ndarray:
    if not v.attrs["saturate"]:
        return _wrap(v, np.sum(x, axis=-1, keepdims=True))
    x = x.astype(np.uint64)
    half = np.uint64(32)
    low = np.sum(x & np.uint64(0xFFFFFFFF), axis=-1, keepdims=True)
    high = np.sum(x >> half, axis=-1, keepdims=True) + (low >> half)
    over = high >= np.uint64(1 << max(0, v.type.width - 32)) if v.type.width > 32 else high != 0
    total = high << half | low & np.uint64(0xFFFFFFFF)
    return np.where(over | (total > np.uint64(v.type.high)), np.uint64(v.type.high), total).astype(t.int_dtype(v.type))


def _select(v: Value, c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    chosen = np.where(c != 0, a, b)
    return chosen if isinstance(v.type, Float) else chosen.astype(t.int_dtype(v.type))


def _integer(function: Callable) -> Callable:
    return lambda v, *a: function(*a)


def _truth(function: Callable) -> Callable:
    return lambda v, *a: np.asarray(function(*a)).astype(np.int64)


MODELS: dict[str, Callable] = {
    "const": _const,
    "add": _add,
    "mul": _mul,
    "fma": _fma,
    "neg": lambda v, x: -x,
    "abs": lambda v, x: np.abs(x),
    "lt": _truth(np.less),
    "le": _truth(np.less_equal),
    "eq": _truth(np.equal),
    "not": lambda v, x: 1 - x,
    "select": _select,
    "to_int": _to_int,
    "to_float": _to_float,
    "convert": lambda v, x: t.round_to(x, v.type),
    "ldexp": _ldexp,
    "exponent_field": lambda v, x: t.to_bits(x, v.args[0].type) >> v.args[0].type.mantissa & v.args[0].type.special,
    "key": _key,
    "unkey": _unkey,
    "table": lambda v, i: np.array(v.attrs["values"], dtype=_const_dtype(v))[i],
    "exp2": lambda v, x: functions.exp2_model(x, v.type),
    "recip": lambda v, x: functions.recip_model(x, v.type),
    "recip_exact": lambda v, x: functions.recip_exact_model(x),
    "rsqrt": lambda v, x: functions.rsqrt_model(x, v.type),
    "iadd": _integer(np.add),
    "isub": _integer(np.subtract),
    "imul": _integer(np.multiply),
    "ineg": _integer(np.negative),
    "ilt": _truth(np.less),
    "ile": _truth(np.less_equal),
    "ieq": _truth(np.equal),
    "and": _integer(np.bitwise_and),
    "or": _integer(np.bitwise_or),
    "xor": _integer(np.bitwise_xor),
    "shl": lambda v, x: x << v.attrs["count"],
    "shr": lambda v, x: x >> x.dtype.type(min(63, v.attrs["count"])),
    "shlv": lambda v, x, k: x << k,
    "shrv": lambda v, x, k: x >> k.astype(x.dtype),
    "ishift": _shift,
    "clamp": lambda v, x: np.clip(x, v.attrs["low"], v.attrs["high"]),
    "wrap": _wrap,
    "bits": lambda v, x: ((x >> x.dtype.type(v.attrs["start"])) & x.dtype.type(v.type.high)).astype(
        t.int_dtype(v.type)
    ),
    "concat": lambda v, low, high: low | high << v.attrs["shift"],
    "reduce_sum": _sum,
    "reduce_max": lambda v, x: np.max(x, axis=-1, keepdims=True),
    "reduce_last": lambda v, x: np.atleast_1d(x)[..., -1:],
}


def _const_dtype(v: Value) -> Any:
    return np.float32 if isinstance(v.type, Float) else t.int_dtype(v.type)
