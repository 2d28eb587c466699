"""Vocabularies for tests of tokenizers, made from SmolLM2's: its merges with other rules, and as SentencePiece."""

from collections.abc import Iterable
from pathlib import Path

import gguf
import numpy as np
from gguf import Keys, TokenType
from rtlm.host.models.byte_bpe import ByteLevelBPE
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.sentencepiece import SPACE

SPACES = 8
"""The longest run of spaces that is a token in the vocabulary of the kind of Gemma's."""


def byte_level(smollm2: Path, path: Path, pre: str) -> Path:
    """Write SmolLM2's vocabulary with another pre-tokenizer, and with numbers of two and three digits as tokens."""
    file = GGUFFile.open(smollm2)
    pairs = [(str(number), str(digit)) for number in range(10) for digit in range(10)]
    triples = [(first + second, str(digit)) for first, second in pairs for digit in range(10)]
    tokens = [*file.metadata[Keys.Tokenizer.LIST], *("".join(numbers) for numbers in pairs + triples)]
    kinds = [*file.metadata[Keys.Tokenizer.TOKEN_TYPE], *[TokenType.NORMAL] * len(pairs + triples)]
    writer = _writer(path, "gpt2", tokens, kinds)
    writer.add_tokenizer_pre(pre)
    writer.add_token_merges([*file.metadata[Keys.Tokenizer.MERGES], *map(" ".join, pairs + triples)])
    return _close(writer, path)


def sentencepiece(smollm2: Path, path: Path, *, gemma: bool = False) -> Path:
    """Write the texts of SmolLM2's tokens as a SentencePiece vocabulary, those that were merged first scored highest.

    One of the kind of Gemma's has no space before a text, and runs of spaces and of line ends are tokens of the type
    USER_DEFINED.
    """
    file = GGUFFile.open(smollm2)
    kinds = file.metadata[Keys.Tokenizer.TOKEN_TYPE]
    texts = dict.fromkeys(_texts(file.metadata[Keys.Tokenizer.LIST], kinds))
    special = ["<unk>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>"]
    runs = [mark * count for mark in " \n" for count in range(2, SPACES + 1)] if gemma else []
    octets = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [text for text in texts if text not in {*special, *runs, *octets}]
    rows = [(token, TokenType.UNKNOWN if token == "<unk>" else TokenType.CONTROL, 0.0) for token in special]
    rows += [(token, TokenType.BYTE, 0.0) for token in octets]
    rows += [(token, TokenType.USER_DEFINED, 0.0) for token in runs]
    rows += [(token, TokenType.NORMAL, -float(rank)) for rank, token in enumerate(words)]
    tokens, types, scores = zip(*rows, strict=True)
    writer = _writer(path, "llama", tokens, types)
    writer.add_token_scores(scores)
    writer.add_unk_token_id(0)
    if gemma:
        writer.add_add_space_prefix(False)
    return _close(writer, path)


def _texts(tokens: Iterable[str], kinds: np.ndarray) -> Iterable[str]:
    for token, kind in zip(tokens, kinds, strict=True):
        try:
            yield ByteLevelBPE.token_bytes(token, kind).decode().replace(" ", SPACE)
        except UnicodeDecodeError:  # a part of a character
            continue


def _writer(path: Path, model: str, tokens: Iterable[str], kinds: Iterable[int]) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(list(tokens))
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return writer


def _close(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
