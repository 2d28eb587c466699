"""Models in formats that only some configurations have, through all gates: the golden model's bits."""

from contextlib import nullcontext

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.plan import make_plan
from rtlm.host.errors import ModelError
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate
from rtlm.hw.formats import BlockFormat

CONTEXT = 32
TOKENS = (5, 17, 300, 42)
SIZES = {"dim": 256, "hidden_dim": 512, "heads": 8, "kv_heads": 4, "vocab": 320, "context": CONTEXT}
LIMITS = [f"limits.{name}={SIZES[name]}" for name in ("dim", "hidden_dim", "heads", "kv_heads")]
ALL = ",".join(each.name.lower() for each in BlockFormat)

MEDIUM = {
    "matrix_type": Type.Q4_K,
    "embedding_type": Type.Q6_K,
    "types": {
        "blk.0.attn_q.weight": Type.TQ1_0,
        "blk.0.attn_k.weight": Type.Q5_K,
        "blk.0.attn_v.weight": Type.Q6_K,
        "blk.0.attn_output.weight": Type.MXFP4,
        "blk.0.ffn_gate.weight": Type.TQ2_0,
        "blk.0.ffn_up.weight": Type.TQ2_0,
        "blk.0.ffn_down.weight": Type.Q5_1,
        "blk.1.attn_q.weight": Type.Q5_0,
        "blk.1.attn_k.weight": Type.Q8_0,
        "blk.1.attn_v.weight": Type.IQ4_NL,
        "blk.1.attn_output.weight": Type.Q2_K,
        "blk.1.ffn_down.weight": Type.Q3_K,
    },
}
"""A file such as ggml's mixtures "Q4_K_M" are, with every format of theirs, and more: all that gates read but Q4_0 and
Q4_1."""


def feed(engine):
    columns = (ColumnInput(token=token, position=n, history=n, local_first=0, slot=0) for n, token in enumerate(TOKENS))
    return np.concatenate([engine.step([column], read_logits=True).logits for column in columns])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "layers", "model"),
    [
        ([f"matmul.formats=[{ALL}]"], 2, MEDIUM),
        (
            ["matmul.formats=[q8_0,q5_0]", "matmul.lanes=64", "matmul.columns=2", "attention.bytes_per_cycle=32"],
            1,
            {"matrix_type": Type.Q5_0, "embedding_type": Type.Q5_0},
        ),
    ],
    ids=["mixture", "five bits"],
)
def test_gates_give_the_golden_bits(settings, layers, model, random_model):
    opened = LlamaModel.open(random_model(layers=layers, **SIZES, **model))
    expected = feed(GoldenEngine(GoldenModel(opened), context=CONTEXT))
    config = load_config("tiny", [*LIMITS, *settings])
    with simulate(config, opened, context=CONTEXT, progress=SilentProgress()) as simulation:
        logits = feed(simulation.engine)
    np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize(
    ("formats", "refused"),
    [
        (ALL, None),
        ("iq4_nl,mxfp4,q2_k,q3_k,q4_k,q5_0,q5_1,q5_k,q6_k,q8_0,tq1_0,tq2_0", None),
        (
            "q4_0,q4_1,q8_0",
            "matrices in Q5_0, .*, MXFP4, which the gates of configuration tiny do not",
        ),
        (
            "q4_0,q4_1,q8_0,q4_k,q5_0,q5_1,q5_k,iq4_nl,q2_k,q3_k,tq1_0,tq2_0,mxfp4",
            r"in Q6_K, .*; matmul.formats = \[q8_0, q5_0, .*, q6_k, .*, mxfp4\] makes gates",
        ),
    ],
)
def test_formats_that_the_gates_lack_are_refused(formats, refused, random_model):
    shape = ModelShape.of(LlamaModel.open(random_model(layers=2, **SIZES, **MEDIUM)))
    params = load_config("tiny", [*LIMITS, f"matmul.formats=[{formats}]"]).to_params()
    with pytest.raises(ModelError, match=refused) if refused else nullcontext():
        make_plan(params, shape, context=CONTEXT)
