"""What benchmarks make of their measurements before they write them down, and whether what is written adds up."""

import pytest
from rtlm.gen.synthesis.report import share
from rtlm.gen.synthesis.synthesise import ModuleUse, SynthResult
from rtlm.host.figures.results import load_results

from benchmarks import accuracy, synthesis


def use(path, own, total=None):
    names = ("lut", "ff", "dsp", "bram", "uram", "carry")
    counts = [dict(zip(names, values, strict=True)) for values in (own, total or own)]
    return ModuleUse(path=path, own=counts[0], total=counts[1], cells={})


def test_synthesis_joins_modules_to_units():
    modules = (
        use("", (3, 1, 0, 0, 0, 0), (60, 66, 2, 4.5, 0, 1)),
        use("matmul", (40, 30, 2, 0, 0, 1)),
        use("sequencer", (10, 20, 0, 4.5, 0, 0)),
        use("step_check", (5, 5, 0, 0, 0, 0)),
        use("writes_slice", (1, 4, 0, 0, 0, 0)),
        use("results_slice", (1, 6, 0, 0, 0, 0)),
    )
    result = SynthResult(target="xilinx-us+", top="accelerator", modules=modules, tools={}, seconds=1.0, notes=())
    values = synthesis.figures(result)
    assert list(values["units"]) == ["matmul", "sequencer", "slices", "rest"]
    assert values["units"]["sequencer"]["lut"] == 15 and values["units"]["slices"]["ff"] == 10
    assert sum(unit["ff"] for unit in values["units"].values()) == values["all"]["ff"] == 66
    assert values["share"]["lut"] == pytest.approx(share(result)["lut"] / 100)


def test_recorded_units_add_up():
    values = load_results()["synthesis_kv260"].values
    for name, count in values["all"].items():
        assert sum(unit[name] for unit in values["units"].values()) == pytest.approx(count)


def test_recorded_causes_add_up():
    found = [
        step
        for name, each in load_results().items()
        if name.startswith("utilisation")
        for step in each.values["steps"]
        if "causes" in step
    ]
    assert found
    assert all(sum(step["causes"].values()) == step["cycles"] for step in found)


def test_accuracy_is_of_each_passage_and_of_all():
    names = [name for path in accuracy.TEXTS for name in accuracy.passages(path)]
    sums = {"tokens": 10, "kl_sum": 0.03, "predicted": 9, "float_nll": 18.0, "golden_nll": 18.0, "change_squares": 0.0}
    sequences = {name: sums | {"same_argmax": 9} for name in names}
    sequences["prompt"] = {"steps": 4, "same": 3, "clear": 2, "clear_same": 2, "differences": 1, "difference_sum": 0.5}
    llama_cpp = {name: {"tokens": 10, "kl_sum": 0.05, "same_argmax": 8} for name in names}
    values = accuracy.figures(sequences, llama_cpp)
    assert [each["name"] for each in values["passages"]] == names
    assert values["all"]["tokens"] == 10 * len(names)
    assert values["all"]["kl"] == pytest.approx(0.003) and values["all"]["llama_cpp_kl"] == pytest.approx(0.005)
    assert values["prompts"]["agreement"] == 0.75 and values["prompts"]["clear_agreement"] == 1
    assert set(values["files"]) == {"english", "kinds"}
