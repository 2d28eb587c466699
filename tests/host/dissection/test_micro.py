"""The micro view: sums of a report's steps, bounds, and what is refused."""

import copy
import io
import json

import pytest
from rich.console import Console
from rtlm.gen.common.errors import RtlmError
from rtlm.host.dissection.micro import dissect
from rtlm.host.dissection.micro_table import render, to_json
from rtlm.host.dissection.report_file import ReportFile
from rtlm.host.estimation.result import ErrorBand
from rtlm.host.reports.measurements import SimulatorMeasurement, StepMeasurement
from rtlm.host.reports.stored import MAX_FILE_BYTES
from rtlm.host.reports.work import MODULES, operator_name

from tests.host.dissection.reports import estimated, run_report


def taken_apart(values):
    return dissect(ReportFile.parse(values, "report.json"))


def shown(dissection) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(render(dissection))
    return out.getvalue()


def test_stages_are_sums_of_steps():
    found = taken_apart(run_report())
    prefill, decode = found.stages
    assert (prefill.name, prefill.steps, prefill.tokens, prefill.cycles) == ("prefill", 1, 4, 1000)
    assert (decode.name, decode.steps, decode.tokens, decode.cycles) == ("decode", 3, 3, 3000)
    (attention,) = decode.modules
    qkv, qk = attention.operators
    assert (qkv.name, qkv.cycles, qkv.work.count, qkv.average) == ("qkv", 1800, 18, 100)
    assert (qkv.work.bytes, qkv.work.macs, qkv.intensity) == (180_000, 360_000, 2)
    assert (qk.name, qk.cycles, qk.work.count, qk.average) == ("qk^t", 1200, 12, 100)
    assert found.kind == "measured in RTL"


def test_energy_is_that_of_the_report():
    values = run_report()
    prefill, decode = taken_apart(values).stages
    for stage, power in ((decode, values["power"]), (prefill, values["prefill_power"])):
        assert stage.j_per_token == pytest.approx(power["j_per_token"]["nominal"])
    assert "mJ/token" in shown(taken_apart(values))
    written = to_json(taken_apart(values))["stages"][1]["modules"][0]
    assert written["j_per_token"] == pytest.approx(sum(each["j_per_token"] for each in written["operators"]))
    for missing in ({"power": None, "prefill_power": None}, {"power": {"total_w": 1}, "prefill_power": {}}):
        assert taken_apart(values | missing).stages[1].j_per_token is None


def test_roofs_follow_from_the_configuration():
    machine = taken_apart(run_report()).machine
    assert machine.peak_bytes == pytest.approx(19.2e9)
    assert machine.stream_bytes == pytest.approx(0.95 * 19.2e9)
    assert machine.nibble_macs == pytest.approx(128 * 300e6)
    assert machine.byte_macs == pytest.approx(64 * 300e6)
    # Each of 64 bytes with the three query heads of its group.
    assert machine.attention_macs == pytest.approx(3 * 64 * 300e6)


def bound_of(name, **figures):
    values = run_report()
    for step in values["steps"]:
        step["operators"] = [{"name": name, "count": 1, "macs": 1, "bytes": 0, "cycles": 1000.0, **figures}]
    return next(taken_apart(values).stages[0].operators).bound


def test_bound_is_what_accounts_for_the_cycles():
    # 64 bytes a cycle by the data sheet: 64,000 in 1,000 cycles, 60,800 in a linear stream, 30,400 in half of it.
    assert bound_of("mlp", bytes=60_800) == "memory"
    assert bound_of("mlp", bytes=31_000) == "memory"
    assert bound_of("mlp", bytes=30_000) == "dependency"
    assert bound_of("softmax", macs=0) == "dependency"
    assert bound_of("load", macs=0, bytes=60_000) == "memory"
    # The program is read ahead, in the cycles of other operators.
    assert bound_of("control", macs=0, bytes=60_000) == "dependency"


def test_a_slow_array_is_what_bounds():
    values = run_report()
    values["config"]["matmul"]["lanes"] = 32
    values["config"]["attention"]["bytes_per_cycle"] = 16
    for operator in values["steps"][0]["operators"]:
        operator["bytes"] = 12_000
    assert [row.bound for row in taken_apart(values).stages[0].operators] == ["compute", "compute"]


