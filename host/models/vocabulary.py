"""The tokens that a GGUF file lists, checked."""

from dataclasses import dataclass
from typing import Self

from gguf import Keys, TokenType
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile

MAX_TOKEN_BYTES = 1 << 16
"""Of a token's text. Known vocabularies have tokens of a few hundred bytes."""

ENDS = frozenset(
    {
        "</s>",
        "<EOT>",
        "<end_of_turn>",
        "<end_of_utterance>",
        "<eos>",
        "<|call|>",
        "<|end_of_text|>",
        "<|end|>",
        "<|endoftext|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|im_end|>",
        "<|return|>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "[EOS]",
        "[EOT]",
        "_<EOT>",
    }
)
"""Tokens that end something and so are CONTROL, whatever a file says: some files say NORMAL or USER_DEFINED."""


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What the tokens are.

    Parameters
    ----------
    tokens
        The text of each, as the file has it.
    kinds
        The type of each.
    ids
        Each token's number, by its text.
    """

    tokens: list[str]
    kinds: list[int]
    ids: dict[str, int]

    @classmethod
    def read(cls, file: GGUFFile) -> Self:
        """Return the vocabulary of a file.

        Raises
        ------
        ModelError
            If tokens are missing, equal or too long, or do not have one type each.
        """
        tokens = [token or f"[EMPTY_{i}]" for i, token in enumerate(strings(file, Keys.Tokenizer.LIST))]
        kinds = [int(kind) for kind in file.metadata.get(Keys.Tokenizer.TOKEN_TYPE, [TokenType.NORMAL] * len(tokens))]
        if len(kinds) != len(tokens):
            raise ModelError(f"the vocabulary must have a type for each of its {len(tokens)} tokens, got {len(kinds)}")
        ids = {token: index for index, token in enumerate(tokens)}
        if len(ids) != len(tokens):
            raise ModelError(f"the tokens of the vocabulary must differ, got {len(tokens) - len(ids)} twice")
        longest = max((len(token.encode()) for token in tokens), default=0)
        if longest > MAX_TOKEN_BYTES:
            raise ModelError(f"a token must have at most {MAX_TOKEN_BYTES} bytes, got {longest}")
        for end in ENDS & ids.keys():
            kinds[ids[end]] = TokenType.CONTROL
        return cls(tokens=tokens, kinds=kinds, ids=ids)

    def of_kind(self, *kinds: TokenType) -> list[int]:
        """Return the numbers of the tokens of some types."""
        return [index for index, kind in enumerate(self.kinds) if kind in kinds]


def strings(file: GGUFFile, key: str) -> list[str]:
    """Return the strings that a file lists under a key.

    Raises
    ------
    ModelError
        If the key is missing or holds anything else.
    """
    values = file.get(key, list)
    if not all(isinstance(value, str) for value in values):
        raise ModelError(f"the metadata key {key} must hold strings only")
    return values
