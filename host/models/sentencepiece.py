"""SentencePiece BPE (`tokenizer.ggml.model` = ``llama``): merges by the scores of tokens, bytes as a last resort.

Kudo and Richardson, SentencePiece (EMNLP 2018); the order of merges is that of llama.cpp (``llm_tokenizer_spm``).
"""

import heapq

import numpy as np
from gguf import Keys, TokenType
from rtlm.host.errors import ModelError
from rtlm.host.models.gguf_file import GGUFFile
from rtlm.host.models.vocabulary import Vocabulary

SPACE = "\u2581"
"""Stands for a space in the vocabulary."""


class SentencePiece:
    """Tokens of ordinary text, and the bytes of tokens.

    Of two neighbouring pieces that make a token, those whose token has the highest score are merged first, and among
    equals the leftmost. A text of n characters takes O(n log n) steps. Tokens of the type CONTROL are never the result
    of a merge, so text cannot pass for them.

    Parameters
    ----------
    file
        The model file: the scores, and whether a space goes before a text.
    vocabulary
        Its tokens.

    Attributes
    ----------
    add_bos : bool
        True: a text begins with the token for that, where the file does not say.
    """

    add_bos = True

    def __init__(self, file: GGUFFile, vocabulary: Vocabulary):
        self._scores = _scores(file, len(vocabulary.tokens))
        self._ids = dict(vocabulary.ids)
        for index in vocabulary.of_kind(TokenType.CONTROL):
            del self._ids[vocabulary.tokens[index]]
        self._longest = max(map(len, self._ids), default=0)
        self._bytes = [vocabulary.ids.get(f"<0x{byte:02X}>") for byte in range(256)]
        self._prefix = SPACE if file.get(Keys.Tokenizer.ADD_PREFIX, bool, True) else ""

    def encode(self, text: str, *, first: bool) -> list[int]:
        """Return the tokens of a text without special tokens.

        Parameters
        ----------
        text
            The text.
        first
            Whether it begins the whole text or follows a special token.
        """
        text = (self._prefix if first else "") + text.replace(" ", SPACE)
        found: list[int] = []
        for piece in self._merged(text):
            token = self._ids.get(piece)
            found += self._byte_tokens(piece) if token is None else [token]
        return found

    @staticmethod
    def token_bytes(token: str, kind: int) -> bytes:
        """Return the bytes that a token stands for, by its text and its type.

        Raises
        ------
        ModelError
            If a token of the type BYTE is not written as one.
        """
        if kind == TokenType.NORMAL:
            return token.replace(SPACE, " ").encode()
        if kind == TokenType.BYTE:
            try:
                return bytes([int(token[3:5], 16)])
            except ValueError:
                raise ModelError(f"a token for a byte must be written as <0x0A>, got {token!r:.60}") from None
        return b"" if kind == TokenType.UNUSED else token.encode()

    def _merged(self, text: str) -> list[str]:
        """Return a text in pieces of which no two neighbours make a token; a piece is known by where it starts."""
        ids, scores, size = self._ids, self._scores, len(text)
        end = list(range(1, size + 1))  # 0 where a piece has been merged into its left neighbour
        before = list(range(-1, size - 1))
        queue: list[tuple[float, int, int, int]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right < size and end[right] - left <= self._longest:
                token = ids.get(text[left : end[right]])
                if token is not None:
                    heapq.heappush(queue, (-scores[token], left, right, end[right]))

        for right in range(1, size):
            offer(right - 1, right)
        while queue:
            _, left, right, stop = heapq.heappop(queue)
            # Either piece may have been merged with another since, or grown.
            if end[left] != right or end[right] != stop:
                continue
            end[left], end[right] = stop, 0
            if stop < size:
                before[stop] = left
            offer(before[left], left)
            offer(left, stop)
        pieces, start = [], 0
        while start < size:
            pieces.append(text[start : end[start]])
            start = end[start]
        return pieces

    def _byte_tokens(self, piece: str) -> list[int]:
        tokens = []
        for byte in piece.encode():
            token = self._bytes[byte]
            if token is None:
                raise ModelError(f"the vocabulary has neither the character {piece!r} nor the byte 0x{byte:02X}")
            tokens.append(token)
        return tokens


def _scores(file: GGUFFile, count: int) -> list[float]:
    key = Keys.Tokenizer.SCORES
    scores = file.get(key, np.ndarray)
    if len(scores) != count:
        raise ModelError(f"{key} must hold a score for each of the {count} tokens, got {len(scores)}")
    if np.isnan(scores).any():
        raise ModelError(f"{key} must hold numbers, got NaN for token {np.isnan(scores).argmax()}")
    return scores.tolist()
