"""Byte-level BPE (`tokenizer.ggml.model` = ``gpt2``): words of printable stand-ins for bytes, merged by rank."""

from gguf import Keys, TokenType
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.pre_tokenizers import DEFAULT, PRE_TOKENIZERS
from rtlm.host.models.vocabulary import Vocabulary, strings
from tokenizers import Regex, models, pre_tokenizers
from tokenizers import Tokenizer as _Backend

_KEPT = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_TO_CHARACTER = {byte: chr(byte) for byte in _KEPT} | {
    byte: chr(0x100 + index) for index, byte in enumerate(sorted(set(range(256)) - set(_KEPT)))
}
"""GPT-2's printable stand-in for each byte (``bytes_to_unicode`` in its ``encoder.py``)."""

_CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}


class ByteLevelBPE:
    """Tokens of ordinary text, and the bytes of tokens.

    Parameters
    ----------
    file
        The model file: its merge rules and its pre-tokenizer.
    vocabulary
        Its tokens.

    Attributes
    ----------
    add_bos : bool
        Whether a text begins with the token for that, where the file does not say.
    """

    def __init__(self, file: GGUFFile, vocabulary: Vocabulary):
        name = file.get(Keys.Tokenizer.PRE, str, DEFAULT)
        if name not in PRE_TOKENIZERS:
            raise ModelError(f"the pre-tokenizer must be one of {', '.join(PRE_TOKENIZERS)}, got {name!r:.60}")
        pre = PRE_TOKENIZERS[name]
        # Of equal rules the first has the rank.
        merges = list(dict.fromkeys(_merge(rule, vocabulary.ids) for rule in strings(file, Keys.Tokenizer.MERGES)))
        self.add_bos = pre.add_bos
        self._backend = _Backend(models.BPE(vocabulary.ids, merges, ignore_merges=pre.whole_words))
        self._backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                *(pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in pre.patterns),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    def encode(self, text: str, *, first: bool) -> list[int]:
        """Return the tokens of a text without special tokens; it does not matter whether it is the `first`."""
        return self._backend.encode(text, add_special_tokens=False).ids

    @staticmethod
    def token_bytes(token: str, kind: int) -> bytes:
        """Return the bytes that a token stands for, by its text and its type."""
        if kind != TokenType.NORMAL:
            return b"" if kind == TokenType.UNUSED else token.encode()
        try:
            return bytes(_CHARACTER_TO_BYTE[character] for character in token)
        except KeyError:
            return token.encode()


def _merge(rule: str, ids: dict[str, int]) -> tuple[str, str]:
    first, _, second = rule.partition(" ")
    if first not in ids or second not in ids or first + second not in ids:
        raise ModelError(f"the merge rule {rule!r:.60} names tokens that are not in the vocabulary")
    return first, second
