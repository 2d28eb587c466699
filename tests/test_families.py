"""Families through the gates: what the host folds, and layers that are turned by another table; in every format."""

from itertools import cycle, islice

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LAYER_MATRICES, LlamaModel
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.formats import BlockFormat

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
@pytest.mark.parametrize("name", ["qwen2", "qwen3", "gemma3"])
def test_family_gives_the_golden_bits(random_model, name):
    """On gates that have what the family needs and no more."""
    model = LlamaModel.open(random_model(seed=3, **SIZES | VARIANTS[name]))
    gates = [f"{key}=true" for key in model.family.switches]
    config = load_config("tiny", ["matmul.columns=2", *gates])
    expected = feed(GoldenEngine(GoldenModel(model), context=CONTEXT, columns=2))
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        logits = feed(simulation.engine)
    np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))


WIDE = {"dim": 256, "hidden_dim": 512, "heads": 8, "kv_heads": 4, "vocab": 320, "context": CONTEXT, "head_dim": 32}
SWITCHES = ("vector.biases", "vector.head_norms", "vector.post_norms", "vector.gelu", "attention.windows")
EVERYTHING = [
    "matmul.columns=2",
    f"matmul.formats=[{','.join(each.name.lower() for each in BlockFormat)}]",
    *(f"limits.{name}={WIDE[name]}" for name in ("dim", "hidden_dim", "heads", "kv_heads")),
    *(f"{name}=true" for name in SWITCHES),
]
"""What all families need together."""


def mixture(layers, first):
    """Types of the layers' matrices: every format in turn, beginning with the one of the number `first`."""
    names = [f"blk.{layer}.{name}.weight" for layer in range(layers) for name in LAYER_MATRICES]
    formats = islice(cycle(BlockFormat), first, None)
    types = {name: GGMLQuantizationType[next(formats).name] for name in names if "ffn_up" not in name}
    # Their rows alternate in memory, so that they have one format.
    return types | {name: types[name.replace("_up", "_gate")] for name in names if "ffn_up" in name}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_family_in_every_format(random_model, name):
    """All with one accelerator, which has everything; a model has each format in some matrix."""
    variant = dict(VARIANTS[name])
    if factors := variant.get("rope_factors"):
        variant["rope_factors"] = 2 * factors
    layers = max(3, variant.get("layers", 0))
    types = mixture(layers, list(VARIANTS).index(name))
    assert len(set(types.values())) == len(BlockFormat)
    model = LlamaModel.open(random_model(seed=4, **WIDE | variant | {"layers": layers, "types": types}))
    expected = feed(GoldenEngine(GoldenModel(model), context=CONTEXT, columns=2))
    with simulate(load_config("tiny", EVERYTHING), model, context=CONTEXT, progress=SilentProgress()) as simulation:
        logits = feed(simulation.engine)
    np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))
