"""Parameters of the matrix unit, shared by its parts."""

from dataclasses import dataclass
from typing import Any

from amaranth.lib import data
from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_power_of_two, check_range
from rtlm.hw.common.layouts import CODE_BITS, SCALE_BITS
from rtlm.hw.common.mac import CHAIN
from rtlm.hw.formats import BLOCK, DEFAULT_FORMATS, BlockFormat, TileShape, code_bits
from rtlm.hw.hls.technology import TECHNOLOGIES
from rtlm.hw.kernels.matmul import MIN_ELEMENT_BITS, SUM_BITS
from rtlm.hw.kernels.scale import ACC_BITS

MIN_FIELD_BITS = 13
"""Signed width that holds one product of a nibble and an activation."""

MAX_FIELD_BITS = 17
"""Field width at which sixteen products of nibbles add up inside a field."""

ACTIVATION_LAYOUT = data.StructLayout({"a": BLOCK * CODE_BITS, "s": SCALE_BITS, "suma": SUM_BITS})
"""An activation block: 32 codes (the first lowest), BF16 scale without sign, sum (two's complement)."""


def accumulator_array(count: int) -> data.ArrayLayout:
    """Return the layout of `count` accumulators, each as 48 plain bits."""
    return data.ArrayLayout(ACC_BITS, count)


