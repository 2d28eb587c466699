"""Kernels that are drawn: programs of operators on whatever there is, state and reductions among them."""

import contextlib
import inspect
from dataclasses import dataclass
from itertools import product

from hypothesis import strategies as st
from rtlm.hw import hls
from rtlm.hw.hls import BF16, BOOL, F16, F32, SInt, UInt, Value, constant

TYPES = [SInt(8), UInt(5), SInt(17), UInt(12), BOOL, F32, BF16, F16]
WIDEST = 40


@dataclass(frozen=True)
class Step:
    """An operation, and numbers that choose its operands and its parameters among what fits."""

    op: str
    a: int
    b: int
    n: int


def _narrow(x: Value) -> Value:
    """An integer that can be calculated with further."""
    return hls.wrap(x, SInt(WIDEST // 2)) if not _is_float(x) and x.type.width > WIDEST else x


def _is_float(x: Value) -> bool:
    return isinstance(x.type, hls.Float)


def _state(x: Value) -> Value:
    return constant(0, x.type)


def _bit(x: Value) -> Value:
    return x > 0


OPERATORS = {
    "add": lambda a, b, n: a + b,
    "subtract": lambda a, b, n: a - b,
    "multiply": lambda a, b, n: a * b,
    "negate": lambda a, b, n: -a,
    "absolute": lambda a, b, n: abs(a),
    "less": lambda a, b, n: a < b,
    "equal": lambda a, b, n: a == b,
    "select": lambda a, b, n: hls.select(_bit(a), a, b),
    "and": lambda a, b, n: a & b,
    "or": lambda a, b, n: a | b,
    "xor": lambda a, b, n: a ^ b,
    "mask": lambda a, b, n: a & n,
    "shift left": lambda a, b, n: a << n % 5,
    "shift right": lambda a, b, n: a >> n % 9,
    "shift left by": lambda a, b, n: a << hls.bits(b, 0, 3),
    "shift right by": lambda a, b, n: a >> hls.bits(b, 0, 4),
    "quotient": lambda a, b, n: a // (n + 1),
    "remainder": lambda a, b, n: a % (n + 1),
    "wrap signed": lambda a, b, n: hls.wrap(a, SInt(n % 16 + 1)),
    "wrap unsigned": lambda a, b, n: hls.wrap(a, UInt(n % 16 + 1)),
    "bits": lambda a, b, n: hls.bits(a, n % 4, n % 4 + 1 + n % 3),
    "clamp": lambda a, b, n: hls.clamp(a, -n, n * n),
    "plus number": lambda a, b, n: a + (n - 8),
    "times number": lambda a, b, n: a * (n - 3),
    "times power": lambda a, b, n: a * 2.0 ** (n - 4),
    "plus zero": lambda a, b, n: a + 0,
    "minus zero": lambda a, b, n: a - 0.0,
    "maximum": lambda a, b, n: hls.maximum(a, b),
    "minimum": lambda a, b, n: hls.minimum(a, b),
    "fma": lambda a, b, n: hls.fma(a, b, a),
    "to float": lambda a, b, n: hls.to_float(a, F32, n % 7),
    "to integer": lambda a, b, n: hls.to_int(a, SInt(n % 12 + 5), n % 5),
    "widen": lambda a, b, n: hls.convert(a, F32),
    "narrow": lambda a, b, n: hls.convert(a, (BF16, F16)[n % 2]),
    "scale": lambda a, b, n: hls.ldexp(a, hls.wrap(b, SInt(5))),
    "exponent": lambda a, b, n: hls.exponent_field(a),
    "table": lambda a, b, n: hls.table(hls.wrap(a, UInt(3)), range(n, n + 8), UInt(8)),
    "previous": lambda a, b, n: hls.previous(a, n % 5 + 1),
    "index": lambda a, b, n: hls.index(UInt(n % 6 + 1)),
    "running sum": lambda a, b, n: hls.scan(lambda s, x: hls.wrap(s + x, SInt(12)), constant(n, SInt(12)), a),
    "running choice": lambda a, b, n: hls.scan(
        lambda s, x, y: hls.select(_bit(y), x, s), _state(a), a, b
    ),
    "running pair": lambda a, b, n: hls.scan(
        lambda s, x: (hls.wrap(s[1] + 1, UInt(9)), hls.wrap(s[0] ^ x, UInt(9))),
        (constant(n, UInt(9)), constant(1, UInt(9))),
        a,
    )[n % 2],
    "running largest": lambda a, b, n: hls.scan(hls.maximum, _state(a), a),
    "running smallest": lambda a, b, n: hls.scan(lambda s, x: hls.minimum(x, s), _state(a), a),
    "running count": lambda a, b, n: hls.scan(
        lambda s, x, y: hls.select(_bit(y), hls.wrap(s - x, UInt(n + 1)), s), constant(0, UInt(n + 1)), a, b
    ),
    "running logic": lambda a, b, n: hls.scan(
        (lambda s, x: s & x, lambda s, x: s | x, lambda s, x: s ^ x)[n % 3], constant(1, a.type), a
    ),
    "running float": lambda a, b, n: hls.scan(lambda s, x: s + x, _state(a), a),
    "sum": lambda a, b, n: hls.stream_sum(a, SInt(24)),
    "largest": lambda a, b, n: hls.stream_max(a),
    "last": lambda a, b, n: hls.fold(lambda s, x: x, _state(a), a),
}  # fmt: skip
REDUCTIONS = ("sum", "largest", "last")


def apply(program: list[Step], arguments: list[Value]) -> list[Value]:
    """Results of a program: the last values it makes."""
    values, reductions = list(arguments), 0
    for step in program:
        if step.op in REDUCTIONS and reductions:
            continue  # packets are short: one pass over a packet waits for another
        new = fitting(step, values)
        if new is not None:
            reductions += step.op in REDUCTIONS
            values.append(new)
    return values[len(arguments) :][-3:] or [-arguments[0]]


def fitting(step: Step, values: list[Value]) -> Value | None:
    """Result of a step on the first operands, from those that it names on, that it takes."""
    for m, n in product(range(len(values)), repeat=2):
        a, b = values[(step.a + m) % len(values)], values[(step.b + n) % len(values)]
        with contextlib.suppress(TypeError, ValueError):
            return _narrow(OPERATORS[step.op](a, b, step.n))
    return None


@st.composite
def kernels(draw, most: int = 20):
    """A kernel of one to three arguments."""
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
    number = st.integers(0, 15)
    steps = st.builds(Step, st.sampled_from(sorted(OPERATORS)), number, number, number)
    program = draw(st.lists(steps, min_size=5, max_size=most))
    return kernel_of(types, program)


def kernel_of(types, program):
    """The kernel of a program; its results have whatever types they have."""
    names = [f"x{n}" for n in range(len(types))]
    trial = apply(program, [Value("arg", (), t, name=n, shared=False) for n, t in zip(names, types, strict=True)])

    def drawn(*arguments):
        return tuple(apply(program, list(arguments)))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    drawn.__signature__ = inspect.Signature(
        [inspect.Parameter(n, kind, annotation=t) for n, t in zip(names, types, strict=True)],
        return_annotation=tuple(r.type for r in trial),
    )
    return hls.kernel(drawn)


def listing(kernel) -> str:
    """The operations of a kernel, one a line."""
    number = {id(v): n for n, v in enumerate(kernel.graph.order)}
    lines = []
    for v in kernel.graph.order:
        attrs = {name: a for name, a in v.attrs.items() if name != "recurrence"}
        if "recurrence" in v.attrs:
            attrs["step"] = [f"{w.op} {w.type}" for w in v.attrs["recurrence"].order]
        lines.append(f"v{number[id(v)]}: {v.type} = {v.op} {[f'v{number[id(a)]}' for a in v.args]} {attrs}")
    return "\n".join([*lines, f"return {[f'v{number[id(r)]}' for r in kernel.graph.results]}"])
