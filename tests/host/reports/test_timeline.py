"""The timeline agrees with the report, cycle by cycle, and is a trace that Perfetto reads."""

import json
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest
from rtlm.host import session
from rtlm.host.cli.main import run_command
from rtlm.host.compiler.plan import make_plan
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.host.reports.perfetto_file import NS_PER_CYCLE, write_perfetto
from rtlm.host.reports.perfetto_reader import PerfettoReader
from rtlm.host.reports.timeline import CounterTrack, Slice, Timeline, Track
from rtlm.host.reports.timeline_names import name_instructions
from rtlm.host.reports.traffic import executed
from rtlm.host.runtime.device import ColumnInput, successive
from rtlm.host.session_options import RunOptions
from rtlm.sim.memory.dram import ddr4_2400

from tests.documents import DOCS
from tests.host.small_models import SIZES, params_of
from tests.notes import Notes

LAYERS = 2
PAGE = (DOCS / "timeline.md").read_text(encoding="utf-8")
DOWNLOADED = Path("~/.local/share/perfetto/prebuilts").expanduser()


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(layers=LAYERS, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=64)


@pytest.fixture(scope="module")
def traced(model, tmp_path_factory):
    """Run with a timeline: report, the trace that was written, what was said."""
    path = tmp_path_factory.mktemp("timeline") / "run.pftrace"
    notes = Notes()
    options = RunOptions(
        texts=("abc",),
        max_tokens=3,
        config="tiny",
        overrides=("memory.dram=ddr4-2400",),
        model=model,
        trace=path,
        trace_steps=2,
        power="assumed",
    )
    return session.run(options, notes), path, notes.notes


@pytest.fixture(scope="module")
def trace(traced):
    return PerfettoReader(traced[1])


def cycles_of(slices, start=0, end=float("inf")):
    total = Counter()
    for each in slices:
        if start <= each.ts < end:
            total[each.name] += each.dur / NS_PER_CYCLE
    return total


@pytest.mark.slow
def test_steps_are_those_from_the_first_new_token_on(traced, trace):
    report, _, notes = traced
    steps = trace.track("step", "steps")
    prompt = len(report.run.sequences[0].prompt_ids)
    assert [each.dur / NS_PER_CYCLE for each in steps] == [each.cycles for each in report.run.steps[prompt - 1 :][:2]]
    assert [each.details["position"] for each in steps] == [prompt - 1, prompt]
    assert len(notes) == 1 and notes[0].startswith("The timeline of 2 steps, ")


@pytest.mark.slow
def test_operators_and_causes_and_units_are_those_of_the_report(traced, trace):
    report, _, _ = traced
    prompt = len(report.run.sequences[0].prompt_ids)
    operators = trace.track("step", "operators")
    channel = trace.track("memory", "channel 0")
    for step, measured in zip(trace.track("step", "steps"), report.run.steps[prompt - 1 :], strict=False):
        within = [each for each in operators if step.ts <= each.ts < step.ts + step.dur]
        found = Counter()
        for each in within:
            assert each.details["cycles"] * NS_PER_CYCLE == each.dur
            found[each.details["operator"]] += each.details["cycles"]
        assert found == {name: cycles for name, cycles in measured.operators.items() if cycles}
        # A layer's operators lie in it: each layer once has all that a layer has.
        layers = {each.details["layer"] for each in within if each.details["operator"] in ("qkv", "wo", "mlp", "qk^t")}
        assert layers == set(range(LAYERS))

        causes = cycles_of(channel, step.ts, step.ts + step.dur)
        expected = Counter(measured.causes)
        expected["data"] = expected.pop("needed") + expected.pop("other_bytes")
        for name, cycles in expected.items():
            assert causes[name] == pytest.approx(cycles, abs=2), name
        assert sum(causes.values()) == pytest.approx(measured.cycles, abs=0.01)

        for unit, group in (("matmul", "matrix unit"), ("attention", "attention"), ("vector", "vector engine")):
            for state, cycles in measured.units[unit].items():
                slices = trace.track(group, state)
                assert sum(cycles_of(slices, step.ts, step.ts + step.dur).values()) == cycles, (unit, state)


@pytest.mark.slow
def test_instructions_are_those_of_the_program(trace, model):
    plan = make_plan(params_of("tiny"), ModelShape.of(LlamaModel.open(model)), context=16)
    names = [each.name for each in name_instructions(plan, successive([0], 4, slot=0), logits=True)]
    assert [each.name for each in trace.track("instructions", "handed over")] == 2 * names
    assert [each.name for each in trace.track("instructions", "words taken")] == 2 * names[:-1]
    epilogues = [each.name for each in trace.track("vector engine", "epilogues")]
    assert "layer 1 · wo → residual" in epilogues and "layer 0 · attention → quantise" in epilogues
    work = Counter(each.name for each in trace.track("attention", "work"))
    assert work["layer 1 · qk^t, KV head 1"] == work["layer 0 · softmax, KV head 0"] == 2
    assert len(trace.track("vector engine", "loads")) == 2 * names_of_loads(names)


def names_of_loads(names):
    return sum("load " in name for name in names)


@pytest.mark.slow
def test_ports_and_counters_hold_the_bytes(trace):
    purposes = {each.name for port in (0, 1) for each in trace.track(f"AXI port {port}", "reads")}
    assert purposes == {"program", "weights", "embedding", "norms", "rope", "kv"}
    assert {each.name for each in trace.track("AXI port 0", "writes")} == {"kv"}
    rates = [value for _, value in trace.counter("memory", "read rate")]
    assert 0 < max(rates) <= ddr4_2400().peak_bytes_per_second / 1e9
    fill = [value for _, value in trace.counter("reader", "prefetch buffer")]
    assert 0 <= min(fill) < max(fill) <= params_of("tiny").prefetch_words


