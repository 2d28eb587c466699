"""Every unit's gates in Verilator under cocotb, at every standard set of parameters, and benches that turn red."""

import re

import pytest
import rtlm.hw.kernels as kernels
from rtlm.hw import hls
from rtlm.hw.hls import F32
from rtlm.sim.unit_benches.bench import Bench
from rtlm.sim.unit_benches.catalog import FAMILIES, benches
from rtlm.sim.unit_benches.kernels.bench import KernelSet, prepare

pytestmark = pytest.mark.slow

BENCHES = [bench for unit in FAMILIES for bench in benches(unit)]


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.full_name)
def test_bench(bench, seed, tmp_path):
    run = bench.run(tmp_path, seed=seed)
    assert run.passed, run.complaint


@hls.kernel
def difference(x: F32, y: F32) -> F32:
    return x - y


@pytest.mark.parametrize(("broken", "complaint"), [("sign", "the model says"), ("stall", "was not taken")])
def test_bench_turns_red(tmp_path, monkeypatch, broken, complaint):
    """A flipped sign, and a pipeline that moves on while its output waits."""

    def no_stall(text):
        changed = re.sub(r"assign enable = [^;]*;", "assign enable = 1'h1;", text)
        assert changed != text
        return changed

    if broken == "sign":
        monkeypatch.setattr(kernels.residual, "component", difference.component)
    bench = Bench(
        unit="kernels",
        name="residual",
        module="rtlm.sim.unit_benches.kernels.cocotb_tests",
        prepare=lambda: prepare(KernelSet(names=("residual",), lanes=1, clock_mhz=300)),
    )
    run = bench.run(tmp_path, seed=1, mutate=no_stall if broken == "stall" else lambda text: text)
    assert not run.passed
    assert complaint in run.complaint
