"""Where scales, keys and values lie in the KV cache."""

from dataclasses import dataclass

from rtlm.hw.common.kv_codes import check_kv_bits
from rtlm.hw.common.kv_window import HistoryPart, history_part
from rtlm.hw.common.layouts import STORED_BITS

SCALE_PAIR_BYTES = 4
"""Scales of one position: the key's and the value's BF16."""


@dataclass(frozen=True, kw_only=True)
class KvGeometry:
    """One KV head's memory in one layer of a slot: scale pairs, keys, values of all positions, each in whole words.

    Parameters
    ----------
    head_dim
        Values in a head.
    context_limit
        Positions in a slot.
    word_bytes
        Bytes of a word.
    kv_bits
        Bits of a key's or value's code, 8 or 4.
    """

    head_dim: int
    context_limit: int
    word_bytes: int
    kv_bits: int = STORED_BITS

    def __post_init__(self) -> None:
        """Validate."""
        check_kv_bits(self.kv_bits)

    @property
    def row_bytes(self) -> int:
        """Bytes of a key, and of a value."""
        return self.head_dim * self.kv_bits // 8

    @property
    def word_positions(self) -> int:
        """Positions of a word of scale pairs."""
        return self.word_bytes // SCALE_PAIR_BYTES

    def words_of(self, positions: int) -> tuple[int, int]:
        """Return the words that hold the scale pairs of so many positions, and those of their keys (or values)."""
        return -(-SCALE_PAIR_BYTES * positions // self.word_bytes), -(-self.row_bytes * positions // self.word_bytes)

    def part(self, position: int, history: int, window: int) -> HistoryPart:
        """Return what a column reads of its history, see `history_part`."""
        return history_part(position, history, window, word_positions=self.word_positions)

    @property
    def position_bytes(self) -> int:
        """Bytes of one position: its scales, key and value."""
        return SCALE_PAIR_BYTES + 2 * self.row_bytes

    @property
    def scale_words(self) -> int:
        """Words of the scale pairs."""
        return self.words_of(self.context_limit)[0]

    @property
    def row_words(self) -> int:
        """Words of the keys, and of the values."""
        return self.words_of(self.context_limit)[1]

    @property
    def first_key(self) -> int:
        """Word at which the keys begin."""
        return self.scale_words

    @property
    def first_value(self) -> int:
        """Word at which the values begin."""
        return self.scale_words + self.row_words

    @property
    def head_words(self) -> int:
        """Words of the whole."""
        return self.scale_words + 2 * self.row_words
