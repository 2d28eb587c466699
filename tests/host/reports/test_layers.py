"""Cycles by layer: every cycle counts once, and layers begin where their first matrices do."""

from rtlm.host.reports.layers import EMBEDDING, HEAD, cycles_by_layer, layer_name, layers_of
from rtlm.host.reports.report import make_report
from rtlm.hw.control.isa import Operator

from tests.host.reports.report_sample import sample

STEP = [
    *((Operator.CONTROL, 1), (Operator.EMBED, 2), (Operator.LOAD, 3)),
    *((Operator.QKV, 4), (Operator.RMS, 5), (Operator.QKV, 6), (Operator.QK, 7), (Operator.WO, 8), (Operator.LOAD, 9)),
    *((Operator.MLP, 10), (Operator.RMS, 11), (Operator.MLP, 12), (Operator.LOAD, 13)),
    *((Operator.QKV, 14), (Operator.PV, 15), (Operator.MLP, 16), (Operator.RMS, 17), (Operator.MLP, 18)),
    *((Operator.LOAD, 19), (Operator.LM_HEAD, 20), (Operator.CONTROL, 21)),
]
SPANS = [(operator.value, cycles) for operator, cycles in STEP]


def test_a_layer_lasts_to_the_next_one_and_the_last_one_to_its_last_matrix():
    assert cycles_by_layer(SPANS) == {
        EMBEDDING: {"control": 1, "embed": 2, "load": 3},
        layer_name(0): {"qkv": 10, "rms": 16, "qk^t": 7, "wo": 8, "load": 22, "mlp": 22},
        layer_name(1): {"qkv": 14, "pv": 15, "mlp": 34, "rms": 17},
        HEAD: {"load": 19, "lm_head": 20, "control": 21},
    }


def test_every_cycle_counts_once_wherever_a_step_ends():
    for end in range(len(SPANS) + 1):
        found = cycles_by_layer(SPANS[:end])
        assert sum(sum(layer.values()) for layer in found.values()) == sum(cycles for _, cycles in SPANS[:end])
        assert layers_of(found) == sum(operator is Operator.QKV for operator, cycles in STEP[:end] if cycles != 6)


def test_the_report_has_layers_with_their_operators():
    layers = make_report(sample()).to_json()["layers"]
    assert [layer["name"] for layer in layers] == ["embedding", "layer 0", "layer 1", "head"]
    assert layers[1] == {
        "name": "layer 0",
        "cycles_per_token": 500,
        "share": 0.5,
        "operators": {"qkv": 350, "qk^t": 150},
    }
    assert sum(layer["share"] for layer in layers) == 1


def test_steps_without_layers_have_none():
    steps = sample().steps
    assert make_report(sample(steps=[*steps, steps[0]])).layers  # the first one is of the prompt
    bare = type(steps[-1])(**{**vars(steps[-1]), "layers": {}})
    assert make_report(sample(steps=[*steps, bare])).layers == ()