@dataclass(frozen=True, kw_only=True)
class MatmulParams:
    """Size of a matrix unit.

    Parameters
    ----------
    lanes
        Products of a weight nibble and an activation in a cycle and column; a power of two from 32 to 8192.
    columns
        Activation vectors that pass through the array together, 1 to 8.
    vector_lanes
        Results given in a cycle: a power of two, at least 2 and at most half the nibble rows.
    max_k_blocks
        Blocks of the longest activation vector.
    max_packet_rows
        Rows of the largest packet in which results of several columns leave; a power of two, at least 32.
    rows_per_multiplier
        Nibble rows that share a multiplier, 1 or 2.
    field_bits
        Distance of the two nibbles in a shared multiplier's operand, 13 to 17. The operand has 4 bits more and a sign:
        17 suits a 27 x 18 multiplier and adds up to sixteen products before the two sums are told apart; 13 suits an
        18 x 18 multiplier and tells each product's apart. Where elements have more than 4 bits, fields have so many
        bits more.
    formats
        Block formats (or their codes) of the matrices.
    clock_mhz, technology
        Target for which the pipelines are scheduled.
    """

    lanes: int
    columns: int = 1
    vector_lanes: int = 2
    max_k_blocks: int = 64
    max_packet_rows: int = 64
    rows_per_multiplier: int = 2
    field_bits: int = MAX_FIELD_BITS
    formats: tuple[BlockFormat, ...] = DEFAULT_FORMATS
    clock_mhz: float = 300
    technology: str = "generic"

    def __post_init__(self) -> None:
        """Validate; codes, as JSON has formats, become formats."""
        object.__setattr__(self, "formats", tuple(map(BlockFormat, self.formats)))
        if not self.formats:
            raise ValueError("formats must name at least one block format")
        check_power_of_two("lanes", self.lanes, 32, 8192)
        check_range("columns", self.columns, 1, 8)
        check_power_of_two(f"vector_lanes with {self.lanes} lanes", self.vector_lanes, 2, self.rows // 2)
        check_range("max_k_blocks", self.max_k_blocks, 1, 65535)
        check_power_of_two("max_packet_rows", self.max_packet_rows, 32, 32768)
        check_range("rows_per_multiplier", self.rows_per_multiplier, 1, 2)
        check_range("field_bits", self.field_bits, MIN_FIELD_BITS, MAX_FIELD_BITS)

    @property
    def pipeline(self) -> dict[str, Any]:
        """What the kernels' pipelines are scheduled for."""
        return {"clock_mhz": self.clock_mhz, "technology": self.technology}

    @property
    def element_bits(self) -> int:
        """Bits of the weights that the array multiplies: a nibble, 5 or 6 bits, or those of a table."""
        return max(format.description.element_bits for format in self.formats)

    @property
    def upper_bits(self) -> int:
        """Bits of weights above their nibbles that come in words of their own."""
        return max(format.upper_bits for format in self.formats)

    @property
    def paired(self) -> bool:
        """Whether there are formats of which a nibble has 2 bits of two tiles."""
        return any(format.is_paired for format in self.formats)

    @property
    def tables(self) -> tuple[BlockFormat, ...]:
        """Formats whose codes stand for others."""
        return tuple(format for format in self.formats if format.table is not None)

    @property
    def short_scales(self) -> bool:
        """Whether there are formats of which scale words have the upper bytes of scales alone."""
        return any(format.has_short_scales for format in self.formats)

    @property
    def general(self) -> bool:
        """Whether there are formats with upper bits, tables, pairs or factors."""
        return self.element_bits > MIN_ELEMENT_BITS or self.factored or self.paired

    @property
    def factored(self) -> bool:
        """Whether there are formats with factors."""
        return any(format.has_factors for format in self.formats)

    @property
    def scales_in_factors(self) -> bool:
        """Whether there are formats whose factor words have the scales of super-blocks, too."""
        return any(format.has_scales_in_factors for format in self.formats)

    @property
    def halved(self) -> bool:
        """Whether there are formats in which the halves of a block have factors of their own."""
        return self.weighed or any(format.has_halves for format in self.formats)

    @property
    def weighed(self) -> bool:
        """Whether there are formats whose factors multiply the sums of halves."""
        return any(format.weighs_halves for format in self.formats)

    @property
    def zeros(self) -> tuple[int, ...]:
        """Codes that stand for zero, in ascending order."""
        return tuple(sorted({format.zero for format in self.formats}))

    @property
    def format_bits(self) -> int:
        """Bits of a format in a command."""
        return code_bits(self.formats)

    @property
    def field_distance(self) -> int:
        """Distance of the two elements in a shared multiplier's operand."""
        return self.field_bits + self.element_bits - MIN_ELEMENT_BITS

    @property
    def rows(self) -> int:
        """Nibble rows of the array."""
        return self.tile.rows

    @property
    def word_cycles(self) -> int:
        """Cycles that the array spends on a word."""
        return self.rows * BLOCK // self.lanes

    @property
    def positions(self) -> int:
        """Positions along k that the array multiplies in a cycle."""
        return BLOCK // self.word_cycles

    @property
    def tile(self) -> TileShape:
        """Tile geometry."""
        return TileShape.of_lanes(self.lanes)

    @property
    def word_bits(self) -> int:
        """Bits of a word."""
        return self.tile.word_bytes * 8

    @property
    def block_bits(self) -> int:
        """Bits of a block's number."""
        return max(1, (self.max_k_blocks - 1).bit_length())

    @property
    def column_bits(self) -> int:
        """Bits of a column's number."""
        return max(1, (self.columns - 1).bit_length())

    @property
    def ring_entries(self) -> int:
        """Entries (of `rows` results) of the memory that holds results until they leave: two of the largest packets."""
        return max(8, 2 * self.max_packet_rows // self.rows)

    @property
    def packed_terms(self) -> int:
        """Products that are added before the fields of shared multipliers are told apart."""
        return min(self.positions, 1 << (self.field_bits - MIN_FIELD_BITS))

    @property
    def product_blocks(self) -> bool:
        """Whether the array is of multipliers with all registers inside (`rtlm.hw.common.mac`).

        The technology has such blocks, and each serves two rows. Halves of a block need the activations beside their
        products, as they have them where both are registers.
        """
        shared = self.rows_per_multiplier == 2 and self.packed_terms >= CHAIN
        return shared and not self.halved and TECHNOLOGIES[self.technology].block is not None

    @property
    def chain(self) -> int:
        """Neighbouring multipliers that add up their products."""
        return CHAIN if self.product_blocks else 1

    @property
    def tree_levels(self) -> tuple[int, int]:
        """Adder levels before and after the fields are told apart."""
        before = exact_log2(self.packed_terms) if self.rows_per_multiplier == 2 else 0
        return before, exact_log2(self.positions) - before
