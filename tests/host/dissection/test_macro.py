"""The macro view: factors are ratios of estimates, and optimisations switch what they say."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.configuration.load import load_config, preset_names
from rtlm.host.dissection.macro import FIXED, macro_view, smallest_prefetch_kib
from rtlm.host.dissection.macro_table import render, to_json
from rtlm.host.errors import ModelError
from rtlm.host.estimation.estimate import EstimateRequest, estimate
from rtlm.host.models.paper import open_model

CONTEXT = 300
MODEL = "tinyllama-1.1b"


@pytest.fixture(scope="module")
def view():
    return macro_view(load_config("kv260"), guesses=3, accepted=1.5, models=[MODEL], contexts=[CONTEXT])


def steps_per_s(*overrides, weights="q4_0", group=128, batch=1):
    config = load_config("kv260", overrides)
    model = open_model(MODEL, weights=weights, group=group)
    found = estimate(EstimateRequest(config=config, model=model, context=CONTEXT, batch=batch, prompt=1))
    return config.clock_mhz * 1e6 / found.decode.cycles


ONE_BURST, LEAST_BUFFER, COLUMNS = "memory.outstanding=1", "memory.prefetch_kib=32", "matmul.columns=8"


def test_factors_are_ratios_of_estimates(view):
    one, eight = view.cases
    none = steps_per_s(ONE_BURST, LEAST_BUFFER, weights="q8_0", group=32)
    assert (one.batch, eight.batch) == (1, 8)
    assert one.without == eight.without == pytest.approx(none)
    alone = {name: effect.alone for name, effect in one.effects.items()}
    assert alone["4-bit weights"] == pytest.approx(steps_per_s(ONE_BURST, LEAST_BUFFER, group=32) / none)
    assert alone["shared scales"] == pytest.approx(steps_per_s(ONE_BURST, LEAST_BUFFER, weights="q8_0") / none)
    assert alone["overlap"] == pytest.approx(steps_per_s(LEAST_BUFFER, weights="q8_0", group=32) / none)
    assert alone["prefetch"] == pytest.approx(steps_per_s(ONE_BURST, weights="q8_0", group=32) / none)
    assert eight.with_all == pytest.approx(8 * steps_per_s(COLUMNS, batch=8))
    among_all = {name: effect.among_all for name, effect in eight.effects.items()}
    assert among_all["columns"] == pytest.approx(eight.with_all / steps_per_s())
    assert among_all["4-bit weights"] == pytest.approx(
        eight.with_all / (8 * steps_per_s(COLUMNS, weights="q8_0", batch=8))
    )


def test_speculation_counts_the_right_guesses_and_costs_columns(view):
    one, eight = view.cases
    guessing = 2.5 * steps_per_s(COLUMNS, batch=4)
    assert one.with_all == pytest.approx(guessing)
    assert one.effects["speculation"].among_all == pytest.approx(guessing / steps_per_s(COLUMNS))
    assert one.effects["columns"].among_all is None  # speculation needs them
    assert "speculation" not in eight.effects


def shown(view) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(render(view))
    return out.getvalue()


def test_table_and_json_have_every_optimisation(view):
    table = shown(view)
    values = json.loads(json.dumps(to_json(view)))
    assert values["fixed"].keys() == FIXED.keys()
    for case in values["cases"]:
        for name, factors in case["factors"].items():
            assert name in {each["name"] for each in values["optimisations"]}
            assert f"\N{MULTIPLICATION SIGN}{factors['alone']:.2f}" in table
    assert all(name in table for name in (*FIXED, "KV format"))
    assert "Of 3 guesses in a step 1.50 are right" in table


def test_beyond_the_trained_context_is_said():
    view = macro_view(load_config("kv260"), models=[MODEL], batches=[1], contexts=[2048])
    assert view.notes == ("Beyond the 2,048 positions that the models were trained for only their speed is meant.",)


def test_what_does_not_fit_the_memory_is_marked(view):
    assert all(case.fits_without and case.fits_with_all for case in view.cases)
    assert "*" not in shown(view)
    large = replace(view, cases=tuple(replace(case, fits_with_all=False) for case in view.cases))
    assert f"{view.cases[0].bytes_with_all / 1e9:.1f}*" in shown(large)
    assert "* does not fit the memory" in shown(large)


@pytest.mark.parametrize("name", preset_names())
def test_the_smallest_buffer_is_the_smallest_that_is_allowed(name):
    config = load_config(name)
    least = smallest_prefetch_kib(config)
    load_config(name, [f"memory.prefetch_kib={least}"])
    with pytest.raises(ConfigError):
        load_config(name, [f"memory.prefetch_kib={least // 2}"])


def test_more_right_guesses_than_guesses_are_refused():
    with pytest.raises(ModelError, match="at most the 2 guesses, got 3"):
        macro_view(load_config("kv260"), accepted=3)
