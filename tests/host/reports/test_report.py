"""The report: definitions, JSON, terminal tables."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from rtlm.host.reports.causes import CAUSES
from rtlm.host.reports.measurements import DECODE, SimulatorMeasurement, StepMeasurement, TurnMeasurement
from rtlm.host.reports.report import PEDIGREE, SCHEMA_VERSION, OperatorCycles, UnitStates, make_report
from rtlm.host.reports.table import print_report

from tests.host.reports.report_sample import COUNTERS, sample

PROMISED = {
    "config": ("name", "hash"),
    "performance": (
        *("cycles_per_token", "tokens_per_s", "ttft_s", "bandwidth_utilisation", "stream_ceiling", "batch", "context"),
    ),
    "power": ("total_w", "low_w", "high_w", "tokens_per_j", "components"),
    "simulator": ("tokens_per_s", "cycles_per_s"),
}


def lookup(report: dict, path: str):
    for part in path.split("."):
        report = report[part]
    return report


def test_figures_are_what_the_definitions_say():
    performance = make_report(sample()).performance
    assert performance.cycles_per_token == 1000
    assert performance.tokens_per_s == pytest.approx(100_000)
    assert performance.ttft_s == pytest.approx(20e-6)
    assert performance.prefill_tokens_per_s == pytest.approx(200_000)
    assert performance.latency_p50_s == pytest.approx(10e-6)
    # 80,000 of the 100,000 bytes that the memory could have delivered.
    assert performance.bandwidth_utilisation == pytest.approx(0.8)
    assert (performance.batch, performance.context) == (1, 7)
    # 336,000 bytes were moved where 320,000 were needed: 5 % more than 0.8; the DRAM's own loss on top of both.
    assert performance.bandwidth["padding_and_other_bytes"] == pytest.approx(0.04)
    assert performance.bandwidth["dram_refresh_and_rows"] == pytest.approx(0.84 / 0.95 - 0.84)
    assert sum(performance.bandwidth.values()) == pytest.approx(1)


def test_batch_counts_all_tokens():
    step = StepMeasurement.from_counters(COUNTERS, phase=DECODE, tokens=8, context=5, needed_bytes=1)
    performance = make_report(sample(steps=[step], sequences=sample().sequences * 8)).performance
    assert (performance.batch, performance.cycles_per_token) == (8, 125)
    assert performance.tokens_per_s == pytest.approx(800_000)
    assert performance.ttft_s is None


def test_the_time_to_the_first_token_is_the_mean_of_the_answers():
    """Of a conversation of three turns, of which one was interrupted before its answer began."""
    turn = TurnMeasurement(
        question="Hi",
        answer="Ho",
        prompt_tokens=4,
        kept_tokens=1,
        tokens=2,
        steps=4,
        cycles=5000,
        wall_s=1.0,
        ending="stop",
    )
    broken = replace(turn, answer="", tokens=0, ending="interrupted")
    report = make_report(sample(turns=[turn, broken, turn], interrupted=True))
    assert report.performance.ttft_s == pytest.approx(10e-6)
    assert report.performance.prefill_tokens_per_s == pytest.approx(200_000)
    assert report.to_json()["turns"][1]["ending"] == "interrupted"
    assert "Answers were interrupted: text and figures are of the 4 steps" in report.notes[0]


def test_counters_are_sorted_by_operator_and_unit():
    report = make_report(sample())
    assert report.operators[1] == OperatorCycles(name="qk^t", cycles_per_token=400, share=0.4)
    assert report.units == (
        UnitStates(name="matmul", states={"busy": 0.7, "starved": 0.1}),
        UnitStates(name="reader", states={"no_room": 0.05, "words": 0.8}),
    )


def test_causes_add_up_to_the_decoding_steps_in_their_order():
    report = make_report(sample())
    assert [(cause.name, cause.cycles) for cause in report.causes] == [
        ("needed", 2400),
        ("refresh", 120),
        ("dependency_qk", 180),
        ("control", 300),
    ]
    assert report.causes[2].cycles_per_token == 60
    assert report.causes[2].meaning == CAUSES["dependency"]
    assert report.to_json()["steps"][1]["causes"]["dependency_qk"] == 60
    assert sum(cause.share for cause in report.causes) == pytest.approx(1)


def test_steps_have_their_operators():
    operators = make_report(sample()).to_json()["steps"][1]["operators"]
    assert operators == [
        {"name": "qkv", "cycles": 600, "count": 6, "bytes": 60_000, "macs": 120_000},
        {"name": "qk^t", "cycles": 400, "count": 4, "bytes": 20_000, "macs": 8_000},
    ]


def test_json_has_every_promised_key():
    report = json.loads(make_report(sample()).dumps())
    for key in ("prompt_tokens", "tokens", "text", "logits_sha256", "bytes", "operators", "units", "causes"):
        assert report[key], key
    for section, keys in PROMISED.items():
        assert all(report[section][key] is not None for key in keys), section
    assert (report["schema"], report["version"]) == ("rtlm.report", SCHEMA_VERSION)
    assert (report["prompt_tokens"], report["tokens"], report["token_ids"]) == (4, 4, [5, 6, 7, 8])
    assert report["text"] == "Grüße [bold]"
    for path in PEDIGREE:
        assert lookup(report, path) is not None, path


def test_golden_model_claims_neither_speed_nor_power():
    step = StepMeasurement(phase=DECODE, tokens=1, context=5, cycles=None)
    golden = SimulatorMeasurement(backend="golden", version="1", wall_s=0.0)
    report = make_report(sample(steps=[step], memory=None, simulator=golden))
    values = json.loads(report.dumps())
    assert values["performance"]["tokens_per_s"] is None
    assert values["power"] is None
    assert values["bytes"] is None
    assert values["simulator"]["tokens_per_s"] is None
    assert "unknown" in report.notes[0]
    print_report(report, Console(file=io.StringIO()))


def test_run_without_steps_is_reported():
    assert make_report(sample(steps=[], memory=None)).performance.batch == 1


def test_ideal_memory_is_named():
    run = sample()
    memory = type(run.memory)(**{**vars(run.memory), "ideal": True, "name": "ideal"})
    report = make_report(sample(memory=memory))
    assert any("ideal" in note for note in report.notes)
    assert any("takes no energy" in note for note in report.power.notes)


def test_guesses_are_counted():
    steps = [
        StepMeasurement.from_counters(COUNTERS, phase=DECODE, tokens=new, context=9, needed_bytes=1, drafted=drafted)
        for new, drafted in ((1, 0), (3, 3), (4, 3))
    ]
    report = make_report(sample(steps=steps, speculation=True))
    assert report.to_json()["performance"]["speculation"] == {"steps": 3, "drafted": 6, "accepted": 5}
    assert report.performance.cycles_per_token == pytest.approx(3000 / 8)
    assert make_report(sample(steps=steps)).performance.speculation is None


def test_single_token_stands_for_decoding():
    run = sample()
    report = make_report(sample(steps=run.steps[:1]))
    assert report.performance.tokens_per_s == pytest.approx(200_000)
    assert any("first token" in note for note in report.notes)


def test_table_shows_the_figures_and_does_not_interpret_text():
    out = io.StringIO()
    print_report(make_report(sample(model="[red]x")), Console(file=out, width=120))
    text = out.getvalue()
    for part in (
        "1,000",
        "1e+05",
        "80.0%",
        "95.0%",
        "qk^t",
        "dependency_qk",
        "6.00%",
        "matmul",
        "DRAM transfers",
        "tokens/J",
        "[red]x",
    ):
        assert part in text, part
    assert "2,500 cycles/s" in text
