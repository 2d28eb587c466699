"""A small model end to end over configurations chosen pairwise: whatever the gates' sizes, the golden model's bits.

Any two values of two parameters that can be combined stand together in some row. Two rows run by default, all with
``--matrix`` (each builds a simulator of its own).
"""

import itertools
from functools import cache

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.errors import AcceleratorError
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.unit_params import unit_params

from tests.faults.campaign import ShiftedSlot

CONTEXT = 32
TOKENS = (5, 17, 300, 42)
VALUES = {
    "matmul.lanes": (64, 128, 256),
    "matmul.columns": (1, 2, 3),
    "memory.ports": (1, 2, 4),
    "memory.port_bits": (64, 128, 256),
    "vector.lanes": (2, 4),
    "memory.prefetch_kib": (16, 32, 64),
    "attention.context_limit": (64, 256),
    "memory.outstanding": (1, 2, 8),
    "matmul.rows_per_multiplier": (1, 2),
    "vector.interval": (1, 2, 8),
    "weights": ("Q4_0", "Q4_1", "Q8_0"),
}
ROWS = (
    (64, 3, 1, 128, 2, 32, 256, 2, 1, 2, "Q8_0"),
    (256, 1, 2, 256, 4, 64, 256, 8, 1, 2, "Q4_0"),
    (128, 2, 4, 128, 2, 64, 64, 1, 2, 1, "Q4_1"),
    (256, 2, 2, 64, 4, 16, 64, 2, 1, 2, "Q8_0"),
    (64, 1, 1, 64, 2, 16, 64, 8, 2, 8, "Q4_1"),
    (128, 3, 4, 64, 2, 32, 256, 1, 2, 8, "Q4_0"),
    (256, 3, 2, 256, 2, 32, 256, 1, 2, 8, "Q4_1"),
    (128, 1, 1, 256, 2, 64, 64, 2, 2, 1, "Q8_0"),
    (256, 3, 1, 128, 4, 16, 256, 1, 1, 1, "Q4_0"),
    (256, 1, 4, 128, 4, 32, 256, 8, 1, 8, "Q8_0"),
    (64, 2, 2, 256, 2, 32, 64, 8, 2, 1, "Q4_0"),
    (128, 3, 2, 256, 2, 16, 64, 8, 1, 2, "Q4_0"),
    (64, 1, 4, 64, 2, 16, 256, 1, 2, 1, "Q8_0"),
    (64, 2, 4, 64, 2, 64, 64, 2, 2, 8, "Q4_0"),
    (256, 2, 1, 256, 4, 32, 256, 2, 1, 2, "Q4_1"),
    (256, 3, 4, 256, 4, 64, 256, 8, 2, 2, "Q4_1"),
    (256, 1, 2, 128, 2, 32, 64, 1, 2, 2, "Q8_0"),
)
QUICK = (0, 5)
"""Rows that run by default: each with what the others' defaults lack."""


def overrides(values):
    """Settings of a row or of part of one; the narrowest array takes half a word of keys a cycle."""
    settings = [f"{key}={value}" for key, value in values.items() if key != "weights"]
    return [*settings, "attention.bytes_per_cycle=32"] if values.get("matmul.lanes") == 64 else settings


@cache
def model_and_logits(weights, random_model):
    kind = GGMLQuantizationType[weights]
    path = random_model(
        layers=1, dim=128, hidden_dim=256, heads=4, kv_heads=2, vocab=320, context=CONTEXT, matrix_type=kind
    )
    model = LlamaModel.open(path)
    return model, feed(GoldenEngine(GoldenModel(model), context=CONTEXT))


def feed(engine, tokens=TOKENS):
    columns = (ColumnInput(token=token, position=n, history=n, local_first=0, slot=0) for n, token in enumerate(tokens))
    return np.concatenate([engine.step([column], read_logits=True).logits for column in columns])


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(ROWS)), ids=lambda row: "-".join(map(str, ROWS[row])))
def test_row_gives_the_golden_bits(row, random_model, request):
    if row not in QUICK and not request.config.getoption("--matrix"):
        pytest.skip("only with --matrix")
    values = dict(zip(VALUES, ROWS[row], strict=True))
    model, expected = model_and_logits(values["weights"], random_model)
    config = load_config("tiny", overrides(values))
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        logits = feed(simulation.engine)
    np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))


@pytest.mark.slow
def test_smallest_preset_gives_the_golden_bits(random_model):
    """The ECP5 preset: four steps a word, 13-bit fields, a quarter of a head a cycle, pipelines of that technology.

    It writes words in parts, which begin anywhere; a slot that does not begin at a word is refused all the same.
    """
    path = random_model(layers=2, dim=64, hidden_dim=128, heads=4, kv_heads=4, vocab=256, context=CONTEXT)
    model, tokens = LlamaModel.open(path), (5, 17, 200, 42, 255)
    expected = feed(GoldenEngine(GoldenModel(model), context=CONTEXT), tokens)
    with simulate(load_config("ecp5-85k"), model, context=CONTEXT, progress=SilentProgress()) as simulation:
        engine, memory = simulation.engine, simulation.memory
        for beats in (1, 2, memory.params.beats_per_word // 2):
            engine.memory = ShiftedSlot(memory, memory.address("kv0") + beats)
            with pytest.raises(AcceleratorError, match="a write that does not begin at a word"):
                feed(engine, tokens[:1])
            engine.reset()
        engine.memory = memory
        logits = feed(engine, tokens)
    np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))


def test_rows_cover_all_pairs():
    """Every pair of values stands in a row; those that do not cannot be configured, whatever else is chosen."""
    seen = set()
    for row in ROWS:
        seen |= set(itertools.combinations(zip(VALUES, row, strict=True), 2))
    missing = [
        pair
        for first, second in itertools.combinations(VALUES, 2)
        for pair in itertools.product(((first, v) for v in VALUES[first]), ((second, v) for v in VALUES[second]))
        if pair not in seen
    ]
    for pair in missing:
        with pytest.raises((ConfigError, ValueError)):
            unit_params(load_config("tiny", overrides(dict(pair))).to_params())
    assert len(missing) == 2
