"""A whole run on the smallest accelerator with a small random model: answer, logits, waveform, counted toggles."""

import pytest
from rtlm.gen.common.errors import ToolError
from rtlm.gen.common.progress import SilentProgress
from rtlm.host import backend, session
from rtlm.host.errors import ModelError
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.host.reports import activity_sampler
from rtlm.host.session_options import RunOptions
from rtlm.sim.memory.dram import ddr4_2400

NEW_TOKENS = 3


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(layers=2, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=64)


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    """Run the session; counted toggles are kept below `tmp_path`."""
    monkeypatch.setattr(activity_sampler, "cache_folder", lambda *parts: tmp_path.joinpath("cache", *parts))

    def run(**options):
        values = {"texts": ("abc",), "max_tokens": NEW_TOKENS, "config": "tiny", "model": model}
        return session.run(RunOptions(**values | options), SilentProgress())

    return run


@pytest.fixture(scope="module")
def golden(model):
    options = RunOptions(
        texts=("abc",), max_tokens=NEW_TOKENS, config="tiny", model=model, backend="golden", read_logits=True
    )
    return session.run(options, SilentProgress())


@pytest.mark.slow
def test_logits_are_read_back_only_where_they_are_wanted(run, golden):
    plain, read = run(), run(read_logits=True)
    assert plain.run.sequences[0].token_ids == read.run.sequences[0].token_ids == golden.run.sequences[0].token_ids
    assert read.run.logits_sha256 == golden.run.logits_sha256
    assert plain.run.logits_sha256 is None
    assert plain.run.memory.written_bytes["logits"] == 0 < read.run.memory.written_bytes["logits"]
    assert plain.performance.cycles_per_token < read.performance.cycles_per_token
    # An ideal memory loses nothing by itself.
    assert plain.performance.stream_ceiling == 1
    assert plain.performance.bandwidth["dram_refresh_and_rows"] == 0
    assert sum(plain.performance.bandwidth.values()) == pytest.approx(1)


@pytest.mark.slow
def test_cycles_by_cause_add_up_to_the_cycles_of_each_step_and_of_the_run(run):
    report = run(overrides=("memory.dram=ddr4-2400",))
    assert {step.phase for step in report.run.steps} == {"prefill", "decode"}
    for step in report.run.steps:
        assert sum(step.causes.values()) == step.cycles > 0
        assert all(cycles >= 0 for cycles in step.causes.values()), step.causes
    decode = [step.cycles for step in report.run.steps if step.phase == "decode"]
    assert sum(cause.cycles for cause in report.causes) == sum(decode)
    # What the useful bytes alone take: utilisation is stated against the ports here, which are slower than the memory.
    needed = next(cause.share for cause in report.causes if cause.name == "needed")
    ports = report.run.memory.peak_bytes_per_s / ddr4_2400().peak_bytes_per_second
    assert needed == pytest.approx(report.performance.bandwidth_utilisation * ports, rel=1e-2)


@pytest.mark.slow
def test_counted_toggles_reach_the_power_and_later_runs(run, golden):
    assumed = run(power="auto")
    assert assumed.run.activity is None
    assert "toggles were counted" in assumed.power.notes[0]
    measured = run(power="measured")
    activity = measured.run.activity
    # The trace changes nothing in the accelerator.
    assert measured.run.sequences[0].token_ids == golden.run.sequences[0].token_ids
    assert measured.performance.cycles_per_token == assumed.performance.cycles_per_token
    assert set(measured.run.elements) <= set(activity.toggles)
    assert all(0 <= rate < 1 for rate in activity.toggles.values())
    assert activity.toggles["matmul"] > activity.toggles["registers"]
    # The step that is sampled is the first one that feeds a new token.
    assert activity.context == len(measured.run.sequences[0].prompt_ids) + 1
    assert activity.cycles > 0.8 * measured.run.steps[-1].cycles
    assert measured.power.total_w != assumed.power.total_w
    assert measured.to_json()["activity"]["toggles"]["matmul"] == activity.toggles["matmul"]
    later = run(power="auto")
    assert later.run.activity.earlier
    assert later.power.total_w == pytest.approx(measured.power.total_w)
    assert run(power="assumed").power.total_w == assumed.power.total_w


@pytest.mark.slow
def test_weights_of_zeros_take_less_power(run, model, tmp_path):
    """Counted in RTL. Their scales are all the same, so that fewer of them are stored: not even the cycles are more."""
    raw = bytearray(model.read_bytes())
    for tensor in LlamaModel.open(model).file.tensors.values():
        if len(tensor.shape) == 2:
            raw[tensor.offset : tensor.offset + tensor.size] = bytes(tensor.size)
    zeros = tmp_path / "zeros.gguf"
    zeros.write_bytes(raw)
    ordinary, silent = (run(power="measured", model=each) for each in (model, zeros))
    assert silent.run.activity.toggles["matmul"] < ordinary.run.activity.toggles["matmul"] / 4
    assert silent.performance.cycles_per_token < ordinary.performance.cycles_per_token
    parts = [{each.name: each.w for each in report.power.components} for report in (ordinary, silent)]
    assert parts[1]["matmul"] < parts[0]["matmul"] / 2
    assert parts[1]["clock tree"] == parts[0]["clock tree"]
    assert silent.power.total_w < ordinary.power.total_w


