"""Operators in gates: for each operation its micro-steps, its name in reports, and what can be shared."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Mux
from rtlm.hw.hls import gates, gates_functions, products
from rtlm.hw.hls import types as t
from rtlm.hw.hls.builder import Builder, Net
from rtlm.hw.hls.evaluate import MODELS
from rtlm.hw.hls.graph import Value
from rtlm.hw.hls.types import Float

_NAMES = {"mul": "multiply", "imul": "integer multiply", "iadd": "integer add", "isub": "integer add", "lt": "compare"}
_NAMES |= {
    "ishift": "shift",
    "le": "compare",
    "eq": "compare",
    "ilt": "integer compare",
    "ile": "integer compare",
    "ieq": "integer compare",
}
_FREE = ("const", "arg", "wrap", "bits", "concat", "shl", "shr", "neg", "abs", "not", "exponent_field", "key", "unkey")

SMALLEST_PRODUCT = 4
"""Bits of an operand up to which a product is not worth sharing."""
_SHARED = frozenset(
    {"add", "mul", "fma", "to_int", "to_float", "convert", "exp2", "recip", "recip_exact", "rsqrt"}
    | {"shlv", "shrv", "ishift"}
)
"""Operators that are larger than multiplexers of their operands."""


def operator_name(v: Value) -> str | None:
    """Return the name under which an operator is counted; None of wires."""
    type_ = v.args[0].type if v.args else v.type
    return None if v.op in _FREE else f"{type_} {_NAMES.get(v.op, v.op)}"


def is_shared(v: Value) -> bool:
    """Whether an operator is larger than multiplexers of its operands."""
    return v.op in _SHARED or (v.op == "imul" and min(a.type.width for a in v.args) > SMALLEST_PRODUCT)


def expand(b: Builder, v: Value, args: list[Net]) -> Net:
    """Build an operator's micro-steps from the nets of its operands."""
    return _EXPANSIONS[v.op](b, v, args, v.args[0].type if v.args else v.type)


def folded(v: Value, operands: list[Any]) -> int:
    """Return the bits, or the integer, of an operator on constants of Amaranth."""
    numbers = []
    for a, constant in zip(v.args, operands, strict=True):
        number = np.asarray(constant.value)
        numbers.append(t.from_bits(number, a.type) if isinstance(a.type, Float) else number.astype(t.int_dtype(a.type)))
    with np.errstate(all="ignore"):
        result = MODELS[v.op](v, *numbers)
    return t.on_wires(result, v.type)


def is_dirty(v: Value) -> bool:
    """Whether the bits of a float may be a subnormal or a NaN other than the canonical one."""
    if v.op in ("arg", "neg", "read"):
        return True
    if v.op == "scan":
        return is_dirty(v.attrs["recurrence"].results[v.attrs["part"]])
    if v.op == "convert":
        source = v.args[0].type
        return source.exponent == v.type.exponent and source.mantissa <= v.type.mantissa and is_dirty(v.args[0])
    return v.op in ("abs", "select", "previous", "reduce_last") and any(
        is_dirty(a) for a in v.args if isinstance(a.type, Float)
    )


def fit(value, type_):
    """Low bits of an Amaranth value as ``type_``, sign- or zero-extended."""
    if len(value) < type_.width:
        fill = value[-1] if value.shape().signed else Const(0, 1)
        value = Cat(value, fill.replicate(type_.width - len(value)))
    low = value[: type_.width]
    return low.as_signed() if type_.low < 0 else low.as_unsigned()


def _integer(function, delay):
    """Expansion of an integer operator: one step, fitted to the type."""
    return lambda b, v, args, _: b.step(lambda *x: fit(function(v, *x), v.type), *args, delay=delay(b.tech, v, args))


def _carry(tech, v, args):
    return tech.add(max(a.width for a in args) + 1)


def _sum(tech, v, args):
    return tech.sum(max(a.width for a in args) + 1)


def _shifter(tech, v, args):
    return tech.shift(1 << args[1].width)


def _one_level(tech, v, args):
    return tech.levels(1)


def _wires(tech, v, args):
    return 0.0


def _clamp(v, x):
    return Mux(x < v.attrs["low"], v.attrs["low"], Mux(x > v.attrs["high"], v.attrs["high"], x))


