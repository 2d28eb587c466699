"""Text to tokens and back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtlm.host.errors import ModelError
from rtlm.host.models.byte_bpe import BYTE_TO_CHARACTER
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.tokenizer import Tokenizer

from tests.documents import DATA

REFERENCE = json.loads((DATA / "llamacpp_greedy.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def file(random_model) -> GGUFFile:
    return GGUFFile.open(random_model(vocab=600))


@pytest.fixture(scope="module")
def tokenizer(file) -> Tokenizer:
    return Tokenizer(file)


@pytest.fixture(scope="module")
def smollm(smollm2) -> Tokenizer:
    return Tokenizer(GGUFFile.open(smollm2))


@pytest.fixture
def changed(file):
    def change(**metadata) -> Tokenizer:
        copy = GGUFFile.__new__(GGUFFile)
        copy.metadata = file.metadata | {key.replace("__", "."): value for key, value in metadata.items()}
        return Tokenizer(copy)

    return change


@pytest.mark.parametrize("entry", REFERENCE["prompts"], ids=lambda entry: entry["name"])
def test_same_tokens_as_llama_cpp(smollm, entry):
    assert smollm.encode(entry["prompt"]) == entry["prompt_ids"]
    assert smollm.decode(entry["generated_ids"]) == entry["generated_text"]


def test_chat_template_gives_the_reference_prompt(smollm):
    entry = next(entry for entry in REFERENCE["prompts"] if entry["name"] == "chat_water")
    question = {"role": "user", "content": "At what temperature does water boil?"}
    assert smollm.chat([question]) == entry["prompt"]
    assert smollm.stop == {2}


def test_bytes_have_distinct_characters():
    assert len(set(BYTE_TO_CHARACTER.values())) == 256


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_round_trip(tokenizer, text):
    for special in (True, False):
        ids = tokenizer.encode(text, special=special)
        assert tokenizer.decode(ids) == text
        stream = tokenizer.stream()
        assert "".join(stream.push(token) for token in ids) + stream.finish() == text


def test_merges_are_used(tokenizer):
    assert len(tokenizer.encode("ab")) == 1 and len(tokenizer.encode(" b")) == 1


def test_special_tokens_only_where_allowed(tokenizer):
    text = "<|im_start|>a"
    assert tokenizer.encode(text)[0] == 1
    plain = tokenizer.encode(text, special=False)
    assert 1 not in plain and tokenizer.decode(plain) == text
    assert tokenizer.decode(tokenizer.encode(text), special=False) == "a"


def test_begin_of_text(tokenizer, changed):
    assert tokenizer.encode("a", bos=True) == [1, *tokenizer.encode("a")]
    assert changed(tokenizer__ggml__add_bos_token=True).encode("a")[0] == 1


def test_end_of_text(tokenizer, changed):
    assert tokenizer.encode("a", eos=True) == [*tokenizer.encode("a"), 2]
    assert changed(tokenizer__ggml__add_eos_token=True).encode("a")[-1] == 2
    with pytest.raises(ModelError, match="no token that begins a text"):
        nameless = changed()
        nameless.bos = None
        nameless.encode("a", bos=True)


def test_user_defined_tokens_are_found_in_any_text(changed, file):
    kinds = file.metadata["tokenizer.ggml.token_type"].copy()
    kinds[5] = 4
    name = file.metadata["tokenizer.ggml.tokens"][5]
    tokenizer = changed(tokenizer__ggml__token_type=kinds)
    assert tokenizer.encode(f"x{name}y", special=False)[1] == 5
    assert tokenizer.decode([5], special=False) == name


def test_the_longest_special_token_counts(changed, file):
    tokens, kinds = [*file.metadata["tokenizer.ggml.tokens"]], file.metadata["tokenizer.ggml.token_type"].copy()
    tokens[5:7], kinds[5:7] = ["<mark>", "<mark>>"], 4
    tokenizer = changed(
        tokenizer__ggml__tokens=tokens, tokenizer__ggml__token_type=kinds, tokenizer__ggml__merges=["a b"]
    )
    assert tokenizer.encode("<mark>><mark>") == [6, 5]


def test_tokens_that_end_a_message_are_control_tokens_whatever_the_file_says(changed):
    tokenizer = changed(tokenizer__ggml__token_type=[4] * 600)
    assert 2 not in tokenizer.encode("<|im_end|>", special=False)
    assert tokenizer.decode([2], special=False) == ""


def test_chat_does_not_begin_twice(changed):
    template = "{{ bos_token }}{{ messages[0]['content'] }}"
    tokenizer = changed(tokenizer__chat_template=template, tokenizer__ggml__add_bos_token=True)
    ids = tokenizer.encode(tokenizer.chat(MESSAGES))
    assert ids[0] == 1 and 1 not in ids[1:]


def test_half_of_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(ModelError, match=r"must not have '.ud800', half of a surrogate pair"):
        tokenizer.encode("a\ud800b")


def test_stream_waits_for_whole_characters(tokenizer):
    ids = tokenizer.encode("é€")
    assert len(ids) == 5
    stream = tokenizer.stream()
    assert [stream.push(token) for token in ids] == ["", "é", "", "", "€"]
    assert stream.push(ids[0]) == "" and stream.finish() == "\ufffd"


def test_token_outside_the_vocabulary(tokenizer):
    for token in (-1, 600):
        with pytest.raises(ModelError, match=f"a token must be from 0 to .*, got {token}"):
            tokenizer.decode([token])


BAD = {
    "model": (
        {"tokenizer__ggml__model": "bert"},
        r"byte-level BPE \(gpt2\) or SentencePiece BPE \(llama\), got 'bert'",
    ),
    "pre": ({"tokenizer__ggml__pre": "viking"}, "pre-tokenizer must be one of default, gpt-2, .*, got 'viking'"),
    "types": ({"tokenizer__ggml__token_type": [1]}, "600 tokens, got 1"),
    "twice": ({"tokenizer__ggml__tokens": ["a"] * 600}, "got 599 twice"),
    "strings": ({"tokenizer__ggml__tokens": [["a"]] * 600}, "must hold strings only"),
    "merge": ({"tokenizer__ggml__merges": ["a nothing"]}, "merge rule 'a nothing'"),
    "long token": ({"tokenizer__ggml__tokens": ["a" * 70000, *map(str, range(599))]}, "at most 65536 bytes, got 70000"),
    "scores": ({"tokenizer__ggml__model": "llama"}, "tokenizer.ggml.scores is missing"),
    "few scores": (
        {"tokenizer__ggml__model": "llama", "tokenizer__ggml__scores": np.zeros(7, np.float32)},
        "each of the 600 tokens, got 7",
    ),
    "text as scores": (
        {"tokenizer__ggml__model": "llama", "tokenizer__ggml__scores": ["a"] * 600},
        "scores must hold ndarray, got ",
    ),
    "NaN": (
        {"tokenizer__ggml__model": "llama", "tokenizer__ggml__scores": np.array([0] * 9 + [np.nan] + [0] * 590)},
        "got NaN for token 9",
    ),
    "byte": (
        {
            "tokenizer__ggml__model": "llama",
            "tokenizer__ggml__scores": np.zeros(600, np.float32),
            "tokenizer__ggml__token_type": [6] * 600,
        },
        "must be written as <0x0A>",
    ),
    "eos": ({"tokenizer__ggml__eos_token_id": 600}, "must be from 0 to 599, got 600"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_vocabulary_is_refused(changed, name):
    metadata, message = BAD[name]
    with pytest.raises(ModelError, match=message):
        changed(**metadata)


MESSAGES = [{"role": "user", "content": "hello"}]


def test_template_sees_the_messages_and_special_tokens(changed):
    tokenizer = changed(tokenizer__chat_template="{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}")
    assert tokenizer.has_chat_template
    assert tokenizer.chat(MESSAGES) == "<|im_start|>hello<|im_end|>"
