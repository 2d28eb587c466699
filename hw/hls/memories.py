"""Memories that a kernel reads: an argument ``Ram[T, depth]`` is filled by a stream of its own."""

from __future__ import annotations

from typing import Any

from rtlm.hw.hls.graph import Value
from rtlm.hw.hls.types import RamType, UInt
from rtlm.hw.hls.vectors import gathered, leaves


class Memory:
    """Argument ``Ram[T, depth]`` inside a kernel: ``memory[i]`` reads word ``i``.

    Parameters
    ----------
    name
        The argument's.
    type_
        What it holds.
    """

    def __init__(self, name: str, type_: RamType):
        self.name, self.type = name, type_
        self.fields = leaves(name, type_.item)

    def __getitem__(self, place: Any) -> Any:
        """Word that an unsigned value counts; the model refuses one that was not loaded."""
        if not isinstance(place, Value) or not isinstance(place.type, UInt):
            raise TypeError(
                f"Memory {self.name} is read at an unsigned value, such as {self.name}[index(UInt(8))], not {place!r}."
            )
        if place.phase:
            raise TypeError(
                f"Memory {self.name} is read before a packet is reduced: its address cannot depend on a reduction."
            )
        words = (Value("read", (place,), type_, memory=self, field=n) for n, (_, type_) in enumerate(self.fields))
        return gathered(self.type.item, words)

    def __bool__(self) -> bool:
        raise TypeError(f"Memory {self.name} has no truth in Python: read it with {self.name}[i].")
