"""Drafts of the next tokens from the text so far, for verification on the accelerator's columns.

Prompt look-up decoding (A. Saxena, 2023; N. Yang et al., "Inference with Reference", arXiv 2304.04487): where the last
few tokens occurred before, what followed them then is a guess of what follows now. No second model is needed; text that
repeats its prompt or itself (summaries, code edits, lists) is guessed well, other text hardly ever.
"""

from collections.abc import Sequence

LONGEST = 3
"""Tokens of the longest pattern looked up; it is tried first."""

SHORTEST = 2
"""Tokens of the shortest. A single token says little about what follows, and each guess that fails costs KV reads."""


class NgramDraft:
    """Guesses what follows from the latest earlier occurrence of the last tokens.

    Parameters
    ----------
    longest, shortest
        Lengths of the patterns, the longest tried first.

    Raises
    ------
    ValueError
        If the lengths are not 1 or more, or in the wrong order.
    """

    def __init__(self, *, longest: int = LONGEST, shortest: int = SHORTEST):
        if not 1 <= shortest <= longest:
            raise ValueError(f"patterns must be 1 token or longer, the shortest first, got {shortest} to {longest}")
        self._lengths = range(longest, shortest - 1, -1)
        self._tokens: list[int] = []
        self._following: dict[tuple[int, ...], int] = {}

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens to the text."""
        for token in tokens:
            # A pattern is entered when its follower is known, so that the text's own end is never found.
            for length in self._lengths:
                if length <= len(self._tokens):
                    self._following[tuple(self._tokens[-length:])] = len(self._tokens)
            self._tokens.append(token)

    def propose(self, count: int) -> list[int]:
        """Guess at most `count` tokens; fewer, or none, where the text ends or nothing was found.

        A guess that reaches the end of the text goes on with itself, so that a short cycle fills all columns.
        """
        for length in self._lengths:
            start = self._following.get(tuple(self._tokens[-length:])) if length <= len(self._tokens) else None
            if start is not None:
                guess = list(self._tokens[start : start + count])
                while len(guess) < count:
                    guess.append(guess[len(guess) - (len(self._tokens) - start)])
                return guess
        return []
