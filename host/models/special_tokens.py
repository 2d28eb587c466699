"""Special tokens that are written out in a text."""

from collections.abc import Iterator

from gguf import TokenType
from rtlm.host.models.vocabulary import Vocabulary


class SpecialTokens:
    """Finds special tokens in a text: the longest first, and each from left to right, as llama.cpp does.

    Parameters
    ----------
    vocabulary
        Its tokens of the types CONTROL, UNKNOWN and USER_DEFINED are special.
    """

    def __init__(self, vocabulary: Vocabulary):
        marks = vocabulary.of_kind(TokenType.CONTROL, TokenType.UNKNOWN, TokenType.USER_DEFINED)
        marks.sort(key=lambda index: len(vocabulary.tokens[index].encode()), reverse=True)
        self._all = [(vocabulary.tokens[index], index) for index in marks]
        self._user_defined = [
            (vocabulary.tokens[index], index) for index in marks if vocabulary.kinds[index] == TokenType.USER_DEFINED
        ]

    def split(self, text: str, *, control: bool) -> list[str | int]:
        """Return a text as pieces of ordinary text and the numbers of the special tokens between them.

        Parameters
        ----------
        text
            Any text.
        control
            Whether to find all special tokens. If not, those are left that are USER_DEFINED: names for runs of ordinary
            characters, which end no message.
        """
        pieces: list[str | int] = [text] if text else []
        for mark, index in self._all if control else self._user_defined:
            if mark in text:
                pieces = [part for piece in pieces for part in _cut(piece, mark, index)]
        return pieces


def _cut(piece: str | int, mark: str, index: int) -> Iterator[str | int]:
    if isinstance(piece, int):
        yield piece
        return
    for number, part in enumerate(piece.split(mark)):
        if number:
            yield index
        if part:
            yield part
