"""What a column reads of its history where it attends to a window of the last positions only."""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.utils import exact_log2

WINDOW_CYCLES = 3
"""From the cycle in which a column's position, history and window stand to that in which `WindowRegisters` do."""


@dataclass(frozen=True, kw_only=True)
class HistoryPart:
    """The end of a column's history, from the start of a word of scales.

    Parameters
    ----------
    words
        Words of scales before it, which are not read.
    masked
        Positions at its start that are read and do not count, fewer than a word has scales.
    positions
        Positions that are read, those that do not count included.
    """

    words: int
    masked: int
    positions: int

    @property
    def seen(self) -> int:
        """Positions that count."""
        return self.positions - self.masked


def first_seen(position: int, history: int, window: int) -> int:
    """Return the first position of its history that a column attends to, the history's length if it has none.

    Parameters
    ----------
    position, history, window
        As for `history_part`.
    """
    return min(max(position + 1 - window, 0), history) if window else 0


def history_part(position: int, history: int, window: int, *, word_positions: int) -> HistoryPart:
    """Return what a column reads of its history: that from `position` - `window` + 1 on, in whole words.

    No values of a step's registers give more than the history or less than nothing.

    Parameters
    ----------
    position
        The column's own, the last one of the window.
    history
        Positions before this step.
    window
        Positions to which a column attends with its own; 0 if to all.
    word_positions
        Positions of a word of scales, a power of two.
    """
    words, masked = divmod(first_seen(position, history, window), word_positions)
    return HistoryPart(words=words, masked=masked, positions=history - words * word_positions)


class WindowRegisters:
    """`history_part` in gates: registers that follow their inputs.

    Latency: `WINDOW_CYCLES`.

    Parameters
    ----------
    m
        Module to which the gates are added.
    position, history, window, word_positions
        As for `history_part`, unsigned; position and history are cut to the width of the window.

    Attributes
    ----------
    words, masked, positions : Signal
        As in `HistoryPart`.
    """

    def __init__(self, m: Module, *, position: Value, history: Value, window: Value, word_positions: int):
        bits, shift = len(window), exact_log2(word_positions)
        history = history[:bits]
        begin = Signal(signed(bits + 1), name="window_begin", reset_less=True)
        first = Signal(bits, name="window_first", reset_less=True)
        self.words = Signal(bits - shift, name="window_words", reset_less=True)
        self.masked = Signal(shift, name="window_masked", reset_less=True)
        self.positions = Signal(bits, name="window_positions", reset_less=True)
        m.d.sync += [
            begin.eq(Mux(window == 0, 0, position[:bits] - window + 1)),
            first.eq(Mux(begin < 0, 0, Mux(begin > history, history, begin))),
            self.words.eq(first[shift:]),
            self.masked.eq(first[:shift]),
            self.positions.eq(history - (first[shift:] << shift)),
        ]
