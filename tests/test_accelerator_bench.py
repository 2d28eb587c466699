"""The whole accelerator in cocotb over cocotbext-axi, and in the native bench: the same logits, the same work."""

import json

import numpy as np
import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.runtime.simulation import simulate
from rtlm.host.verification.accelerator_bench import CONTEXT, TOKENS, accelerator_benches, column, write_bench_model

pytestmark = pytest.mark.slow

WORK = ("EVENT_MATMUL_BUSY", "EVENT_ATTENTION_BUSY", "EVENT_WORDS")
"""Counters of work: the same whatever the memory's timing. The others count cycles of waiting, or in between."""


@pytest.fixture(scope="module")
def run(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("accelerator")
    (bench,) = accelerator_benches()
    return folder, bench.run(folder, seed=seed)


def test_cocotb_gives_the_golden_bits(run):
    _, outcome = run
    assert outcome.passed, outcome.complaint
    assert {each.name for each in outcome.outcomes} == {"flat_out", "random_ready", "bus_faults"}


def test_native_bench_gives_the_same(run, tmp_path):
    folder, _ = run
    logits = np.frombuffer((folder / "logits.bin").read_bytes(), "<u4").reshape(len(TOKENS), -1)
    theirs = json.loads((folder / "counters.json").read_text())
    config = load_config("tiny")
    model = write_bench_model(tmp_path / "random.gguf", config.to_params())
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        for n in range(len(TOKENS)):
            result = simulation.engine.step([column(n)], read_logits=True)
            np.testing.assert_array_equal(result.logits[0].view(np.uint32), logits[n])
            assert {name: result.counters[name] for name in WORK} == {name: theirs[n][name] for name in WORK}
            assert all(result.counters[name] for name in WORK)