@pytest.mark.slow
def test_perfettos_trace_processor_reads_it(traced):
    report, path, _ = traced
    binary = shutil.which("trace_processor_shell") or shutil.which("trace_processor")
    binary = binary or next(iter(sorted(DOWNLOADED.glob("trace_processor_shell-*[0-9a-f]"))), None)
    if binary is None:
        pytest.skip("Perfetto's trace processor is a program that its package downloads on first use; it is not here")
    from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    with TraceProcessor(trace=str(path), config=TraceProcessorConfig(bin_path=str(binary))) as processor:
        found = {row.operator: row.cycles for row in processor.query(query)}
        errors = processor.query("select sum(value) as n from stats where severity = 'error'")
        assert next(iter(errors)).n == 0
    step = report.run.steps[len(report.run.sequences[0].prompt_ids) - 1]
    assert found == {name: cycles for name, cycles in step.operators.items() if cycles}


@pytest.mark.parametrize("array", ["tiny", "three columns"])
def test_every_executed_instruction_has_a_name_and_its_runs(random_model, array):
    params = params_of(array)
    plan = make_plan(params, ModelShape.of(LlamaModel.open(random_model(**SIZES))), context=16)
    columns = successive(list(range(params.columns)), 3, slot=0)
    named = name_instructions(plan, columns, logits=False)
    assert [each.planned for each in named] == list(executed(plan, len(columns), logits=False))
    attention = [each for each in named if each.what == "attention"]
    assert [each.layer for each in attention] == list(range(SIZES["layers"]))
    # Scales, keys and values of each KV head, for each column.
    assert {each.runs for each in attention} == {3 * SIZES["kv_heads"] * len(columns)}
    first = name_instructions(plan, [ColumnInput(token=0, position=0, history=0, local_first=0, slot=0)], logits=True)
    assert {each.runs for each in first if each.what == "attention"} == {0}
    assert first[-1].name == "end" and first[-2].name == "output" and named[-1].name == "end"
    assert "layer 1 · load attn_norm" in [each.name for each in named]


def test_a_written_trace_is_read_back(tmp_path):
    import numpy as np

    slices = [Slice(start=3, end=5, name="a", details={"cycles": 2, "what": "x"}), Slice(start=5, end=5.5, name="b")]
    counter = CounterTrack(group="g", name="n", unit="words", cycles=np.array([0, 16]), values=np.array([1.0, 2.5]))
    timeline = Timeline(
        config="tiny",
        clock_mhz=250,
        tracks=[Track(group="g", name="t", slices=slices), Track(group="h", name="t", slices=slices[:1])],
        counters=[counter],
        complete=True,
    )
    path = tmp_path / "a.pftrace"
    write_perfetto(timeline, path)
    trace = PerfettoReader(path)
    title = "tiny: 1 µs is 1 cycle, in reality 4 ns"
    assert [(s.name, s.ts, s.dur, s.details) for s in trace.slices[f"{title}/g/t"]] == [
        ("a", 3000, 2000, {"cycles": 2, "what": "x"}),
        ("b", 5000, 500, {}),
    ]
    assert len(trace.slices[f"{title}/h/t"]) == 1
    assert trace.counters[f"{title}/g/n"] == [(0, 1.0), (16000, 2.5)]
    assert timeline.cycles == 2.5


@pytest.mark.slow
def test_commands_of_the_page_work(model, tmp_path, monkeypatch, capsys):
    """As they stand there, but on the smallest accelerator and a small random model, and a VCD."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [line.removeprefix("$ rtlm ") for line in block.splitlines() if line.startswith("$ rtlm ")]
    assert len(commands) == 2
    for command in commands:
        small = ["--config", "tiny", "--model", str(model)]
        small += ["--waves-file", "waves.vcd"] if "--waves" in command else ["--set", "memory.dram=ddr4-2400"]
        assert run_command([*shlex.split(command), *small, "--power", "assumed"]) == 0
        assert "Traceback" not in capsys.readouterr().err
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        "capital.pftrace",
        "capital.json",
        "waves.vcd",
        "waves.gtkw",
        "waves.sucl",
        "waves.names",
        ".surfer",
    }
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(compile(example, "timeline.md", "exec"), names)
    step = json.loads((tmp_path / "capital.json").read_text(encoding="utf-8"))["steps"][-1]
    assert names["cycles"] == {each["name"]: each["cycles"] for each in step["operators"] if each["cycles"]}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda trace: trace.packet.pop(0), "must begin with a packet that clears"),
        (lambda trace: trace.packet.pop(), "leaves slices of .*g/t open"),
        (lambda trace: trace.packet.pop(3), "ends at 5000 ns that has not begun"),
        (lambda trace: setattr(trace.packet[3].track_event, "track_uuid", 9), "track 9, which nothing describes"),
        (lambda trace: trace.packet[3].ClearField("interned_data"), "name 1, which nothing describes"),
    ],
)
def test_a_damaged_trace_is_refused(tmp_path, damage, sentence):
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

    path = tmp_path / "a.pftrace"
    track = Track(group="g", name="t", slices=[Slice(start=3, end=5, name="a")])
    write_perfetto(Timeline(config="tiny", clock_mhz=250, tracks=[track], counters=[], complete=True), path)
    trace = Trace()
    trace.ParseFromString(path.read_bytes())
    damage(trace)
    path.write_bytes(trace.SerializeToString())
    with pytest.raises(ValueError, match=sentence):
        PerfettoReader(path)
