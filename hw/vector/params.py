"""Parameters and payload layouts of the vector engine, shared by its parts."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Value, unsigned
from amaranth.lib import data, enum
from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_multiple, check_power_of_two, check_range
from rtlm.hw.common.clock_gate import ClockGating
from rtlm.hw.common.kv_cache import KvGeometry
from rtlm.hw.common.kv_codes import check_kv_bits
from rtlm.hw.common.layouts import (
    ADDRESS_BITS,
    COLUMN_BITS,
    ROWS_BITS,
    STORED_BITS,
    local_write_layout,
    word_write_layout,
)
from rtlm.hw.formats import BLOCK
from rtlm.hw.hls import Directives, Kernel
from rtlm.hw.hls.sharing import shared_within
from rtlm.hw.kernels import gated, quantise, quantise_head, swiglu
from rtlm.hw.params import MAX_VECTOR_INTERVAL, check_head_dim
from rtlm.hw.vector.epilogue import Epilogue

PACKET_BITS = ROWS_BITS - exact_log2(BLOCK)
"""Bits of a packet's number within its column."""

FLOAT_BYTES = 4
PAIR_ROWS = 2 * BLOCK
"""Rows (alternating gate and up) that SwiGLU turns into one block."""


def vector_command(*, biases: bool, head_norms: bool, gelu: bool) -> data.StructLayout:
    """Return the layout of a command, see `VectorEngine`, of an engine that has these or not."""
    return data.StructLayout(
        {
            "epilogue": Epilogue,
            "rows": ROWS_BITS,
            "column": COLUMN_BITS,
            "imm0": 32,
            "imm1": 32,
            "store": 1,
            "address": ADDRESS_BITS,
            **({"biases": 1} if biases else {}),
            **({"head_norms": 1} if head_norms else {}),
            **({"gelu": 1} if gelu else {}),
        }
    )


class Destination(enum.Enum, shape=unsigned(3)):
    """Where a packet that leaves the quantiser goes. The low bits of the last three are those of `LocalKind`."""

    BANK_0 = 0
    BANK_1 = 1
    QUERY = 4
    KEY = 5
    VALUE = 6


def is_stored(destination: Value) -> Value:
    """Whether a packet goes to the KV cache, too: its codes have the bits that memory holds."""
    return (destination == Destination.KEY) | (destination == Destination.VALUE)


