"""Token ids of a text full of traps, in vocabularies of every kind that is read, against llama.cpp's."""

import json
from pathlib import Path

import pytest
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.pre_tokenizers import PRE_TOKENIZERS
from rtlm.host.models.tokenizer import Tokenizer

from tests.documents import DATA
from tests.host.models.vocabularies import byte_level, sentencepiece

REFERENCE = json.loads((DATA / "llamacpp_tokens.json").read_text(encoding="utf-8"))
SAME_RULES = {rules: name for name, rules in reversed(PRE_TOKENIZERS.items())}
"""The first name of each way of cutting, under which its reference stands."""
SENTENCEPIECE = {"sentencepiece": False, "sentencepiece-gemma": True}


def write(name: str, smollm2: Path, folder: Path) -> Tokenizer:
    path = folder / "vocabulary.gguf"
    if name in SENTENCEPIECE:
        sentencepiece(smollm2, path, gemma=SENTENCEPIECE[name])
    else:
        byte_level(smollm2, path, name)
    return Tokenizer(GGUFFile.open(path))


def test_each_kind_has_a_reference():
    assert set(REFERENCE["vocabularies"]) == {*SAME_RULES.values(), *SENTENCEPIECE}


@pytest.mark.parametrize("name", REFERENCE["vocabularies"])
def test_same_tokens_as_llama_cpp(smollm2, tmp_path, name):
    tokenizer, reference = write(name, smollm2, tmp_path), REFERENCE["vocabularies"][name]
    for text, special, plain in zip(REFERENCE["texts"], reference["special"], reference["plain"], strict=True):
        assert tokenizer.encode(text) == special, f"special tokens in {text!r}"
        assert tokenizer.encode(text, special=False) == plain, repr(text)


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_text_comes_back(smollm2, tmp_path, name):
    tokenizer = write(name, smollm2, tmp_path)
    for text in REFERENCE["texts"]:
        decoded = tokenizer.decode(tokenizer.encode(text, special=False, bos=False))
        space = "" if name == "sentencepiece-gemma" or not text else " "
        assert decoded == space + text.replace("\u2581", " ")


def test_references_differ():
    """No way of cutting would pass for another."""
    references = {json.dumps(reference) for reference in REFERENCE["vocabularies"].values()}
    assert len(references) == len(REFERENCE["vocabularies"])
