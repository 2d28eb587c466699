"""Traces in windows: a small counter, so that every cycle that is recorded can be counted."""

import itertools
import json
from dataclasses import asdict

import pytest
from rtlm.host.reports import activity_sampler
from rtlm.host.reports.activity import read_saif
from rtlm.host.reports.activity_sampler import activity_key, store_activity, stored_activity
from rtlm.host.reports.measurements import ActivityMeasurement
from rtlm.host.runtime.trace import SAMPLE_CYCLES, SAMPLES, Trace, sample_windows
from rtlm.sim import AcceleratorModel, SimulationError, build_model
from rtlm.sim.memory import dram

RESET_CYCLES = 16
UNWRITABLE = r"cannot be written: No such file or directory\.$"
END = 3000
COUNTER = f"""
module accelerator(input clk, input rst, output irq);
  reg [11:0] count;
  assign irq = count == {END};
  always @(posedge clk) count <= rst ? 0 : irq ? count : count + 1;
endmodule
"""


@pytest.fixture
def simulate():
    """Run the counter to its end with some windows; gives the trace and the last cycle."""

    def run(kind, path, windows):
        build = build_model(COUNTER, trace=kind)
        with AcceleratorModel(build, dram=dram.named("ideal"), clock_mhz=100, memory_bytes=4096) as model:
            trace = Trace(model, path, windows)
            trace.advance()
            trace.close()
            return trace, model.cycles

    return run


@pytest.mark.slow
def test_saif_counts_the_cycles_in_the_windows_only(simulate, tmp_path):
    trace, cycles = simulate("saif", tmp_path / "a.saif", [(100, 164), (500, 1012), (2000, 2128)])
    assert cycles == RESET_CYCLES + END
    assert trace.windows == 3
    activity = read_saif(tmp_path / "a.saif")
    assert activity.cycles == pytest.approx(64 + 512 + 128, abs=0.5)
    # A counter toggles two bits a cycle, and at most all twelve once where cycles were left out.
    toggles = activity.instances["TOP.accelerator"].count / activity.cycles
    assert 1.9 < toggles < 2 + 3 * 12 / activity.cycles


@pytest.mark.slow
def test_a_waveform_holds_the_window_and_nothing_else(simulate, tmp_path, waveform):
    pywellen = pytest.importorskip("pywellen")
    path = tmp_path / f"a.{waveform}"
    _, cycles = simulate(waveform, path, [(100, 200)])
    assert cycles == RESET_CYCLES + END
    wave = pywellen.Waveform(str(path))
    count = wave["TOP.accelerator.count"].signal
    values = [count[i][1] for i in range(len(count))]
    # 16 cycles of reset come before the first count; the value before the window's first edge is in it too.
    assert values == list(range(100 - RESET_CYCLES, 200 - RESET_CYCLES + 1))


@pytest.mark.slow
def test_a_window_that_is_never_reached_leaves_no_file(simulate, tmp_path, waveform):
    path = tmp_path / f"a.{waveform}"
    trace, _ = simulate(waveform, path, [(END + 100, END + 200)])
    assert not trace.started
    assert not path.exists()


@pytest.mark.slow
def test_a_waveform_that_cannot_be_written_is_a_sentence(simulate, tmp_path, waveform):
    with pytest.raises(SimulationError, match=UNWRITABLE):
        simulate(waveform, tmp_path / "none" / "a", [(100, 200)])


@pytest.mark.slow
def test_a_count_that_cannot_be_written_is_a_sentence(simulate, tmp_path):
    with pytest.raises(SimulationError, match=UNWRITABLE):
        simulate("saif", tmp_path / "none" / "a", [(100, 200)])


def test_samples_are_one_a_period_and_never_overlap():
    windows = list(itertools.islice(sample_windows(5000, 1_600_000), 3 * SAMPLES))
    period = 1_600_000 // SAMPLES
    for i, (first, end) in enumerate(windows):
        assert end - first == SAMPLE_CYCLES
        assert 5000 + i * period <= first <= 5000 + (i + 1) * period - SAMPLE_CYCLES
    assert len({(first - 5000) % period for first, _ in windows}) > SAMPLES
    short = list(itertools.islice(sample_windows(0, 10), 3))
    assert short == [(i * SAMPLE_CYCLES, (i + 1) * SAMPLE_CYCLES) for i in range(3)]


def test_what_was_counted_is_kept_for_later_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(activity_sampler, "cache_folder", lambda *parts: tmp_path.joinpath(*parts))
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"weights")
    key = activity_key("0" * 64, weights)
    assert stored_activity(key) is None
    counted = ActivityMeasurement(toggles={"matmul": 0.25}, cycles=4096, samples=4, context=9)
    store_activity(key, counted)
    assert asdict(stored_activity(key)) == asdict(counted) | {"earlier": True}
    (file,) = (tmp_path / "activity").iterdir()
    for damaged in ("", "[]", json.dumps({"toggles": {}, "unknown": 1})):
        file.write_text(damaged)
        assert stored_activity(key) is None
    assert activity_key("1" * 64, weights) != key
    weights.write_bytes(b"others")
    assert activity_key("0" * 64, weights) != key
