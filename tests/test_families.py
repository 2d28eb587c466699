"""Families through the gates: what the host folds, and layers that are turned by another table."""

import numpy as np
import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate

from tests.host.families import VARIANTS

CONTEXT = 16
SIZES = {"dim": 128, "hidden_dim": 192, "heads": 4, "kv_heads": 2, "vocab": 320, "context": CONTEXT}
STEPS = [(5, 300), (17, 17), (0, 44), (123,)]
"""Tokens of each step, one for each column."""


def feed(engine):
    logits, position = [], 0
    for tokens in STEPS:
        columns = [
            ColumnInput(token=token, position=position + c, history=position, local_first=0, slot=0)
            for c, token in enumerate(tokens)
        ]
        logits.append(engine.step(columns, read_logits=True).logits)
        position += len(tokens)
    return np.concatenate(logits)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["granite", "granite without RoPE", "smollm3", "exaone", "llama, yarn", "qwen2", "qwen3", "gemma3"]
)
def test_family_gives_the_golden_bits(random_model, name):
    """Two columns, so that a table that is loaded between layers is loaded for each."""
    model = LlamaModel.open(random_model(seed=3, **SIZES | VARIANTS[name]))
    gates = [f"{key}=true" for key in model.family.switches]
    config = load_config("tiny", ["matmul.columns=2", *gates])
    expected = feed(GoldenEngine(GoldenModel(model), context=CONTEXT, columns=2))
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        logits = feed(simulation.engine)
    np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))
