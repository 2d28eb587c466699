"""What a command says while it works, to be looked at."""

from rtlm.gen.common.progress import SilentProgress


class Notes(SilentProgress):
    """Remembers what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Take a sentence down."""
        self.notes.append(sentence)
