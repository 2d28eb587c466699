"""Words in a memory that is striped over several ports: which bytes lie where."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rtlm.hw.memory import Striping


class StripedMemory:
    """Words in linear order, in a memory that is read and written by byte addresses.

    Parameters
    ----------
    striping
        How beats lie in memory.
    word_bytes
        Bytes of a word.
    read, write
        Reads bytes from an address and a size; writes bytes to an address. Both are given whole stripes only.
    """

    def __init__(
        self,
        striping: Striping,
        word_bytes: int,
        read: Callable[[int, int], NDArray[np.uint8]],
        write: Callable[[int, NDArray[np.uint8]], None],
    ) -> None:
        self.striping = striping
        self._word_bytes, self._read, self._write = word_bytes, read, write

    def write_words(self, word: int, content: NDArray[np.uint8]) -> None:
        """Write whole words (bytes in linear order) at a word address: the stripes they lie in are read and changed."""
        flat = content.reshape(-1)
        first = word * self._word_bytes
        start, linear = self._stripes(first, flat.size)
        linear[first - start : first - start + flat.size] = flat
        self._write(start, self.striping.scatter(linear))

    def read_words(self, word: int, count: int) -> NDArray[np.uint8]:
        """Read whole words as bytes in linear order."""
        first, size = word * self._word_bytes, count * self._word_bytes
        start, linear = self._stripes(first, size)
        return linear[first - start : first - start + size]

    def _stripes(self, first: int, size: int) -> tuple[int, NDArray[np.uint8]]:
        """Read the stripes around some linear bytes; return where they begin, and their bytes in linear order."""
        stripe = self.striping.stripe_bytes
        start, end = first // stripe * stripe, -(-(first + size) // stripe) * stripe
        return start, self.striping.gather(self._read(start, end - start))
