"""The model's own tokenizer, built from the metadata of its GGUF file."""

import codecs
from collections.abc import Iterable, Sequence

from gguf import Keys, TokenType
from rtlm.host.errors import ModelError
from rtlm.host.models import chat_template
from rtlm.host.models.byte_bpe import ByteLevelBPE
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.sentencepiece import SentencePiece
from rtlm.host.models.special_tokens import SpecialTokens
from rtlm.host.models.vocabulary import Vocabulary

ALGORITHMS: dict[str, type[ByteLevelBPE] | type[SentencePiece]] = {"gpt2": ByteLevelBPE, "llama": SentencePiece}
"""How text becomes tokens, by what the file calls it (`tokenizer.ggml.model`)."""

MESSAGE_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>")
"""Tokens that end an answer by their name, since not every file says so."""


class Tokenizer:
    """Text to token ids and back, the same ids as llama.cpp's.

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
    add_bos, add_eos : bool
        Whether the model wants ``bos`` before every text, and ``eos`` behind it.
    stop : frozenset of int
        Ids after which generation ends.
    """

    def __init__(self, file: GGUFFile):
        kind = file.get(Keys.Tokenizer.MODEL, str)
        if kind not in ALGORITHMS:
            raise ModelError(
                f"the tokenizer must be byte-level BPE (gpt2) or SentencePiece BPE (llama), got {kind!r:.60}"
            )
        vocabulary = Vocabulary.read(file)
        self.vocab = len(vocabulary.tokens)
        self._algorithm = ALGORITHMS[kind](file, vocabulary)
        self._special_tokens = SpecialTokens(vocabulary)
        self._hidden = frozenset(vocabulary.of_kind(TokenType.CONTROL, TokenType.UNKNOWN))
        self._bytes = list(map(self._algorithm.token_bytes, vocabulary.tokens, vocabulary.kinds))
        self.bos = self._id(file, Keys.Tokenizer.BOS_ID)
        self.eos = self._id(file, Keys.Tokenizer.EOS_ID)
        self.add_bos = file.get(Keys.Tokenizer.ADD_BOS, bool, self._algorithm.add_bos) and self.bos is not None
        self.add_eos = file.get(Keys.Tokenizer.ADD_EOS, bool, False) and self.eos is not None
        ends = [self.eos, self._id(file, Keys.Tokenizer.EOT_ID), self._id(file, Keys.Tokenizer.EOM_ID)]
        ends += map(vocabulary.ids.get, MESSAGE_ENDS)
        self.stop = frozenset(end for end in ends if end is not None)
        self._template = file.get(Keys.Tokenizer.CHAT_TEMPLATE, str, "")

    def encode(self, text: str, *, special: bool = True, bos: bool | None = None, eos: bool | None = None) -> list[int]:
        """Return the token ids of ``text``.

        Parameters
        ----------
        text
            Any text.
        special
            Whether special tokens written out in the text (``<|im_start|>``) become those tokens. Leave it off for
            text that must not be able to do so.
        bos, eos
            Whether to begin with the token that begins a text, and to end with the one that ends it; by default as the
            model says.

        Raises
        ------
        ModelError
            If there is no such token, the vocabulary lacks a byte of the text, or a half of a surrogate pair is in it.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ModelError(f"a text must not have {text[error.start]!r}, half of a surrogate pair") from None
        ids = [self._edge(self.bos, "begins")] if (self.add_bos if bos is None else bos) else []
        first = True
        for piece in self._special_tokens.split(text, control=special):
            if isinstance(piece, int):
                ids.append(piece)
            else:
                ids += self._algorithm.encode(piece, first=first)
            first = isinstance(piece, int)
        if self.add_eos if eos is None else eos:
            ids.append(self._edge(self.eos, "ends"))
        return ids

    def decode(self, ids: Iterable[int], *, special: bool = True) -> str:
        """Return the text of ``ids``; invalid UTF-8 becomes U+FFFD, special tokens are left out if not ``special``."""
        return b"".join(self.token_bytes(token, special=special) for token in ids).decode(errors="replace")

    def token_bytes(self, token: int, *, special: bool = True) -> bytes:
        """Return the bytes that one token stands for, none for a special token if not ``special``."""
        if not 0 <= token < self.vocab:
            raise ModelError(f"a token must be from 0 to {self.vocab - 1}, got {token}")
        return b"" if token in self._hidden and not special else self._bytes[token]

    def stream(self, *, special: bool = True) -> "TextStream":
        """Return a decoder that takes tokens one at a time."""
        return TextStream(self, special=special)

    @property
    def has_chat_template(self) -> bool:
        """Whether the model has a chat template."""
        return bool(self._template)

    def chat(self, messages: Sequence[dict[str, str]], *, generate: bool = True) -> str:
        """Render messages with the model's own chat template, for `encode`.

        The token that begins a text is left out where `encode` adds it.

        Parameters
        ----------
        messages
            Dictionaries with ``role`` and ``content``.
        generate
            Whether to end with the opening of the assistant's answer.

        Raises
        ------
        ModelError
            If there is no template, or it cannot be rendered.
        """
        bos = self._text(self.bos)
        text = chat_template.render(
            self._template,
            messages,
            add_generation_prompt=generate,
            bos_token=bos,
            eos_token=self._text(self.eos),
        )
        return text.removeprefix(bos) if self.add_bos else text

    def _text(self, token: int | None) -> str:
        return "" if token is None else self.decode([token])

    @staticmethod
    def _edge(token: int | None, does: str) -> int:
        if token is None:
            raise ModelError(f"the model has no token that {does} a text")
        return token

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
