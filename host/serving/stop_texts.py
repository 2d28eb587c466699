"""Ending an answer at a text, which is not shown, nor is its beginning while it may still become one."""

from collections.abc import Sequence


class StopTexts:
    """Passes on an answer up to the first of some texts.

    Parameters
    ----------
    texts
        Where the answer ends; none of them is empty.

    Attributes
    ----------
    found : bool
        Whether one was there.
    """

    def __init__(self, texts: Sequence[str]):
        self.found = False
        self._texts = tuple(texts)
        self._longest = max(map(len, texts), default=1)
        self._held = ""

    def push(self, piece: str) -> str:
        """Return what can be shown once a piece has come."""
        if self.found:
            return ""
        text = self._held + piece
        ends = [at for at in map(text.find, self._texts) if at >= 0]
        if ends:
            self.found, self._held = True, ""
            return text[: min(ends)]
        held = next((size for size in range(min(self._longest - 1, len(text)), 0, -1) if self._begins(text[-size:])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """Return what was held back when the answer ends otherwise."""
        held, self._held = self._held, ""
        return held

    def _begins(self, text: str) -> bool:
        return any(stop.startswith(text) for stop in self._texts)
