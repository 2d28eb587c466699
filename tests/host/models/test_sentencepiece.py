"""SentencePiece by plain loops, and what a long text costs."""

import heapq
from itertools import pairwise

import numpy as np
import pytest
from gguf import Keys
from hypothesis import given
from hypothesis import strategies as st
from rtlm.host.errors import ModelError
from rtlm.host.models import sentencepiece
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def file(random_model) -> GGUFFile:
    return GGUFFile.open(random_model(vocab=900, sentencepiece=True))


@pytest.fixture(scope="module")
def tokenizer(file) -> Tokenizer:
    return Tokenizer(file)


def plain(file: GGUFFile, text: str) -> list[int]:
    """Merge the best pair of all, over and over, as the algorithm is told."""
    tokens, scores = file.metadata[Keys.Tokenizer.LIST], file.metadata[Keys.Tokenizer.SCORES]
    ids = {token: index for index, token in enumerate(tokens) if index > 2}
    pieces = list(text)
    while True:
        pairs = [(scores[ids[a + b]], -n) for n, (a, b) in enumerate(pairwise(pieces)) if a + b in ids]
        if not pairs:
            break
        n = -max(pairs)[1]
        pieces[n : n + 2] = [pieces[n] + pieces[n + 1]]
    found = []
    for piece in pieces:
        found += [ids[piece]] if piece in ids else [ids[f"<0x{byte:02X}>"] for byte in piece.encode()]
    return found


@given(text=st.text("abcz \u00e9\u4e2d\n") | st.text())
def test_equals_plain_loops(file, tokenizer, text):
    escaped = "\u2581" + text.replace(" ", "\u2581") if text else ""
    assert tokenizer.encode(text, special=False) == plain(file, escaped)


@given(text=st.text())
def test_round_trip(tokenizer, text):
    expected = " " + text.replace("\u2581", " ") if text else ""
    assert tokenizer.decode(tokenizer.encode(text, special=False)) == expected


def test_space_after_special_tokens(tokenizer):
    assert tokenizer.decode(tokenizer.encode("a<|im_start|>b<|im_end|>")) == " a<|im_start|> b<|im_end|>"


def test_text_is_no_control_token(random_model):
    """Even where merges would lead there."""
    file = GGUFFile.open(random_model(vocab=900, sentencepiece=True, seed=1))
    tokens = file.metadata[Keys.Tokenizer.LIST]
    tokens[tokens.index("ab")], tokens[1] = "<|im_start|>", "ab"
    assert 1 in Tokenizer(file).encode("ab") and 1 not in Tokenizer(file).encode("ab", special=False)


@pytest.mark.parametrize(
    "text", ["a" * 20_000, "ab" * 10_000, "az " * 7000, "\u00e9" * 10_000], ids=lambda text: text[:2]
)
def test_work_grows_with_the_text_and_not_with_its_square(tokenizer, monkeypatch, text):
    pushed = []

    def push(queue, entry):
        pushed.append(entry)
        heapq.heappush(queue, entry)

    class Counted:
        heappush = staticmethod(push)
        heappop = staticmethod(heapq.heappop)

    monkeypatch.setattr(sentencepiece, "heapq", Counted)
    tokenizer.encode(text)
    assert len(pushed) <= 3 * (len(text) + 1)


def test_a_byte_without_a_token_is_named(file):
    copy = GGUFFile.__new__(GGUFFile)
    tokens = [token.replace("<0xC3>", "<nothing>") for token in file.metadata[Keys.Tokenizer.LIST]]
    kinds = np.where(np.arange(len(tokens)) == tokens.index("<nothing>"), 1, file.metadata[Keys.Tokenizer.TOKEN_TYPE])
    copy.metadata = file.metadata | {Keys.Tokenizer.LIST: tokens, Keys.Tokenizer.TOKEN_TYPE: kinds}
    with pytest.raises(ModelError, match="has neither the character '\u00e9' nor the byte 0xC3"):
        Tokenizer(copy).encode("\u00e9")
