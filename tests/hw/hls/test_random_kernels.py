"""Random kernels: simplified graphs, and gates, give the bits of the graph as it was written."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from rtlm.hw import hls
from rtlm.hw.hls import Directives
from rtlm.hw.hls.graph import Value
from rtlm.hw.hls.optimise import optimised
from rtlm.sim.unit_benches.kernels.bench import random_bits
from rtlm.sim.unit_benches.kernels.packets import draw_ends

from tests.hw.hls.random_kernels import OPERATORS, TYPES, Step, fitting, kernels, listing
from tests.hw.hls.simulate import check

directives = st.builds(
    Directives,
    lanes=st.sampled_from([1, 2, 3, 4]),
    clock_mhz=st.sampled_from([40, 150, 300]),
    ii=st.sampled_from([None, None, 2, 3, 5]),
    technology=st.sampled_from(["generic", "xilinx-us+"]),
    chain=st.sampled_from([None, True, False]),
    bind=st.sampled_from([{}, {"multiply": "dsp"}, {"multiply": "lut"}]),
)
GATES = 30
"""Kernels in gates, of a hundred that are drawn; `--fuzz 10` is the campaign of 300."""


@pytest.mark.randomised
@given(kernels(), st.integers(0, 1 << 30))
def test_simplified_graphs(kernel, seed):
    note(listing(kernel))
    rng, beats = np.random.default_rng(seed), 40
    last = draw_ends(rng, beats, 9, chance=0.3)
    values = [hls.from_bits(random_bits(rng, t, (beats, 2)), t) for t, _ in kernel.arguments.values()]
    simple = copy.copy(kernel)
    simple.graph = optimised(kernel.graph)
    assert len(simple.graph.order) <= len(kernel.graph.order) + 8  # a sum with zero becomes a comparison and a choice
    for name, type_, a, b in zip(
        kernel.results, kernel.results.values(), *(k.model_of_fields(values, {}, last) for k in (kernel, simple)),
        strict=True,
    ):  # fmt: skip
        assert np.array_equal(*(hls.to_bits(np.broadcast_to(x, a.shape), type_) for x in (a, b))), name


IMPOSSIBLE = {"has no product multiply": {"bind": {}}, "takes a beat every": {"ii": None}}
"""What a schedule refuses of drawn directives, and the directives without it."""


def possible(kernel, directives):
    """Return the directives without those that the kernel cannot have: it may have no product to bind, or a state
    may take longer than the interval that was asked for."""
    while True:
        try:
            kernel.schedule(directives)
        except ValueError as error:
            without = next((without for problem, without in IMPOSSIBLE.items() if problem in str(error)), {})
            if replace(directives, **without) == directives:
                raise
            directives = replace(directives, **without)
        else:
            return directives


@pytest.mark.randomised
@pytest.mark.slow
@settings(max_examples=settings.get_profile("suite").max_examples * GATES // 100)
@given(kernels(), directives, st.integers(0, 1 << 30))
def test_gates(kernel, directives, seed):
    note(f"{listing(kernel)}\n{directives}")
    directives = possible(kernel, directives)
    waits = 9 if kernel.graph.phases > 1 else None
    check(kernel, directives, beats=20, longest=9, seed=seed, max_length=waits)


def test_every_operator_fits_something():
    arguments = [Value("arg", (), t, name="x", shared=False) for t in TYPES]
    assert all(fitting(Step(op, 0, 0, 1), arguments) is not None for op in OPERATORS)