def test_an_estimate_has_both_stages_and_every_operator():
    found = estimated()
    assert found.kind == "estimated"
    prefill, decode = found.stages
    assert (prefill.steps, prefill.tokens) == (8 * 2, 8 * 16)
    assert (decode.steps, decode.tokens) == (1, 8)
    names = [row.name for row in decode.operators]
    known = [operator_name(operator) for operators in MODULES.values() for operator in operators]
    assert names == [name for name in known if name in names]
    assert {"qkv", "qk^t", "softmax", "pv", "wo", "mlp", "lm_head"} <= set(names)


def test_the_host_and_operators_of_later_versions_are_counted():
    values = run_report()
    extra = {"count": 1, "bytes": 0, "macs": 0, "cycles": 250.0}
    values["steps"][1]["operators"] += [{"name": "host", **extra}, {"name": "sorting", **extra}]
    decode = taken_apart(values).stages[1]
    assert decode.cycles == 3500
    assert [(row.name, row.bound) for row in decode.modules[-1].operators] == [
        ("host", "host"),
        ("sorting", "dependency"),
    ]


def test_json_and_table_agree_and_shares_add_up():
    found = estimated()
    values = json.loads(json.dumps(to_json(found)))
    table = shown(found)
    for stage in values["stages"]:
        operators = [operator for module in stage["modules"] for operator in module["operators"]]
        assert sum(operator["sum"] for operator in operators) == pytest.approx(stage["cycles"])
        assert sum(module["share"] for module in stage["modules"]) == pytest.approx(1)
        for operator in operators:
            assert f"{operator['sum']:,.0f}" in table
            assert operator["count"] == 0 or operator["average"] == pytest.approx(operator["sum"] / operator["count"])


def test_the_error_of_an_estimate_is_stated():
    band = {"mean": 0.004, "worst": 0.021, "points": 34, "held_out": 12, "source": "docs/estimates.md"}
    values = run_report() | {"estimate": True, "error_band": band}
    assert "0.40% from RTL in the mean and 2.10% at worst, over 34 points (docs/estimates.md)" in shown(
        taken_apart(values)
    )
    values["error_band"] = {**band, "points": 0}
    assert "has not been measured" in shown(taken_apart(values))
    assert ErrorBand(**band).points == 34


def refused(values) -> str:
    with pytest.raises(RtlmError) as error:
        taken_apart(values)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_what_is_no_report_is_refused_in_a_sentence():
    assert "schema must be rtlm.report" in refused([])
    assert "schema must be rtlm.report" in refused({"schema": "other"})
    assert "version of the report report.json must be 1, got 2" in refused(run_report() | {"version": 2})
    golden = StepMeasurement(phase="decode", tokens=1, context=5, cycles=None)
    simulator = SimulatorMeasurement(backend="golden", version="1", wall_s=0.0)
    assert "the golden model counts none" in refused(run_report(steps=[golden], memory=None, simulator=simulator))
    old = run_report()
    for step in old["steps"]:
        del step["operators"]
    assert "make it anew with rtlm run --json" in refused(old)
    clock = run_report()
    clock["config"]["clock_mhz"] = -3
    assert "clock_mhz must be" in refused(clock)


def places(values, place=()):
    """Return the path of every value."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield (*place, key)
        yield from places(value, (*place, key))


@pytest.mark.parametrize("bad", [None, -1, "x", [], {}, 1e300, float("nan"), True], ids=repr)
def test_any_value_may_be_wrong(bad):
    """A report with any value replaced is taken apart or refused with an `RtlmError`, nothing else."""
    good = run_report()
    del good["steps"][1:]
    # Single values of a configuration have their own tests.
    parts = {key: good[key] for key in ("performance", "steps", "model", "notes")}
    for place in [("config",), ("config", "matmul"), *places(parts)]:
        values = copy.deepcopy(good)
        target = values
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = bad
        try:
            shown(taken_apart(values))
        except RtlmError as error:
            assert str(error)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(RtlmError, match="cannot be read: No such file"):
        ReportFile.read(tmp_path / "missing.json")
    for content in (b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000):
        (tmp_path / "report.json").write_bytes(content)
        with pytest.raises(RtlmError, match=r"is not JSON|is not a report"):
            ReportFile.read(tmp_path / "report.json")
    with (tmp_path / "report.json").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(RtlmError, match="must have at most"):
        ReportFile.read(tmp_path / "report.json")
