"""Token ids of Gemma 3 270M, where its file has been fetched, against llama.cpp's."""

import json

import pytest
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.tokenizer import Tokenizer

from tests.documents import DATA

REFERENCE = json.loads((DATA / "llamacpp_gemma3.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer(gemma3_270m):
    return Tokenizer(GGUFFile.open(gemma3_270m))


@pytest.mark.parametrize("entry", REFERENCE["texts"], ids=lambda entry: entry["name"])
def test_same_tokens_and_text_as_llama_cpp(tokenizer, entry):
    assert tokenizer.encode(entry["text"]) == entry["ids"]
    assert tokenizer.decode(entry["answer_ids"]) == entry["answer"]


def test_traps(tokenizer):
    """White space, emoji, CJK, combining marks, code, numbers, special tokens."""
    for entry in REFERENCE["traps"]:
        text = entry["text"]
        assert tokenizer.encode(text) == entry["special"], repr(text)
        assert tokenizer.encode(text, special=False) == entry["plain"], repr(text)
        assert tokenizer.decode(tokenizer.encode(text, bos=False)) == text.replace("\u2581", " ")