def _table(b, v, args, type_):
    reachable = v.attrs["values"][: v.args[0].type.high + 1]
    words = [t.on_wires(x, v.type) & ((1 << v.type.width) - 1) for x in reachable]
    net = b.rom(args[0], words, t.UInt(v.type.width).shape)
    return b.wire(lambda x: fit(x, v.type) if not isinstance(v.type, Float) else x, net)


def _select(b, v, args, _):
    if isinstance(v.type, Float):
        return b.mux(*args)
    return b.step(lambda c, x, y: fit(Mux(c, x, y), v.type), *args, delay=b.tech.levels(1))


_EXPANSIONS = {
    "add": lambda b, v, a, ty: gates.add(b, *a, ty),
    "mul": lambda b, v, a, ty: gates.multiply(b, *a, ty),
    "fma": lambda b, v, a, ty: gates.fma(b, *a, ty),
    "neg": lambda b, v, a, ty: b.wire(lambda x: Cat(x[:-1], ~x[-1]), *a),
    "abs": lambda b, v, a, ty: b.wire(lambda x: Cat(x[:-1], Const(0, 1)), *a),
    "lt": lambda b, v, a, ty: gates.compare(b, "lt", *a, ty),
    "le": lambda b, v, a, ty: gates.compare(b, "le", *a, ty),
    "eq": lambda b, v, a, ty: gates.compare(b, "eq", *a, ty),
    "not": lambda b, v, a, ty: b.wire(lambda x: ~x, *a),
    "select": _select,
    "to_int": lambda b, v, a, ty: gates.to_int(b, *a, ty, v.type, v.attrs["frac"]),
    "to_float": lambda b, v, a, ty: gates.to_float(b, *a, v.type, v.attrs["frac"]),
    "convert": lambda b, v, a, ty: gates.convert(b, *a, ty, v.type),
    "ldexp": lambda b, v, a, ty: gates.ldexp(b, *a, ty),
    "exponent_field": lambda b, v, a, ty: b.wire(lambda x: x[ty.mantissa : ty.mantissa + ty.exponent], *a),
    "key": lambda b, v, a, ty: gates.key(b, *a, ty),
    "unkey": lambda b, v, a, ty: gates.unkey(b, *a, v.type),
    "table": _table,
    "exp2": lambda b, v, a, ty: gates_functions.exp2(b, *a, ty),
    "recip": lambda b, v, a, ty: gates_functions.recip(b, *a, ty),
    "recip_exact": lambda b, v, a, ty: gates_functions.recip_exact(b, *a),
    "rsqrt": lambda b, v, a, ty: gates_functions.rsqrt(b, *a, ty),
    "iadd": _integer(lambda v, x, y: x + y, _sum),
    "isub": _integer(lambda v, x, y: x - y, _carry),
    "imul": lambda b, v, a, ty: b.wire(lambda x: fit(x, v.type), products.multiply(b, *a)),
    "ineg": _integer(lambda v, x: -x, _carry),
    "ilt": _integer(lambda v, x, y: x < y, _carry),
    "ile": _integer(lambda v, x, y: x <= y, _carry),
    "ieq": _integer(lambda v, x, y: x == y, _carry),
    "and": _integer(lambda v, x, y: x & y, _one_level),
    "or": _integer(lambda v, x, y: x | y, _one_level),
    "xor": _integer(lambda v, x, y: x ^ y, _one_level),
    "shl": _integer(lambda v, x: x.shift_left(v.attrs["count"]), _wires),
    "shr": _integer(lambda v, x: x.shift_right(v.attrs["count"]), _wires),
    "shlv": _integer(lambda v, x, k: x << k, _shifter),
    "shrv": _integer(lambda v, x, k: x >> k, _shifter),
    "ishift": lambda b, v, a, ty: gates.shift(b, a[0], a[1], v.type, half_up=v.attrs["half_up"]),
    "clamp": _integer(_clamp, lambda tech, v, a: tech.add(a[0].width) + tech.levels(2)),
    "wrap": _integer(lambda v, x: x, _wires),
    "bits": _integer(lambda v, x: x.shift_right(v.attrs["start"]), _wires),
    "concat": _integer(lambda v, x, y: Cat(fit(x, t.UInt(v.attrs["shift"])), y), _wires),
}
