"""Gemma 3 270M, where its file has been fetched: the golden model fed with the tokens that llama.cpp chose."""

import json

import numpy as np
import pytest
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.download import cached
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.sources import GEMMA3_270M

from tests.documents import DATA

TEXTS = json.loads((DATA / "llamacpp_gemma3.json").read_text(encoding="utf-8"))["texts"]
CLEAR_MARGIN = 1.5
"""Between llama.cpp's best two logits; its own builds choose differently where it is smaller."""


@pytest.mark.slow
def test_gemma_agrees_with_llama_cpp():
    path = cached(GEMMA3_270M)
    if path is None:
        pytest.skip("rtlm list presets --for gemma3-270m --accept-licence gemma fetches the model that this test needs")
    golden = GoldenModel(LlamaModel.open(path))
    same, margins = [], []
    for text in TEXTS:
        tokens = [*text["ids"], *text["answer_ids"]]
        best = golden.evaluate(tokens[:-1], golden.cache(len(tokens)))[len(text["ids"]) - 1 :].argmax(axis=1)
        same += (best == text["answer_ids"]).tolist()
        margins += text["margins"]
    clear = np.array(margins) > CLEAR_MARGIN
    print(f"arg-max as llama.cpp's in {sum(same)} of {len(same)} steps, of which {clear.sum()} are clear")
    assert len(same) == 4 * 48 and clear.sum() > 100
    assert np.array(same)[clear].all()
    assert np.mean(same) >= 0.95