@pytest.mark.slow
def test_waves_hold_the_window(run, golden, tmp_path, waveform):
    pywellen = pytest.importorskip("pywellen")
    path = tmp_path / f"a.{waveform}"
    report = run(waves=(2000, 2500), waves_file=path)
    assert report.run.sequences[0].token_ids == golden.run.sequences[0].token_ids
    wave = pywellen.Waveform(str(path))
    clock = wave["TOP.clk"].signal
    edges = [clock[i][0] for i in range(len(clock))]
    assert len(edges) == pytest.approx(2 * 500, abs=2)
    assert max(edges) - min(edges) == pytest.approx(2 * 500, abs=2)
    assert len(wave["TOP.m0_axi_rdata"].signal) > 100


def test_a_system_message_goes_through_the_template(model):
    """The random model's template is ChatML, as SmolLM2's."""
    asked = []

    def prompt_of(**options):
        values = {"texts": ("abc",), "chat": True, "max_tokens": 1, "config": "tiny", "model": model}
        report = session.run(RunOptions(**values | options, backend="golden"), SilentProgress())
        asked.append(report.run.sequences[0].prompt_ids)
        return Tokenizer(LlamaModel.open(model).file).decode(asked[-1])

    assert "Be brief." in prompt_of(system="Be brief.")
    assert "Be brief." not in prompt_of()


def test_a_template_that_ignores_the_system_message_is_refused(run, monkeypatch):
    monkeypatch.setattr(Tokenizer, "chat", lambda self, messages: messages[-1]["content"])
    with pytest.raises(ModelError, match="must use the system message"):
        run(chat=True, system="Be brief.", backend="golden")


def test_an_empty_prompt_is_refused_before_anything_is_built(run, monkeypatch):
    monkeypatch.setattr(backend, "simulate", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(ModelError, match="the prompt must have at least one token"):
        run(texts=("",))


def test_a_cache_that_cannot_be_written_is_a_sentence(run, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(backend, "cache_folder", lambda: tmp_path / "file" / "rtlm")
    with pytest.raises(ToolError, match=r"cannot be written: Not a directory; set XDG_CACHE_HOME to one"):
        run()


def test_a_model_that_does_not_fit_is_refused_before_anything_is_built(run, random_model, monkeypatch):
    monkeypatch.setattr(backend, "simulate", lambda *_, **__: pytest.fail("built"))
    monkeypatch.setattr(backend, "build_rtl", lambda *_: pytest.fail("generated"))
    big = random_model(layers=1, dim=256, hidden_dim=256, heads=8, kv_heads=4)
    with pytest.raises(Exception, match="must be at most 128"):
        run(model=big)


def test_sequences_together_answer_as_alone(run):
    texts = ("abc", "de", "abcabc")
    how = {"backend": "golden", "max_tokens": 5, "overrides": ("matmul.columns=3",)}
    together = run(texts=texts, **how)
    alone = [run(texts=(text,), **how).run.sequences[0] for text in texts]
    assert [s.token_ids for s in together.run.sequences] == [s.token_ids for s in alone]
    assert together.performance.batch == 3
    assert together.to_json()["tokens"] == sum(len(s.token_ids) for s in alone)
    assert together.to_json()["sequences"][2]["text"] == alone[2].text


def test_guesses_do_not_change_the_answer(run):
    how = {"backend": "golden", "texts": ("abcabcabcabc",), "max_tokens": 30, "overrides": ("matmul.columns=4",)}
    plain, guessed = run(**how), run(speculate=True, **how)
    assert guessed.run.sequences == plain.run.sequences
    assert sum(step.drafted for step in guessed.run.steps) > 0
    assert all(step.drafted == 0 for step in plain.run.steps)
    assert sum(step.tokens for step in guessed.run.steps if step.phase == "decode") == 29


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"texts": ("a", "b")},
            "as many as the columns of configuration tiny, 1, got 2; add --set matmul.columns=2",
        ),
        ({"speculate": True}, "speculation must have one prompt, .* got 1 prompts and 1 columns"),
        ({"speculate": True, "texts": ("a", "b"), "overrides": ("matmul.columns=2",)}, "got 2 prompts and 2 columns"),
    ],
)
def test_columns_that_do_not_suffice(run, options, sentence):
    with pytest.raises(ModelError, match=sentence):
        run(**options)
