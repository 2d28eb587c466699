"""Payloads that pass between units."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum

COLUMN_BITS = 4
"""Bits of a column's number in commands, and of a number of columns."""

HEAD_BITS = 8
"""Bits of a head's number."""

ROWS_BITS = 20
"""Bits of a number of values, and of a token id."""

CODE_BITS = 9
"""Bits of a code that is multiplied with what memory holds: activations and queries. Keys and values have 8."""

STORED_BITS = 8
"""Bits of a quantised key's or value's code."""

CODE_FRACTION = CODE_BITS - STORED_BITS
"""Codes of `CODE_BITS` count in units of ``scale * 2**-CODE_FRACTION``."""

SCALE_BITS = 15
"""A BF16 scale without its sign, which is always positive."""

ADDRESS_BITS = 32
"""Bits of a beat address, as wide as any memory needs it."""

WORDS_BITS = 32
"""Bits of a number of words."""

REGISTER_BITS = 32
"""Bits of a register on AXI4-Lite."""


class SegmentKind(enum.Enum, shape=unsigned(1)):
    """Whose words a segment brings."""

    DATA = 0
    PROGRAM = 1


class LocalKind(enum.Enum, shape=unsigned(2)):
    """What a quantised head of this step is."""

    QUERY = 0
    KEY = 1
    VALUE = 2


def segment_layout(address_bits: int = ADDRESS_BITS) -> data.StructLayout:
    """Return the layout of a read request: beat address, number of words, whose they are."""
    return data.StructLayout({"address": address_bits, "words": WORDS_BITS, "kind": SegmentKind})


def local_write_layout(codes: int, code_bits: int = CODE_BITS, *, parts: int = 1) -> data.StructLayout:
    """Return the layout of a quantised head of this step: what it is, column, head (of its kind), codes, scale.

    Where it comes in several parts, each has its number, and the scale counts that comes with the last one.
    """
    return data.StructLayout(
        {
            "kind": LocalKind,
            "column": COLUMN_BITS,
            "head": HEAD_BITS,
            **({"part": range(parts)} if parts > 1 else {}),
            "data": data.ArrayLayout(signed(code_bits), codes),
            "s": SCALE_BITS,
        }
    )


def word_write_layout(address_bits: int, word_bytes: int) -> data.StructLayout:
    """Return the layout of a word, or a part of one, on its way to memory: beat address, bytes to write, the word.

    `last` marks the final word of a run.
    """
    return data.StructLayout({"address": address_bits, "strobe": word_bytes, "data": 8 * word_bytes, "last": 1})
