"""Which tokens lie in the KV cache, so that a prompt that begins with them is fed from where it differs."""

import itertools
from collections.abc import Sequence

from rtlm.host.runtime.generation import Step


class CachedTokens:
    """The tokens whose keys and values lie in slot 0 of the KV cache, by position."""

    def __init__(self) -> None:
        self._tokens: list[int] = []

    def keep(self, prompt: Sequence[int]) -> int:
        """Forget what a prompt does not begin with; return how many of its tokens need not be fed.

        The last token is fed in any case: its logits are wanted.
        """
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(self._tokens, prompt, strict=False))
        kept = min(sum(1 for _ in same), len(prompt) - 1)
        del self._tokens[kept:]
        return kept

    def add(self, step: Step) -> None:
        """Note what a step has left; wrong guesses, too, are tokens that follow those before them."""
        self._tokens[step.inputs[0].position :] = [column.token for column in step.inputs]
