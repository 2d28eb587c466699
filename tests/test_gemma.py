"""Gemma 3 270M through the gates of kv260, where its file has been fetched."""

import numpy as np
import pytest
from rtlm.gen.common.progress import SilentProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.compiler.fit import fit_config
from rtlm.host.golden.engine import GoldenEngine
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import simulate

TOKENS = (2, 818, 5279, 529)
"""The beginning of a text."""
CONTEXT = 16


@pytest.mark.slow
def test_gemma_gives_the_golden_bits(gemma3_270m):
    model = LlamaModel.open(gemma3_270m)
    config, _ = fit_config(load_config("kv260"), ModelShape.of(model), context=CONTEXT)
    golden = GoldenEngine(GoldenModel(model), context=CONTEXT)
    with simulate(config, model, context=CONTEXT, progress=SilentProgress()) as simulation:
        for position, token in enumerate(TOKENS):
            column = ColumnInput(token=token, position=position, history=position, local_first=0, slot=0)
            logits, expected = (
                engine.step([column], read_logits=True).logits for engine in (simulation.engine, golden)
            )
            np.testing.assert_array_equal(logits.view(np.uint32), expected.view(np.uint32))
