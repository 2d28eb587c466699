"""The model's own tokenizer, built from the metadata of its GGUF file."""

import codecs
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jinja2
from gguf import Keys, TokenType
from jinja2.sandbox import ImmutableSandboxedEnvironment
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile
from tokenizers import AddedToken, Regex, models, pre_tokenizers
from tokenizers import Tokenizer as _Backend

MAX_TEMPLATE_CHARACTERS = 1 << 16
MAX_PROMPT_CHARACTERS = 1 << 22

_KEPT = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_TO_CHARACTER = {byte: chr(byte) for byte in _KEPT} | {
    byte: chr(0x100 + index) for index, byte in enumerate(sorted(set(range(256)) - set(_KEPT)))
}
"""GPT-2's printable stand-in for each byte (``bytes_to_unicode`` in its ``encoder.py``)."""

_CHARACTER_TO_BYTE = {character: byte for byte, character in BYTE_TO_CHARACTER.items()}

# Names and rules as in llama.cpp's llama-vocab.cpp.
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS: dict[str, Callable[[], list[Any]]] = {
    "gpt-2": lambda: [pre_tokenizers.ByteLevel(add_prefix_space=False)],
    "smollm": lambda: [
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ],
    "llama-bpe": lambda: [
        pre_tokenizers.Split(Regex(_LLAMA_3), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ],
}
"""How each kind of pre-tokenizer that is supported cuts text before merging."""


class Tokenizer:
    """Text to token ids and back, by the byte-level BPE of a GGUF file.

    Parameters
    ----------
    file
        The model file; its vocabulary is untrusted and is checked.

    Attributes
    ----------
    vocab : int
        Number of tokens.
    bos, eos : int or None
        Ids that begin and end a text.
    add_bos : bool
        Whether the model wants ``bos`` before every text.
    stop : frozenset of int
        Ids after which generation ends.
    """

    def __init__(self, file: GGUFFile):
        kind = file.get(Keys.Tokenizer.MODEL, str)
        if kind != "gpt2":
            raise ModelError(f"the tokenizer must be byte-level BPE (gpt2), got {kind!r:.60}")
        pre = file.get(Keys.Tokenizer.PRE, str, "gpt-2")
        if pre not in PRE_TOKENIZERS:
            raise ModelError(f"the pre-tokenizer must be one of {', '.join(PRE_TOKENIZERS)}, got {pre!r:.60}")
        tokens = _strings(file, Keys.Tokenizer.LIST)
        kinds = [int(kind) for kind in file.metadata.get(Keys.Tokenizer.TOKEN_TYPE, [TokenType.NORMAL] * len(tokens))]
        if len(kinds) != len(tokens):
            raise ModelError(f"the vocabulary must have a type for each of its {len(tokens)} tokens, got {len(kinds)}")
        ids = {token: index for index, token in enumerate(tokens)}
        if len(ids) != len(tokens):
            raise ModelError(f"the tokens of the vocabulary must differ, got {len(tokens) - len(ids)} twice")
        self.vocab = len(tokens)
        self._special = frozenset(i for i, kind in enumerate(kinds) if kind == TokenType.CONTROL)
        added = [i for i, kind in enumerate(kinds) if kind in (TokenType.CONTROL, TokenType.USER_DEFINED)]
        self._bytes = [_token_bytes(token) for token in tokens]
        for index in added:
            self._bytes[index] = tokens[index].encode()
        merges = [_merge(rule, ids) for rule in _strings(file, Keys.Tokenizer.MERGES)]
        self._backend = _Backend(models.BPE(ids, merges, ignore_merges=pre == "llama-bpe"))
        self._backend.pre_tokenizer = pre_tokenizers.Sequence(PRE_TOKENIZERS[pre]())
        self._backend.add_special_tokens([AddedToken(tokens[i], special=True, normalized=False) for i in added])
        self.bos = self._id(file, Keys.Tokenizer.BOS_ID)
        self.eos = self._id(file, Keys.Tokenizer.EOS_ID)
        self.add_bos = file.get(Keys.Tokenizer.ADD_BOS, bool, False) and self.bos is not None
        ends = (self.eos, self._id(file, Keys.Tokenizer.EOT_ID), ids.get("<|im_end|>"), ids.get("<|eot_id|>"))
        self.stop = frozenset(end for end in ends if end is not None)
        self._template = file.get(Keys.Tokenizer.CHAT_TEMPLATE, str, "")

    def encode(self, text: str, *, special: bool = True, bos: bool | None = None) -> list[int]:
        """Return the token ids of ``text``.

        Parameters
        ----------
        text
            Any text.
        special
            Whether special tokens written out in the text (``<|im_start|>``) become those tokens. Leave it off for
            text that must not be able to do so.
        bos
            Whether to begin with the token that begins a text; by default as the model says.
        """
        self._backend.encode_special_tokens = not special
        ids = self._backend.encode(text, add_special_tokens=False).ids
        if self.add_bos if bos is None else bos:
            if self.bos is None:
                raise ModelError("the model has no token that begins a text")
            ids.insert(0, self.bos)
        return ids

    def decode(self, ids: Iterable[int], *, special: bool = True) -> str:
        """Return the text of ``ids``; invalid UTF-8 becomes U+FFFD, special tokens are left out if not ``special``."""
        return b"".join(self.token_bytes(token, special=special) for token in ids).decode(errors="replace")

    def token_bytes(self, token: int, *, special: bool = True) -> bytes:
        """Return the bytes that one token stands for, none for a special token if not ``special``."""
        if not 0 <= token < self.vocab:
            raise ModelError(f"a token must be from 0 to {self.vocab - 1}, got {token}")
        return b"" if token in self._special and not special else self._bytes[token]

    def stream(self, *, special: bool = True) -> "TextStream":
        """Return a decoder that takes tokens one at a time."""
        return TextStream(self, special=special)

    @property
    def has_chat_template(self) -> bool:
        """Whether the model has a chat template."""
        return bool(self._template)

    def chat(self, messages: Sequence[dict[str, str]], *, generate: bool = True) -> str:
        """Render messages with the model's own chat template.

        The template comes from the file, so it runs in Jinja's sandbox and its output is bounded.

        Parameters
        ----------
        messages
            Dictionaries with ``role`` and ``content``.
        generate
            Whether to end with the opening of the assistant's answer.
        """
        if not self._template:
            raise ModelError("the model has no chat template")
        if len(self._template) > MAX_TEMPLATE_CHARACTERS:
            raise ModelError(
                f"the chat template must have at most {MAX_TEMPLATE_CHARACTERS} characters, got {len(self._template)}"
            )
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise_exception
        values = {
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": generate,
            "bos_token": self._text(self.bos),
            "eos_token": self._text(self.eos),
        }
        pieces, length = [], 0
        try:
            for piece in environment.from_string(self._template).generate(values):
                pieces.append(piece)
                length += len(piece)
                if length > MAX_PROMPT_CHARACTERS:
                    raise ModelError(f"the chat template must write at most {MAX_PROMPT_CHARACTERS} characters")
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise ModelError(f"the chat template cannot be rendered: {' '.join(str(error).split())}") from None
        return "".join(pieces)

    def _text(self, token: int | None) -> str:
        return "" if token is None else self.decode([token])

    def _id(self, file: GGUFFile, key: str) -> int | None:
        if key not in file.metadata:
            return None
        token = file.get(key, int)
        if not 0 <= token < self.vocab:
            raise ModelError(f"{key} must be from 0 to {self.vocab - 1}, got {token}")
        return token


class TextStream:
    """Turns tokens into text one at a time; bytes of an unfinished character wait for the rest.

    Parameters
    ----------
    tokenizer
        Whose tokens.
    special
        Whether special tokens are written out.
    """

    def __init__(self, tokenizer: Tokenizer, *, special: bool = True):
        self._tokenizer = tokenizer
        self._special = special
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """Return the text that ``token`` completes, possibly none."""
        return self._decoder.decode(self._tokenizer.token_bytes(token, special=self._special))

    def finish(self) -> str:
        """Return what is left at the end: U+FFFD for an unfinished character, otherwise nothing."""
        return self._decoder.decode(b"", final=True)


def _strings(file: GGUFFile, key: str) -> list[str]:
    values = file.get(key, list)
    if not all(isinstance(value, str) for value in values):
        raise ModelError(f"the metadata key {key} must hold strings only")
    return values


def _token_bytes(token: str) -> bytes:
    try:
        return bytes(_CHARACTER_TO_BYTE[character] for character in token)
    except KeyError:
        return token.encode()


def _merge(rule: str, ids: dict[str, int]) -> tuple[str, str]:
    first, _, second = rule.partition(" ")
    if first not in ids or second not in ids or first + second not in ids:
        raise ModelError(f"the merge rule {rule!r:.60} names tokens that are not in the vocabulary")
    return first, second


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)
