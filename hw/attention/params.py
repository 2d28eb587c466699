"""Sizes of the attention unit, and the layouts that it shares with its neighbours."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_power_of_two, check_range
from rtlm.hw.common.kv_cache import KvGeometry
from rtlm.hw.common.kv_codes import check_kv_bits
from rtlm.hw.common.layouts import COLUMN_BITS, HEAD_BITS, STORED_BITS, local_write_layout
from rtlm.hw.common.mac import CHAIN
from rtlm.hw.hls.technology import TECHNOLOGIES
from rtlm.hw.kernels.attention import FRACTION
from rtlm.hw.params import check_head_dim

POSITION_BITS = 20

WEIGHT_BITS = 16
LARGEST_WEIGHT = 1 << 15
"""A weight is 0 to 2^15 (docs/numerics.md)."""
LARGEST_VALUE = 1 << STORED_BITS - 1
"""Of a value's byte, which is at least -128."""

CASCADE = 16
"""Multipliers through which sums leave, one a cycle; meanwhile there are no products."""

MOST_POSITIONS = 1 << 16
"""The denominator has 40 bits and each probability is at most 2^24."""


def attention_command(*, windows: bool) -> data.StructLayout:
    """Return the layout of a command: attention over all heads.

    It has KV heads, query heads for each of them, active columns, log2(e)/sqrt(D) as F32 bits, and with `windows` the
    positions to which a column attends with its own, 0 for all.
    """
    return data.StructLayout(
        {
            "kv_heads": unsigned(HEAD_BITS),
            "group": unsigned(4),
            "columns_active": unsigned(COLUMN_BITS),
            "c0": unsigned(32),
            **({"window": unsigned(POSITION_BITS)} if windows else {}),
        }
    )


@dataclass(frozen=True, kw_only=True)
class AttentionParams:
    """Sizes of the attention unit.

    Parameters
    ----------
    head_dim
        Values in a head, see `check_head_dim`.
    group
        Largest number of query heads that share a KV head, 1 to 15.
    kv_heads
        Largest number of KV heads.
    columns
        Columns, 1 to 8.
    context_limit
        Largest history of a column; with the columns at most 65536 positions.
    word_bytes
        Bytes of a word, a power of two, at least 16.
    bytes_per_cycle
        KV bytes that the array takes in a cycle, a power of two from 4 to `word_bytes`.
    vector_lanes
        Results in a cycle, a power of two; at most the codes of a head that the array takes in a cycle.
    windows
        Whether a command may have columns attend to a window of the last positions only.
    kv_bits
        Bits of a key's or value's code, 8 or 4.
    clock_mhz, technology
        Target for which the pipelines are scheduled.
    """

    head_dim: int
    group: int
    kv_heads: int
    columns: int
    context_limit: int
    word_bytes: int
    bytes_per_cycle: int
    vector_lanes: int = 2
    windows: bool = False
    kv_bits: int = STORED_BITS
    clock_mhz: float = 300
    technology: str = "generic"

    def __post_init__(self) -> None:
        """Validate."""
        check_head_dim(self.head_dim)
        check_kv_bits(self.kv_bits)
        for name, low, high in (("group", 1, 15), ("kv_heads", 1, 255), ("columns", 1, 8)):
            check_range(name, getattr(self, name), low, high)
        check_range("context_limit", self.context_limit, 1)
        check_range("context_limit + columns", self.context_limit + self.columns, 2, MOST_POSITIONS)
        for name, low, high in (
            ("word_bytes", 16, 1 << 12),
            ("bytes_per_cycle", 4, self.word_bytes),
            ("vector_lanes", 1, self.part_codes),
        ):
            check_power_of_two(name, getattr(self, name), low, high)

    @property
    def pipeline(self) -> dict[str, Any]:
        """What the kernels' pipelines are scheduled for."""
        return {"clock_mhz": self.clock_mhz, "technology": self.technology}

    @property
    def codes_per_cycle(self) -> int:
        """Codes that the array takes in a cycle: its multipliers for each query head."""
        return self.bytes_per_cycle * 8 // self.kv_bits

    @property
    def positions(self) -> int:
        """Positions in a beat of the array."""
        return max(1, self.codes_per_cycle // self.head_dim)

    @property
    def beat_cycles(self) -> int:
        """Cycles of a beat: more than one where a position has more codes than the array takes."""
        return max(1, self.head_dim // self.codes_per_cycle)

    @property
    def part_codes(self) -> int:
        """Codes of a head that the array takes in a cycle: queries, keys and values of this step lie in such parts."""
        return min(self.head_dim, self.codes_per_cycle)

    @property
    def lanes(self) -> int:
        """Scores in a beat."""
        return self.group * self.positions

    @property
    def product_blocks(self) -> bool:
        """Whether the array is of multipliers with all registers inside (`rtlm.hw.common.mac`).

        The technology has such blocks, and queries rest: where a beat has several cycles, they turn in front of the
        multipliers.
        """
        return TECHNOLOGIES[self.technology].block is not None and self.beat_cycles == 1

    @property
    def sum_blocks(self) -> bool:
        """Whether these multipliers also hold the sums: each then belongs to a single one."""
        return self.product_blocks and self.positions == 1

    @property
    def cascade(self) -> int:
        """Multipliers in a row, each of which has its sum on wires to the next one.

        Where they hold sums these leave at the ends of rows, at least `vector_lanes` at once of each query head.
        """
        if self.sum_blocks:
            return min(CASCADE, self.head_dim // self.vector_lanes)
        return CHAIN if self.product_blocks else 1

    @property
    def cascades(self) -> int:
        """Such rows of each query head and position."""
        return self.head_dim // self.cascade

    @property
    def chain(self) -> int:
        """Neighbouring multipliers that add up their products of a dot product."""
        return min(CHAIN, self.cascade)

    @property
    def chunks(self) -> int:
        """Steps that a word feeds."""
        return self.word_bytes // self.bytes_per_cycle

    @property
    def chunk_bits(self) -> int:
        """Bits of a word that are taken in a cycle."""
        return 8 * self.bytes_per_cycle

    @property
    def word_bits(self) -> int:
        """Bits of a word."""
        return 8 * self.word_bytes

    @property
    def history_rows(self) -> int:
        """Most beats of a head's history; each local position is one more."""
        return -(-self.context_limit // self.positions)

    @property
    def scale_rows(self) -> int:
        """Rows of the memory with the scales of a head's history."""
        return self.kv.scale_words * self.chunks

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
    def acc_bits(self) -> int:
        """Signed width of an accumulator of weighted values."""
        return 1 + self._sum_bits(LARGEST_VALUE * LARGEST_WEIGHT)

    @property
    def probability_sum_bits(self) -> int:
        """Bits of a sum of probabilities."""
        return self._sum_bits(1 << FRACTION)

    def _sum_bits(self, largest: int) -> int:
        """Bits of a sum over all positions, of terms up to `largest`."""
        return ((self.context_limit + self.columns) * largest).bit_length()

    @property
    def heads(self) -> int:
        """Most query heads."""
        return self.group * self.kv_heads

    @property
    def position_shift(self) -> int:
        """log2 of the positions in a beat."""
        return exact_log2(self.positions)

    @property
    def command(self) -> data.StructLayout:
        """A command."""
        return attention_command(windows=self.windows)

    @property
    def local_write(self) -> data.StructLayout:
        """A quantised head of this step, or a part of one."""
        return local_write_layout(self.part_codes, parts=self.beat_cycles)
