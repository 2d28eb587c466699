"""Sizes of each unit, derived from those of the accelerator: one definition for the whole and for units alone."""

from dataclasses import dataclass

from rtlm.hw.attention.params import AttentionParams
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.matmul.params import MAX_FIELD_BITS, MIN_FIELD_BITS, MatmulParams
from rtlm.hw.memory import ReaderParams, WriterParams
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.vector.params import VectorParams

LONG_WORD = 8
"""Cycles of attention for a word, from which on one more does not matter."""


@dataclass(frozen=True, kw_only=True)
class UnitParams:
    """Parameters of the units of one accelerator.

    Parameters
    ----------
    reader, writer, sequencer, matmul, attention, vector
        Those of the unit of that name.
    """

    reader: ReaderParams
    writer: WriterParams
    sequencer: SequencerParams
    matmul: MatmulParams
    attention: AttentionParams
    vector: VectorParams


def unit_params(params: AcceleratorParams) -> UnitParams:
    """Derive the parameters of every unit.

    Raises
    ------
    ValueError
        If a unit cannot have the size that follows; the sentence names value and range.
    """
    bus = {
        "ports": params.ports,
        "port_bits": params.port_bits,
        "address_bits": params.address_bits,
        "word_bytes": params.word_bytes,
    }
    narrow = None
    if params.technology == "ecp5":
        # Fields of 13 bits suit multipliers of 18 x 18; with more, a pair of nibbles would take two of them.
        narrow = MIN_FIELD_BITS
    elif any(format.table is not None for format in params.formats):
        # A pair of 8 bits, which tables give, fits 26 bits.
        narrow = MIN_FIELD_BITS + 1
    attention = AttentionParams(
        head_dim=params.head_dim,
        group=params.group,
        kv_heads=params.kv_heads,
        columns=params.columns,
        context_limit=params.context_limit,
        word_bytes=params.word_bytes,
        bytes_per_cycle=params.attention_bytes,
        vector_lanes=params.vector_lanes,
        windows=params.windows,
        kv_bits=params.kv_bits,
        clock_mhz=params.clock_mhz,
        technology=params.technology,
    )
    matmul = MatmulParams(
        lanes=params.lanes,
        columns=params.columns,
        vector_lanes=params.vector_lanes,
        max_k_blocks=params.max_k_blocks,
        max_packet_rows=params.max_packet_rows,
        rows_per_multiplier=params.rows_per_multiplier,
        field_bits=narrow or MAX_FIELD_BITS,
        formats=params.formats,
        clock_mhz=params.clock_mhz,
        technology=params.technology,
    )
    # Where no unit takes a word a cycle, words come no faster than from memory.
    word_interval = params.beats_per_word if min(matmul.word_cycles, attention.chunks) > 1 else 1
    word_entries = 1 if word_interval > 1 and attention.chunks >= LONG_WORD else 2
    vector = VectorParams(
        lanes=params.vector_lanes,
        columns=params.columns,
        max_dim=params.dim,
        max_hidden=params.hidden_dim,
        head_dim=params.head_dim,
        heads=params.heads,
        kv_heads=params.kv_heads,
        context_limit=params.context_limit,
        kv_bits=params.kv_bits,
        head_parts=attention.beat_cycles,
        word_bytes=params.word_bytes,
        beats_per_word=params.beats_per_word,
        word_interval=word_interval,
        biases=params.biases,
        head_norms=params.head_norms,
        post_norms=params.post_norms,
        gelu=params.gelu,
        interval=params.vector_interval,
        clock_mhz=params.clock_mhz,
        technology=params.technology,
        clock_gating=params.clock_gating,
    )
    return UnitParams(
        reader=ReaderParams(prefetch_words=params.prefetch_words, outstanding=params.outstanding, **bus),
        writer=WriterParams(**bus | {"word_bytes": vector.write_bytes}),
        sequencer=SequencerParams(
            columns=params.columns,
            word_bytes=params.word_bytes,
            beats_per_word=params.beats_per_word,
            head_dim=params.head_dim,
            kv_bits=params.kv_bits,
            scale_words=params.kv.scale_words,
            row_words=params.kv.row_words,
            vector_lanes=params.vector_lanes,
            max_k_blocks=params.max_k_blocks,
            max_packet_rows=params.max_packet_rows,
            kv_heads=params.kv_heads,
            group=params.group,
            formats=params.formats,
            biases=params.biases,
            head_norms=params.head_norms,
            post_norms=params.post_norms,
            gelu=params.gelu,
            windows=params.windows,
            word_entries=word_entries,
        ),
        matmul=matmul,
        attention=attention,
        vector=vector,
    )
