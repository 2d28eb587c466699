"""Estimates: what follows from their parts, what is refused, and the JSON's keys."""

import dataclasses
import json
import math

import pytest
from rtlm.gen.common.errors import USER_ERROR
from rtlm.gen.configuration.load import load_config
from rtlm.host.cli.main import run_command
from rtlm.host.compiler.fit import fit_config
from rtlm.host.errors import ModelError
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.estimation.scale_out import Link, Processor, layer_bytes, scale_out
from rtlm.host.models.paper import open_model


def request(model="smollm2-135m", config="kv260", overrides=(), **values):
    return EstimateRequest(config=load_config(config, overrides), model=open_model(model), **values)


def test_operators_add_up_and_bytes_agree():
    found = estimate(request(context=300))
    for step in (found.decode, found.prefill):
        assert math.isclose(sum(each.cycles for each in step.operators), step.cycles, rel_tol=1e-9)
        moved = sum(step.read.values()) + sum(step.written.values())
        assert sum(each.bytes for each in step.operators) == pytest.approx(moved, rel=1e-3)
    seconds = found.decode.cycles / 300e6
    assert found.performance.tokens_per_s == pytest.approx(1 / seconds)
    assert found.performance.bandwidth_utilisation < found.performance.stream_ceiling < 1


def test_a_longer_context_and_a_slower_memory_take_longer():
    short, long = (estimate(request(context=context)).decode.cycles for context in (10, 1500))
    slow = estimate(request(context=10, overrides=["memory.outstanding=1"])).decode.cycles
    assert short < long and short < slow


def test_eight_columns_give_nearly_eight_times_the_tokens():
    one = estimate(request(overrides=["matmul.columns=8"])).performance.tokens_per_s
    eight = estimate(request(overrides=["matmul.columns=8"], batch=8)).performance.tokens_per_s
    assert 5 < eight / one < 8


def test_prefill_is_the_sum_of_its_steps():
    whole = estimate(request(prompt=5)).prefill
    assert whole.steps == whole.tokens == 5
    batched = estimate(request(prompt=20, batch=2, overrides=["matmul.columns=8"])).prefill
    assert (batched.steps, batched.tokens) == (6, 40)


def test_layers_that_repeat_are_not_walked_but_count():
    """The time of 2n layers is that of n layers and n more: what a walk over all of them would give."""
    times = []
    for layers in (10, 20, 30):
        paper = open_model("smollm2-135m")
        shape = paper.shape
        cut = type(shape)(**{**vars(shape), "layer_storage": shape.layer_storage[:layers]})
        model = type(paper)(**{**vars(paper), "shape": cut})
        times.append(estimate(EstimateRequest(config=load_config("kv260"), model=model)).decode.cycles)
    assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=1e-3)


def test_the_host_can_bound_a_step():
    free, slow = (estimate(request(host_us=host_us)) for host_us in (0, 10_000))
    assert slow.decode.cycles == pytest.approx(free.decode.cycles + 10_000 * 300)
    assert slow.decode.operators[-1].bound == "host" and slow.performance.tokens_per_s < 100
    assert slow.prefill.cycles == pytest.approx(free.prefill.cycles + 128 * 10_000 * 300)


def test_limits_grow_and_nothing_else_changes():
    config = load_config("kv260")
    shape = open_model("llama-2-7b").shape
    fitted, changes = fit_config(config, shape, context=5000)
    assert "attention.head_dim=128" in changes and "attention.context_limit=5008" in changes
    assert load_config("kv260", changes) == fitted
    assert fit_config(config, open_model("smollm2-135m").shape, context=100) == (config, ())


def test_what_a_model_needs_of_attention_and_vector_engine_is_added():
    config = load_config("kv260")
    windows = {"windowed": frozenset({1}), "window": config.attention.context_limit - 1}
    shape = dataclasses.replace(open_model("smollm2-135m").shape, biased=True, head_normed=True, **windows)
    fitted, changes = fit_config(config, shape, context=100)
    assert changes == ("vector.biases=true", "vector.head_norms=true", "attention.windows=true")
    wide = dataclasses.replace(shape, window=config.attention.context_limit)
    assert "attention.windows=true" not in fit_config(config, wide, context=100)[1]
    assert load_config("kv260", changes) == fitted and fit_config(fitted, shape, context=100) == (fitted, ())


