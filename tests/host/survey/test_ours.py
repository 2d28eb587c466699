"""Reports as points: what each is said to be, and what is refused."""

import json

import pytest
from rtlm.host.survey.load import SurveyError
from rtlm.host.survey.ours import MAX_REPORT_BYTES, our_points, read_report
from rtlm.host.survey.row import Method, Platform

from tests.host.survey.files import report


def test_report_of_a_run_is_simulated_with_the_band_of_its_power():
    written = report()
    (point,) = our_points([written])
    assert point.ours and point.kind == "RTL-simulated" and point.error is None
    assert point.tokens_per_s == written["performance"]["tokens_per_s"] == 100_000
    assert point.power_low_w < point.power_w < point.power_high_w
    assert point.power_w == written["power"]["total_w"]
    assert point.tokens_per_j == pytest.approx(written["power"]["tokens_per_j"])
    assert point.power_method == "estimated, toggles counted"
    assert (point.batch, point.context, point.work) == (1, 7, "rtlm sample")
    assert (point.platform, point.methods) == (Platform.FPGA, (Method.QUANTISATION,))


@pytest.mark.parametrize("band", [0.03, {"mean": 0.01, "worst": 0.03, "points": 36}, {"max": -0.03}])
def test_report_with_an_error_band_is_an_estimate(band):
    (point,) = our_points([report(error_band=band, activity=None)])
    assert point.kind == "estimated ± 3.0%" and point.error == 0.03
    assert point.power_method == "estimated, shipped toggle rates"


def test_what_qualifies_an_estimate_is_noted():
    memory = {"fits": False}
    (point,) = our_points([report(error_band={"worst": 0.03, "points": 0}, memory=memory, interrupted=True)])
    assert all(words in point.note for words in ("does not fit", "interrupted", "not validated"))
    assert our_points([report(error_band={"worst": 0.03, "points": 36})])[0].note is None


@pytest.mark.parametrize("band", ["small", True, float("nan"), {"mean": 0.1}, [0.1]])
def test_error_band_that_is_none(band):
    with pytest.raises(SurveyError, match="error_band must be a relative error"):
        our_points([report(error_band=band)])


def test_what_a_report_says_of_itself():
    config = {"name": "mine", "board": "asic", "hash": "0" * 16}
    performance = report()["performance"] | {"speculation": {"steps": 1, "drafted": 2, "accepted": 1}, "batch": 8}
    memory = {"name": "ideal", "ideal": True}
    written = report(config=config, performance=performance, memory=memory, model="llama-2-7b.Q4_0.gguf", power=None)
    (point,) = our_points([written])
    assert (point.platform, point.batch, point.parameters_b) == (Platform.ASIC, 8, 7.0)
    assert point.methods == (Method.QUANTISATION, Method.FAST_DECODING)
    assert point.note == "The memory was ideal: no forecast."
    assert point.power_w is point.power_boundary is point.power_method is point.tokens_per_j is None


@pytest.mark.parametrize(
    "model, parameters_b",
    [
        ("SmolLM2-135M-Instruct-Q4_1.gguf", 0.135),
        ("tinyllama-1.1b", 1.1),
        ("qwen2.5-0.5b", 0.5),
        ("Llama-3-8B", 8.0),
        ("made-up", None),
        ("mixtral-x7b", None),
    ],
)
def test_size_of_the_model_by_its_name(model, parameters_b):
    assert our_points([report(model=model)])[0].parameters_b == parameters_b


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"performance": {}}, r"performance.batch must be a number of at least 1, got null"),
        (
            {"performance": {"batch": 1, "context": 1, "tokens_per_s": None}},
            r"tokens_per_s must be .* above 0, got null",
        ),
        ({"performance": {"batch": 1, "context": 1, "tokens_per_s": "9"}}, r'tokens_per_s must be .* above 0, got "9"'),
        ({"performance": {"batch": 1, "context": 1, "tokens_per_s": -1}}, r"tokens_per_s must be .* above 0, got -1"),
        (
            {"performance": {"batch": 0, "context": 1, "tokens_per_s": 1}},
            r"performance.batch must be .* at least 1, got 0",
        ),
        ({"power": {"total_w": 1}}, r"power.low_w must be a number above 0, got null"),
        ({"power": [1]}, r"power must be a mapping, got list"),
        ({"config": "x"}, r"config must be a mapping, got str"),
    ],
)
def test_reports_without_figures(changes, message):
    with pytest.raises(SurveyError, match=message):
        our_points([report(**changes)])


def test_names_of_a_report_are_one_line():
    (point,) = our_points([report(model="a\nb\x1b[1m" + "c" * 500)])
    assert point.model.startswith("a?b?[1m") and len(point.model) == 100


def test_read_report(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report()))
    assert read_report(path)["model"] == "made-up"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "must be JSON that rtlm run --json writes, got JSONDecodeError"),
        (b"\xff\xfe\x00", "must be JSON that rtlm run --json writes"),
        (b"[" * 100_000, "must be JSON that rtlm run --json writes, got RecursionError"),
        (b"[]", "must be a report that rtlm run --json writes"),
        (b'{"performance": 1}', "must be a report that rtlm run --json writes"),
        (b'{"performance": {"tokens_per_s": NaN, "batch": 1, "context": 1}}', "tokens_per_s must be a number above 0"),
        (
            b'{"performance": {"tokens_per_s": null, "batch": 1, "context": 1}}',
            r"report.json: performance.tokens_per_s",
        ),
    ],
)
def test_files_that_are_no_report(tmp_path, content, message):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(SurveyError, match=message):
        read_report(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SurveyError, match="cannot be read: No such file"):
        read_report(tmp_path / "none.json")
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(MAX_REPORT_BYTES + 1)
    with pytest.raises(SurveyError, match="must have at most 67,108,864 bytes, got more"):
        read_report(large)
