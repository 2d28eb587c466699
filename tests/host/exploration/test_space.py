"""The file of a space: what it means, and a sentence for everything that is wrong with it."""

import pytest
import yaml
from rtlm.gen.common.errors import ConfigError, RtlmError
from rtlm.host.exploration.grid import Grid
from rtlm.host.exploration.space import MAX_VALUES, Range, parse_space, read_space

LEAST = {"models": ["smollm2-135m"], "objectives": {"tokens_per_s": "max"}}


def space_of(text: str):
    return parse_space(LEAST | (yaml.safe_load(text) or {}), "s.yaml")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{from: 16, to: 100, times: 2}", [16, 32, 64]),
        ("{from: 1, to: 4}", [1, 2, 3, 4]),
        ("{from: 0, to: 1, step: 0.25}", [0, 0.25, 0.5, 0.75, 1]),
        ("{from: 100, to: 300, step: 100}", [100, 200, 300]),
        ("{from: 5, to: 5}", [5]),
        ("{from: 0.1, to: 0.3, step: 0.1}", [0.1, 0.2, pytest.approx(0.3)]),
    ],
)
def test_ranges(text, values):
    assert Range.model_validate(yaml.safe_load(text)).values("k") == values


def test_lists_and_ranges_are_written_out():
    space = space_of("set: {matmul.lanes: [64, 128, 64], memory.prefetch_kib: {from: 32, to: 128, times: 2}}")
    assert space.set == {"matmul.lanes": [64, 128], "memory.prefetch_kib": [32, 64, 128]}
    assert (space.configs, space.weights, space.contexts, space.batches) == (["kv260"], ["q4_0"], [512], [1])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: [x]", "model is not a key: a space has configs, models"),
        ("models: []", "models must have at least 1 value, got none."),
        ("contexts: []", f"contexts must have 1 to {MAX_VALUES} values, got 0."),
        ("contexts: [512, x]", "contexts must be whole numbers from 1 to 1048576, got 'x'."),
        ("batches: [9]", "batches must be whole numbers from 1 to 8, got 9."),
        ("weights: [q5]", "tq1_0, tq2_0, mxfp4, got 'q5'."),
        ("set: 5", "set must be a mapping, got 5."),
        ("set: {matmul.lanes: 64}", "set.matmul.lanes must be a list, or a range such as {from: 16"),
        ("set: {matmul.lanes: []}", "set.matmul.lanes must have 1 to"),
        ("set: {a: {from: 3, to: 1}}", "set.a must be a range whose to is at least from = 3, got 1."),
        ("set: {a: {from: 0, to: 1, times: 2}}", "set.a must begin above 0 to be multiplied, got from = 0."),
        ("set: {a: {from: 1, to: 8, times: 2, step: 1}}", "set.a must have step or times, got both."),
        ("set: {a: {from: 1, too: 8}}", "set.a.too is not a key: set.a has from, to, step, times; did you mean to?"),
        ("set: {a: {from: 1, to: 10000000}}", f"set.a must have at most {MAX_VALUES} values, got 10000000."),
        ("constraints: {power: {at_most: 1}}", "constraints.power is not a key: constraints has tokens_per_s"),
        ("constraints: {power: {at_most: 1}}", "did you mean power_w?"),
        (
            "constraints: {power_w: {below: 1}}",
            "constraints.power_w.below is not a key: constraints.power_w has at_least",
        ),
        ("constraints: {power_w: {}}", "constraints.power_w: a constraint must have at_least, at_most or both"),
        ("constraints: {power_w: {at_least: 2, at_most: 1}}", "at_least must be at most at_most = 1, got 2."),
        ("constraints: {power_w: {at_most: .nan}}", "constraints.power_w.at_most must be a number from 0"),
        ("objectives: {}", "objectives must have at least 1 value, got none."),
        ("objectives: {tokens_per_s: most}", "objectives.tokens_per_s must be one of max, min, got 'most'."),
        ("method: optuna", "method must be one of grid, random, nsga2, tpe, got 'optuna'."),
        ("method: random", "points is missing: method = random has to know how many."),
        ("points: 5", "points must be left out with method = grid, which takes all."),
        ("{method: random, points: 0}", "points must be an integer from 1 to 10000000, got 0."),
        ("seed: 5000000000", "seed must be an integer from 0 to 4294967295, got 5000000000."),
    ],
)
def test_what_is_wrong_is_a_sentence(text, sentence):
    with pytest.raises(ConfigError) as failure:
        space_of(text)
    assert str(failure.value).startswith("s.yaml") and sentence in str(failure.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("set: {matmul.lane: [64]}", "matmul.lane is not a key: matmul has lanes, columns"),
        ("set: {matmul.lanes: [64, 65]}", "matmul.lanes must be a power of two from 32 to 8192"),
        ("set: {name.x: [1]}", "name.x cannot be set: name is 'kv260', not a mapping."),
        ("configs: [kv26]", "there is no such file, and no preset of that name"),
        ("models: [smollm]", "there is no model 'smollm'"),
    ],
)
def test_names_and_values_are_checked_before_anything_is_computed(text, sentence):
    with pytest.raises(RtlmError) as failure:
        Grid.of(space_of(text), "s.yaml")
    assert sentence in str(failure.value)


def test_a_file_is_bounded_and_plain(tmp_path):
    path = tmp_path / "s.yaml"
    with pytest.raises(ConfigError, match="there is no such file"):
        read_space(path)
    for text, sentence in (
        ("#" * 70_000, "more than 65536 bytes"),
        ("models: &a [x]\nconfigs: *a", "aliases"),
        ("models: !!python/object:os.system [x]", "tags"),
        ("- 1", "not a mapping"),
        ("models: [x", "not valid"),
        ("\x00", "not valid"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=sentence):
            read_space(path)


def test_every_point_of_a_grid_has_its_number():
    grid = Grid.of(space_of("{contexts: [1, 2], set: {matmul.columns: [1, 2, 3]}}"), "s.yaml")
    points = [grid.point(grid.indices(number)) for number in range(grid.size)]
    assert grid.size == 6 == len(set(points))
    assert [(p.context, p.changes) for p in points[:3]] == [(1, (("matmul.columns", n),)) for n in (1, 2, 3)]


def test_the_same_configuration_has_the_same_key_however_it_is_spelt():
    def key(text, number=0, version="1"):
        grid = Grid.of(space_of(text), "s.yaml")
        return grid.key(grid.point(grid.indices(number)), version)

    plain = key("")
    assert key("set: {matmul.lanes: [128]}") == plain
    assert key("set: {memory.dram: [ddr4-2400]}") == plain
    assert key("set: {clock_mhz: [300.0], memory.prefetch_kib: [64]}") == plain
    others = [
        key("set: {matmul.lanes: [64]}"),
        key("contexts: [513]"),
        key("batches: [2]"),
        key("prompt: 129"),
        key("weights: [q8_0]"),
        key("output: q8_0"),
        key("models: [smollm2-360m]"),
        key("", version="2"),
    ]
    assert len({plain, *others}) == 1 + len(others)