def test_layers_with_a_window_take_no_more_cycles_once_it_is_full():
    """15 of 18 layers of gemma-3-270m see 512 positions; the others see all."""
    model = open_model("gemma-3-270m")
    grown = []
    for windowed in (model.shape.windowed, frozenset()):
        changed = dataclasses.replace(model, shape=dataclasses.replace(model.shape, windowed=windowed))
        requests = (EstimateRequest(config=load_config("kv260"), model=changed, context=n) for n in (600, 1600))
        before, after = (estimate(each).decode.cycles for each in requests)
        grown.append(after - before)
    assert grown[0] == pytest.approx(grown[1] * 3 / 18, rel=0.05)


def test_a_model_that_does_not_fit_is_estimated_and_says_so():
    found = estimate(request(model="llama-2-70b"))
    assert not found.fits and any("do not fit" in note for note in found.notes)


def test_an_architecture_that_the_gates_do_not_have_says_so():
    found = estimate(request(model="gpt2-345m"))
    assert any("LayerNorm" in note for note in found.notes)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"batch": 2}, "the batch must be from 1 to 1, .* got 2; add --set matmul.columns=2"),
        ({"context": 99999}, "the context must be from 0 to 8191"),
        ({"prompt": 0}, "the prompt must be from 1 to"),
    ],
)
def test_what_is_refused(values, sentence):
    with pytest.raises(ModelError, match=sentence):
        request(**values)


def test_chips_divide_the_work_and_pay_the_link():
    one = scale_out(request(model="llama-2-7b"), chips=1)
    four = scale_out(request(model="llama-2-7b"), chips=4)
    free = scale_out(request(model="llama-2-7b"), chips=4, link=Link(bytes_per_s=1e15, latency_s=0))
    assert one.link_s == 0 and 3 < one.chip_s / four.chip_s <= 4
    assert four.step_s == pytest.approx(four.chip_s + four.link_s) and free.tokens_per_s > four.tokens_per_s
    # Per layer two exchanges of three hops, and one for the output: latency and a quarter of 4096 float32.
    assert four.link_s == pytest.approx((2 * 32 + 1) * 3 * (1e-6 + 4096 * 4 / 4 / 12.5e9))
    with pytest.raises(ModelError, match="must divide the KV heads of llama-2-7b, 32, got 5"):
        scale_out(request(model="llama-2-7b"), chips=5)


def test_layers_on_a_processor_take_the_time_of_their_bytes():
    found = scale_out(request(context=0), chips=1, processor=Processor(layers=10, bytes_per_s=1e9))
    assert found.processor_s == pytest.approx(10 * layer_bytes(open_model("smollm2-135m").shape) / 1e9)
    with pytest.raises(ModelError, match="must be from 1 to 29"):
        scale_out(request(), chips=1, processor=Processor(layers=30))


def test_command_writes_the_keys_of_a_report(tmp_path, capsys):
    file = tmp_path / "estimate.json"
    assert run_command(["estimate", "--context", "64", "--json", str(file)]) == 0
    assert "tokens/s" in capsys.readouterr().out
    values = json.loads(file.read_text())
    assert values["estimate"] and values["performance"]["context"] == 64
    assert {"cycles_per_token", "tokens_per_s", "ttft_s", "bandwidth_utilisation"} <= values["performance"].keys()
    assert {"name", "cycles_per_token", "share", "bytes", "bound"} <= values["operators"][0].keys()
    assert values["power"]["total_w"] > 0 and values["area"]["luts"] > 0
    assert values["bytes"]["read"]["weights"] > 5e7 and values["error_band"]["points"] > 0


def test_command_refuses_an_unknown_model(capsys):
    assert run_command(["estimate", "--model", "llama-9"]) == USER_ERROR
    assert "there is no model" in capsys.readouterr().err
