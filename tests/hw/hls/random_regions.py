"""Regions that are drawn: kernels and operators of rates on whatever streams there are."""

import contextlib
import inspect
import re
from dataclasses import dataclass

from hypothesis import strategies as st
from rtlm.hw import hls
from rtlm.hw.hls import SInt, Stream, Vec, join, load, narrow, pair, repeat, split, widen

INT = SInt(8)
MOST_BEATS = 12
"""Largest rate of a stream: beats for each of an input."""


@hls.kernel
def scale(a: INT) -> INT:
    return hls.wrap(a * 5 + 1, INT)


@hls.kernel
def long(a: INT) -> INT:
    return hls.to_int(hls.recip(hls.to_float(a)), INT, 6)


@hls.kernel
def add(a: INT, b: INT) -> INT:
    return hls.wrap(a + b, INT)


@hls.kernel
def choice(a: INT, b: INT, c: INT) -> tuple[INT, INT]:
    return hls.maximum(a, b), hls.minimum(hls.wrap(b - c, INT), a)


@hls.kernel
def running(x: INT) -> INT:
    return hls.scan(lambda state, x: hls.wrap(state * 3 + x, INT), hls.constant(0, INT), x)


@hls.kernel
def below_largest(x: INT) -> INT:
    return hls.wrap(x - hls.stream_max(x), INT)


@hls.kernel
def largest(x: INT) -> INT:
    return hls.stream_max(x)


@hls.kernel
def beside_first(x: INT, words: hls.Ram[INT, 128]) -> INT:
    return hls.wrap(x - words[hls.constant(0, hls.UInt(7))], INT)


def vector(n: int) -> hls.Kernel:
    """A kernel of `n` elements side by side."""

    def turned(v: Vec[INT, n]) -> Vec[INT, n]:
        return hls.Vector([hls.wrap(a - 1, INT) for a in v.reverse()])

    return hls.kernel(turned)


@dataclass(frozen=True)
class Step:
    """An operation, and numbers that choose its operands and its parameter."""

    op: str
    a: int
    b: int
    n: int


def _parts(n, x, y):
    return join(*(scale(s) if k % 2 else s for k, s in enumerate(split(x, n))))


def _in_turn(n, x, y):
    return join(*(running(s) if k % 2 else long(s) for k, s in enumerate(split(x, n, packets=True))), packets=True)


OPERATORS = {
    "scale": lambda n, x, y: scale(x),
    "long": lambda n, x, y: long(x),
    "add": lambda n, x, y: add(x, y),
    "choice": lambda n, x, y: choice(x, y, n)[n % 2],
    "pair": lambda n, x, y: next(iter(pair(y, x))),
    "wide": lambda n, x, y: narrow(vector(n)(widen(x, n))),
    "wider": lambda n, x, y: narrow(list(widen(pair(x, y), n))[1]),
    "split": _parts,
    "one of split": lambda n, x, y: split(x, n)[n - 1],
    "repeat": lambda n, x, y: repeat(x, n),
    "running": lambda n, x, y: running(x),
    "below largest": lambda n, x, y: below_largest(x),
    "largest": lambda n, x, y: largest(x),
    "repeat over": lambda n, x, y: repeat(largest(x), y),
    "load": lambda n, x, y: beside_first(x, load(repeat(y, n), 1)),
    "load for several": lambda n, x, y: beside_first(repeat(x, n, packets=True), load(y, n)),
    "repeat packets": lambda n, x, y: repeat(x, n, packets=True),
    "split packets": _in_turn,
}  # fmt: skip


def apply(program, inputs):
    """The last streams that a program makes."""
    values = [scale(x) for x in inputs]
    for step in program:
        for m in range(len(values)):
            x, y = values[(step.a + m) % len(values)], values[(step.b + m) % len(values)]
            with contextlib.suppress(TypeError):
                new = OPERATORS[step.op](step.n, x, y)
                if new.flow.beats.settled().factor * new.flow.packets.settled().factor <= MOST_BEATS:
                    values.append(new)
                    break
    return values[-2:]


@st.composite
def regions(draw, most: int = 6):
    """A region of one or two inputs."""
    count = draw(st.integers(1, 2))
    number = st.integers(0, 7)
    steps = st.builds(Step, st.sampled_from(sorted(OPERATORS)), number, number, st.integers(2, 4))
    program = draw(st.lists(steps, min_size=2, max_size=most))
    return region_of(count, program)


def region_of(count, program):
    """The region of a program, or of a smaller one where inputs do not meet or packets have no whole beats."""

    def drawn(*inputs):
        return tuple(apply(program, inputs))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    drawn.__signature__ = inspect.Signature(
        [inspect.Parameter(f"x{n}", kind, annotation=Stream[INT]) for n in range(count)],
        return_annotation=tuple[Stream[INT], Stream[INT]],
    )
    region = hls.region(drawn)
    try:
        _ = region.graph
    except hls.KernelError as error:
        assert re.search("never meet|does not use|whole number", str(error)), error
        return region_of(1, program[:-1]) if count == 1 else region_of(1, program)
    return region


def listing(region) -> str:
    """The nodes of a region, one a line."""
    return "\n".join(
        f"{node.name}({getattr(node, 'count', '')}) <- "
        + "; ".join(", ".join(sorted({c.node.name for c in i if not isinstance(c, int)})) for i in node.inputs)
        for node in region.graph.nodes
    )
