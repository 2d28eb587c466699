"""The accelerator's parameters: one object from which every unit takes its sizes."""

from dataclasses import dataclass

from amaranth.utils import exact_log2
from rtlm.hw.common.checks import check_power_of_two
from rtlm.hw.common.clock_gate import ClockGating
from rtlm.hw.common.kv_cache import KvGeometry
from rtlm.hw.common.kv_codes import check_kv_bits
from rtlm.hw.common.layouts import STORED_BITS
from rtlm.hw.formats import BLOCK, DEFAULT_FORMATS, BlockFormat, TileShape
from rtlm.hw.memory.axi import longest_burst

MIN_HEAD_DIM, MAX_HEAD_DIM = 8, 256
"""Fewest and most values in a head, a power of two: the benches of attention and vector engine run at both ends."""
MAX_VECTOR_INTERVAL = 64
"""Most cycles between beats of the vector engine, a power of two."""


def check_head_dim(head_dim: int) -> None:
    """Raise a `ValueError` if heads cannot have so many values in every unit."""
    check_power_of_two("head_dim", head_dim, MIN_HEAD_DIM, MAX_HEAD_DIM)


@dataclass(frozen=True, kw_only=True)
class AcceleratorParams:
    """Everything that determines the gates.

    Parameters
    ----------
    name
        Name of the configuration.
    clock_mhz
        Clock for which pipelines are scheduled.
    technology
        Operator delays that the scheduler uses: generic, xilinx-us+, ecp5, asic.
    lanes
        4-bit multiply-accumulates a cycle and column, a power of two, at least 32.
    columns
        Activation vectors for each weight pass, 1 to 8.
    rows_per_multiplier
        Nibble rows that share a multiplier of the array, 1 or 2.
    formats
        Block formats of the matrices.
    vector_lanes
        Values a cycle behind the matrix unit, even, at most half the array's nibble rows.
    vector_interval
        Cycles between so many values in the vector engine, a power of two.
    biases, head_norms, post_norms, gelu
        Whether the vector engine adds biases to queries, keys and values, normalises heads of queries and keys and what
        a layer adds, and has GELU beside SiLU.
    head_dim, group, heads, kv_heads
        Values in a head (exact, see `check_head_dim`), largest number of query heads for each KV head, largest numbers
        of heads.
    attention_bytes
        KV bytes that attention takes a cycle, at most a word.
    windows
        Whether layers may attend to a window of the last positions only.
    kv_bits
        Bits of a code in the KV cache, 8 or 4.
    dim, hidden_dim, vocabulary, context_limit
        Largest model sizes; positions in a KV slot.
    ports, port_bits, address_bits
        AXI4 read and write ports.
    outstanding
        Read bursts in flight for each port.
    prefetch_words
        Words of the prefetch buffer.
    clock_gating
        What gates the clocks of units that rest most of the time.
    config_hash
        64-bit hash of the configuration, readable in a register.
    """

    name: str
    clock_mhz: float = 300.0
    technology: str = "generic"
    lanes: int = 128
    columns: int = 1
    rows_per_multiplier: int = 2
    formats: tuple[BlockFormat, ...] = DEFAULT_FORMATS
    vector_lanes: int = 2
    vector_interval: int = 1
    biases: bool = False
    head_norms: bool = False
    post_norms: bool = False
    gelu: bool = False
    head_dim: int = 64
    group: int = 3
    heads: int = 9
    kv_heads: int = 3
    attention_bytes: int = 64
    windows: bool = False
    kv_bits: int = STORED_BITS
    dim: int = 576
    hidden_dim: int = 1536
    vocabulary: int = 49152
    context_limit: int = 2048
    ports: int = 4
    port_bits: int = 128
    address_bits: int = 40
    outstanding: int = 8
    prefetch_words: int = 1024
    clock_gating: ClockGating = ClockGating.OFF
    config_hash: int = 0

    def __post_init__(self) -> None:
        """Validate what the derived sizes rely on; the full check with sentences for users is the configuration's."""
        if self.word_bytes % self.beat_bytes:
            raise ValueError(
                f"a word of {self.word_bytes} bytes ({self.lanes} lanes) is no whole number of beats of "
                f"{self.beat_bytes} bytes ({self.ports} ports of {self.port_bits} bits)"
            )
        check_head_dim(self.head_dim)
        check_kv_bits(self.kv_bits)
        if self.vector_lanes % 2 or not 2 <= self.vector_lanes <= self.rows // 2:
            raise ValueError(f"vector_lanes must be an even number from 2 to {self.rows // 2}, got {self.vector_lanes}")

    @property
    def rows(self) -> int:
        """Nibble rows of the array."""
        return self.tile_shape.rows

    @property
    def tile_shape(self) -> TileShape:
        """Tile geometry of the array."""
        return TileShape.of_lanes(self.lanes)

    @property
    def word_bytes(self) -> int:
        """Bytes of a word."""
        return self.tile_shape.word_bytes

    @property
    def port_bytes(self) -> int:
        """Bytes of a port."""
        return self.port_bits // 8

    @property
    def beat_bytes(self) -> int:
        """Bytes that all ports deliver in a cycle."""
        return self.ports * self.port_bytes

    @property
    def beats_per_word(self) -> int:
        """Beats in a word."""
        return self.word_bytes // self.beat_bytes

    @property
    def burst_beats(self) -> int:
        """Beats of the longest burst."""
        return longest_burst(self.port_bytes)

    @property
    def max_k_blocks(self) -> int:
        """Blocks of the longest activation vector."""
        return max(self.dim, self.hidden_dim, self.heads * self.head_dim) // BLOCK

    @property
    def max_packet_rows(self) -> int:
        """Rows of the largest result packet: a head, or the gate and up rows of a block."""
        return max(2 * BLOCK, self.head_dim)

    @property
    def kv(self) -> KvGeometry:
        """A KV head's memory in one layer of a slot."""
        return KvGeometry(
            head_dim=self.head_dim,
            context_limit=self.context_limit,
            word_bytes=self.word_bytes,
            kv_bits=self.kv_bits,
        )

    @property
    def head_packet_shift(self) -> int:
        """log2 of the rows in a result packet that holds one head."""
        return exact_log2(self.head_dim)