@dataclass(frozen=True, kw_only=True)
class VectorParams:
    """Size of a vector engine.

    Parameters
    ----------
    lanes
        Values a cycle: a power of two, at least 2, at most 32, `head_dim` and the floats of a word.
    columns
        Activation vectors, 1 to 8.
    max_dim, max_hidden
        Longest residual vector and longest feed-forward vector; multiples of 32.
    head_dim
        Values in a head, see `check_head_dim`.
    heads, kv_heads
        Largest numbers of query heads and of key-value heads.
    context_limit
        Positions in a slot of the KV cache.
    kv_bits
        Bits of a code in the KV cache, 8 or 4.
    head_parts
        Parts in which heads go to attention, a power of two, each of at least a beat.
    word_bytes
        Bytes of a word, a power of two, at least 64.
    beats_per_word
        Beats that a word takes in memory, a power of two.
    word_interval
        Cycles between words, a power of two up to `beats_per_word`: tables and memory are written in so many parts.
    address_bits
        Bits of a beat address, at most 32.
    biases, head_norms, post_norms, gelu
        Whether it can add biases to queries, keys and values, normalise the heads of queries and keys, normalise what a
        layer adds to the residual stream, and has GELU beside SiLU.
    interval
        Cycles between beats, a power of two: the kernels share operators as far as that allows.
    clock_mhz, technology
        Clock and operator delays for which the pipelines are scheduled.
    clock_gating
        What gates the clocks of pipelines and writers.
    """

    lanes: int
    columns: int = 1
    max_dim: int = 576
    max_hidden: int = 1536
    head_dim: int = 64
    heads: int = 9
    kv_heads: int = 3
    context_limit: int = 2048
    kv_bits: int = STORED_BITS
    head_parts: int = 1
    word_bytes: int = 64
    beats_per_word: int = 1
    word_interval: int = 1
    address_bits: int = 32
    biases: bool = False
    head_norms: bool = False
    post_norms: bool = False
    gelu: bool = False
    interval: int = 1
    clock_mhz: float = 300.0
    technology: str = "generic"
    clock_gating: ClockGating = ClockGating.OFF

    def __post_init__(self) -> None:
        """Validate."""
        check_range("columns", self.columns, 1, 8)
        check_head_dim(self.head_dim)
        check_kv_bits(self.kv_bits)
        check_power_of_two("word_bytes", self.word_bytes, 64)
        check_power_of_two("lanes", self.lanes, 2, min(BLOCK, self.head_dim, self.word_bytes // FLOAT_BYTES))
        check_power_of_two("head_parts", self.head_parts, 1, self.head_dim // self.lanes)
        for name in ("max_dim", "max_hidden"):
            check_multiple(name, getattr(self, name), BLOCK)
        if self.heads * self.head_dim % BLOCK:
            raise ValueError(f"{self.heads} heads of {self.head_dim} values are no whole number of blocks of {BLOCK}")
        for name in ("heads", "kv_heads", "context_limit"):
            check_range(name, getattr(self, name), 1)
        check_power_of_two("beats_per_word", self.beats_per_word)
        check_power_of_two("word_interval", self.word_interval, 1, self.beats_per_word)
        check_range("address_bits", self.address_bits, 1, 32)
        check_power_of_two("interval", self.interval, 1, MAX_VECTOR_INTERVAL)

    @property
    def command(self) -> data.StructLayout:
        """A command."""
        return vector_command(biases=self.biases, head_norms=self.head_norms, gelu=self.gelu)

    @property
    def head_inputs(self) -> bool:
        """Whether queries, keys and values pass the residual's kernel, as the sum with a bias or in front of a norm."""
        return self.biases or self.head_norms

    @property
    def quantiser(self) -> Kernel:
        """The kernel behind all others."""
        return quantise_head if self.head_norms else quantise

    @property
    def activation(self) -> Kernel:
        """The kernel of gates and ups."""
        return gated if self.gelu else swiglu

    @property
    def gated(self) -> bool:
        """Whether there are gated clocks."""
        return self.clock_gating != ClockGating.OFF

    @property
    def pipeline(self) -> dict[str, Any]:
        """What the kernels' pipelines are scheduled for."""
        return {"clock_mhz": self.clock_mhz, "technology": self.technology}

    def directives(self, kernel: Kernel, *, lanes: int | None = None, longest: int = MAX_VECTOR_INTERVAL) -> Directives:
        """Return what a kernel that shares operators is built for.

        Parameters
        ----------
        kernel
            The kernel.
        lanes
            Its lanes; those of the engine if it is None.
        longest
            Longest interval that it may have, a power of two.
        """
        alone = Directives(lanes=self.lanes if lanes is None else lanes, **self.pipeline)
        return shared_within(kernel, alone, min(self.interval, longest))

    @property
    def slice_entries(self) -> int:
        """Entries of the register slices between parts of the engine: one is enough where beats are apart."""
        return 1 if self.interval > 1 else 2

    @property
    def slice_interval(self) -> int:
        """Cycles between beats in such a slice."""
        return 3 - self.slice_entries

    @property
    def lane_shift(self) -> int:
        """log2 of the lanes."""
        return exact_log2(self.lanes)

    @property
    def block_beats(self) -> int:
        """Beats of a block of 32 values."""
        return BLOCK // self.lanes

    @property
    def head_beats(self) -> int:
        """Beats of a head."""
        return self.head_dim // self.lanes

    @property
    def head_beat_shift(self) -> int:
        """log2 of the beats of a head."""
        return exact_log2(self.head_beats)

    @property
    def pair_beats(self) -> int:
        """Beats of the gates and ups that become one block."""
        return PAIR_ROWS // self.lanes

    @property
    def max_blocks(self) -> int:
        """Blocks of the longest vector that goes into an activation bank."""
        return max(self.max_dim, self.max_hidden, self.heads * self.head_dim) // BLOCK

    @property
    def column_bits(self) -> int:
        """Bits of a column's number inside."""
        return max(1, (self.columns - 1).bit_length())

    @property
    def index_bits(self) -> int:
        """Bits of a block's or head's number."""
        return max(1, (max(self.max_blocks, self.heads, self.kv_heads) - 1).bit_length())

    @property
    def position_bits(self) -> int:
        """Bits of a position in the KV cache."""
        return max(1, (self.context_limit - 1).bit_length())

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a table, which is written in a cycle; at least those of a beat."""
        return max(FLOAT_BYTES * self.lanes, self.word_bytes // self.word_interval)

    @property
    def word_rows(self) -> int:
        """Rows of a table in a word."""
        return self.word_bytes // self.row_bytes

    @property
    def row_beats(self) -> int:
        """Beats (of `lanes` floats) in a row of a table."""
        return self.row_bytes // (FLOAT_BYTES * self.lanes)

    @property
    def row_beat_shift(self) -> int:
        """log2 of the beats in a row of a table."""
        return exact_log2(self.row_beats)

    def _table_rows(self, floats: int) -> int:
        """Return the rows that so many floats take, in whole words."""
        return -(-FLOAT_BYTES * floats // self.word_bytes) * self.word_rows

    @property
    def norm_rows(self) -> int:
        """Rows of the longest normalisation weight."""
        return self._table_rows(self.max_dim)

    @property
    def rope_rows(self) -> int:
        """Rows of a column's rotation table."""
        return self._table_rows(self.head_dim)

    @property
    def bias_heads(self) -> int:
        """Most heads that have biases: those of queries, keys and values."""
        return self.heads + 2 * self.kv_heads

    @property
    def bias_head_bits(self) -> int:
        """Bits of the number of a head among these."""
        return (self.bias_heads - 1).bit_length()

    @property
    def bias_rows(self) -> int:
        """Rows of the memory that holds the biases of queries, keys and values."""
        return self._table_rows(self.bias_heads * self.head_dim)

    @property
    def head_norm_rows(self) -> int:
        """Rows of the memory that holds the norms of a query and of a key."""
        return self._table_rows(2 * self.head_dim)

    @property
    def table_rows(self) -> int:
        """Rows of the memory that holds the normalisation weight and the rotation tables."""
        return self.norm_rows + self.columns * self.rope_rows

    @property
    def table_bits(self) -> int:
        """Bits of an address in that memory."""
        return max(1, (self.table_rows - 1).bit_length())

    @property
    def load_bits(self) -> int:
        """Bits of an address in any of the tables that are loaded."""
        rows = [self.table_rows, self.bias_rows * self.biases, self.head_norm_rows * self.head_norms]
        return max(1, (max(rows) - 1).bit_length())

    @property
    def table_write(self) -> data.StructLayout:
        """A row on its way into a table."""
        return data.StructLayout({"address": self.load_bits, "data": 8 * self.row_bytes})

    @property
    def x_stride(self) -> int:
        """Entries (of `lanes` values) of a column's residual vector."""
        return self.max_dim // self.lanes

    @property
    def kept_beat(self) -> data.StructLayout:
        """A beat of what a layer adds, until its norm is known, and its column."""
        return data.StructLayout({"y": self.floats, **self._own_column})

    @property
    def kept_scalar(self) -> data.StructLayout:
        """The scalar of that norm, F32 bits, and its column."""
        return data.StructLayout({"r": 32, **self._own_column})

    @property
    def _own_column(self) -> dict[str, int]:
        """A field for a column's number, where there are several."""
        return {"column": self.column_bits} if self.columns > 1 else {}

    @property
    def x_bits(self) -> int:
        """Bits of an address in the memory of residual vectors."""
        return max(1, (self.columns * self.x_stride - 1).bit_length())

    @property
    def kv(self) -> KvGeometry:
        """A KV head's memory."""
        return KvGeometry(
            head_dim=self.head_dim,
            context_limit=self.context_limit,
            word_bytes=self.word_bytes,
            kv_bits=self.kv_bits,
        )

    @property
    def floats(self) -> data.ArrayLayout:
        """`lanes` values as F32 bits."""
        return data.ArrayLayout(32, self.lanes)

    @property
    def result(self) -> data.StructLayout:
        """Payload of matrix and attention results."""
        return data.StructLayout({"y": self.floats})

    @property
    def beat_tag(self) -> data.StructLayout:
        """What accompanies each beat from its arrival to the quantiser; see `BeatTagger`."""
        return data.StructLayout(
            {
                "x_address": self.x_bits,
                "index": PACKET_BITS,
                "column": self.column_bits,
                "last_column": 1,
                "packet_last": 1,
                "column_last": 1,
                "final": 1,
            }
        )

    @property
    def operand_tag(self) -> data.StructLayout:
        """A beat's tag, and where its table values lie: the row and the beat in it; beats of biases and head norms."""
        return data.StructLayout(
            {
                "tag": self.beat_tag,
                "table_row": self.table_bits,
                "table_beat": max(1, self.row_beat_shift),
                **({"bias_beat": self.bias_head_bits + self.head_beat_shift} if self.biases else {}),
                **({"norm_beat": 1 + self.head_beat_shift} if self.head_norms else {}),
            }
        )

    @property
    def operands(self) -> data.StructLayout:
        """A beat with its operands: incoming value, old residual value or bias, table values, head norm."""
        return data.StructLayout(
            {
                "y": self.floats,
                "x": self.floats,
                "w": self.floats,
                **({"head_norm": self.floats} if self.head_norms else {}),
                "tag": self.beat_tag,
            }
        )

    @property
    def packet_tag(self) -> data.StructLayout:
        """What accompanies each packet through the quantiser."""
        return data.StructLayout(
            {"destination": Destination, "index": self.index_bits, "column": self.column_bits, "last_column": 1}
        )

    @property
    def local_write(self) -> data.StructLayout:
        """A quantised head, or a part of one, on its way to the attention unit."""
        return local_write_layout(self.head_dim // self.head_parts, parts=self.head_parts)

    @property
    def row_write(self) -> data.StructLayout:
        """A key or value on its way to the KV cache."""
        return local_write_layout(self.head_dim, self.kv_bits)

    @property
    def write_bytes(self) -> int:
        """Bytes that go to memory at once: a word, or where words are apart as much as a row of a table has."""
        return self.row_bytes

    @property
    def write_beats(self) -> int:
        """Beats that these take in memory."""
        return self.beats_per_word * self.write_bytes // self.word_bytes

    @property
    def word_write(self) -> data.StructLayout:
        """What goes to memory at once, with a strobe for each byte."""
        return word_write_layout(self.address_bits, self.write_bytes)
