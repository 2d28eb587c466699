"""Random nests: one to three loops of drawn bounds around a drawn body, in gates against the model."""

import contextlib
import inspect
import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from rtlm.hw import hls
from rtlm.hw.hls import Directives, KernelError, Ram, SInt, UInt, loop, wrap

from tests.hw.hls.nests import check_nest
from tests.hw.hls.random_kernels import OPERATORS, Step, apply, listing

ARGUMENTS = {"a": UInt(2), "b": UInt(3), "c": SInt(6)}
MEMORY = Ram[SInt(8), 64]
ADDRESS = UInt(6)
GATES = 30
"""Nests, of a hundred that are drawn; `--fuzz 10` is the campaign of 300."""


@dataclass(frozen=True)
class Shape:
    """Bounds of each loop, numbers or names of arguments, and the factors of each count in the memory's address."""

    loops: tuple[tuple[int | str, ...], ...]
    factors: tuple[int | str, ...]


bounds = st.one_of(st.integers(1, 6), st.sampled_from(["a", "b"]))
shapes = st.builds(
    lambda outer, inner, factors: Shape((*((n,) for n in outer), tuple(inner)), tuple(factors)),
    st.lists(bounds, max_size=2),
    st.lists(bounds, min_size=1, max_size=2),
    st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["a", "b"])), min_size=4, max_size=4),
)
steps = st.builds(Step, st.sampled_from(sorted(OPERATORS)), *(st.integers(0, 15) for _ in range(3)))
directives = st.builds(
    Directives,
    lanes=st.sampled_from([1, 2, 3, 4]),
    clock_mhz=st.sampled_from([40, 150, 300]),
    ii=st.sampled_from([None, None, 2, 3]),
)


def nest_of(shape, program):
    """The kernel of a shape and a program; its results have whatever types they have."""
    seen = []

    def drawn(a, b, c, memory):
        results = _around(shape, program, {"a": a, "b": b, "c": c}, memory, 0, [])
        seen[:] = [r.type for r in results]
        return tuple(results)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(n, kind, annotation=t) for n, t in (ARGUMENTS | {"memory": MEMORY}).items()]
    drawn.__signature__ = inspect.Signature(parameters, return_annotation=(UInt(1),) * 9)
    with contextlib.suppress(KernelError):  # the results are of other types, and now known
        _ = hls.kernel(drawn).graph
    drawn.__signature__ = inspect.Signature(parameters, return_annotation=tuple(seen))
    return hls.kernel(drawn)


def _around(shape, program, given_, memory, depth, counts):
    """Open a loop, and the others in it; the innermost one has the body."""
    if depth == len(shape.loops):
        return _body(shape, program, given_, memory, counts)
    for found in loop(*(given_.get(bound, bound) for bound in shape.loops[depth])):
        inner = [*counts, *(found if isinstance(found, tuple) else (found,))]
        results = _around(shape, program, given_, memory, depth + 1, inner)
    return results


def _body(shape, program, given_, memory, counts):
    address = sum(n * given_.get(factor, factor) for n, factor in zip(counts, shape.factors, strict=False))
    word = memory[wrap(address, ADDRESS)]
    results = apply(program, [word, *counts[::-1], given_["c"], given_["b"]])
    if any(r.per_beat for r in results) or not any(r.phase for r in results):
        results.append(counts[-1])
    return results


@pytest.mark.randomised
@pytest.mark.slow
@settings(max_examples=settings.get_profile("suite").max_examples * GATES // 100)
@given(shapes, st.lists(steps, min_size=3, max_size=12), directives, st.integers(0, 1 << 30))
def test_gates(shape, program, directives, seed):
    kernel = nest_of(shape, program)
    note(f"{shape}\n{listing(kernel)}\n{directives}")
    try:
        kernel.schedule(directives)
    except ValueError as error:
        if "of which the last is no known multiple" in str(error):
            directives = replace(directives, lanes=1)
        else:
            assert "takes a beat every" in str(error)  # a state takes longer than the interval that was asked for
            directives = replace(directives, ii=None)
    chance = random.Random(seed)
    commands = [tuple(chance.getrandbits(t.width) for t in ARGUMENTS.values()) for _ in range(4)]
    commands.append((chance.randrange(1, 4), chance.randrange(1, 8), 5))
    check_nest(kernel, commands, directives, seed=seed, keep=(0, 1))
