"""Sizes of the sequencer."""

from dataclasses import dataclass

from amaranth.lib import data
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.kv_codes import check_kv_bits
from rtlm.hw.common.layouts import STORED_BITS
from rtlm.hw.control.isa import INSTRUCTION_BYTES
from rtlm.hw.control.legality import InstructionLimits
from rtlm.hw.formats import DEFAULT_FORMATS, BlockFormat
from rtlm.hw.params import check_head_dim
from rtlm.hw.vector.params import vector_command


@dataclass(frozen=True, kw_only=True)
class SequencerParams:
    """Sizes of the sequencer.

    Parameters
    ----------
    columns
        Activation columns, 1 to 8.
    word_bytes
        Bytes of a word, at least one instruction.
    beats_per_word
        Beats that a word takes in memory.
    head_dim
        Values in a head, see `check_head_dim`.
    kv_bits
        Bits of a code in the KV cache, 8 or 4.
    scale_words, row_words
        Words of a KV head's scale region, and of its key and of its value region.
    vector_lanes, max_k_blocks, max_packet_rows, kv_heads, group, formats, biases, head_norms, post_norms, gelu
        What instructions must keep to, see `InstructionLimits`.
    windows
        Whether attention may be to a window of positions, see `AttentionParams`.
    word_entries
        Entries of the router's register of words, 1 or 2.
    """

    columns: int
    word_bytes: int
    beats_per_word: int
    head_dim: int
    scale_words: int
    row_words: int
    vector_lanes: int
    max_k_blocks: int
    max_packet_rows: int
    kv_heads: int
    group: int
    formats: tuple[BlockFormat, ...] = DEFAULT_FORMATS
    biases: bool = False
    head_norms: bool = False
    post_norms: bool = False
    gelu: bool = False
    windows: bool = False
    kv_bits: int = STORED_BITS
    word_entries: int = 2

    def __post_init__(self) -> None:
        """Validate; codes, as JSON has formats, become formats."""
        object.__setattr__(self, "formats", tuple(map(BlockFormat, self.formats)))
        if self.word_bytes < INSTRUCTION_BYTES:
            raise ValueError(f"a word of {self.word_bytes} bytes holds no instruction of {INSTRUCTION_BYTES} bytes")
        check_head_dim(self.head_dim)
        check_kv_bits(self.kv_bits)

    @property
    def row_bytes(self) -> int:
        """Bytes of a key, and of a value."""
        return self.head_dim * self.kv_bits // 8

    @property
    def limits(self) -> InstructionLimits:
        """What instructions must keep to."""
        return InstructionLimits(
            vector_lanes=self.vector_lanes,
            max_k_blocks=self.max_k_blocks,
            max_packet_rows=self.max_packet_rows,
            kv_heads=self.kv_heads,
            group=self.group,
            formats=self.formats,
            biases=self.biases,
            head_norms=self.head_norms,
            post_norms=self.post_norms,
        )

    @property
    def vector_command(self) -> data.StructLayout:
        """A command for the vector engine."""
        return vector_command(biases=self.biases, head_norms=self.head_norms, gelu=self.gelu)

    @property
    def word_positions(self) -> int:
        """Positions of a word of scale pairs."""
        return self.word_bytes // SCALE_PAIR_BYTES

    @property
    def instructions_per_word(self) -> int:
        """Instructions in a program word."""
        return self.word_bytes // INSTRUCTION_BYTES

    @property
    def queue_depth(self) -> int:
        """Instructions that wait between fetch and decoding."""
        return max(16, 2 * self.instructions_per_word)
