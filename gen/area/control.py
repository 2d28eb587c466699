"""Contents of everything that is neither matrix unit, attention nor vector engine."""

from amaranth.utils import exact_log2
from rtlm.gen.area.counts import FLOAT_BITS, Counts, selection
from rtlm.gen.area.memories import memory
from rtlm.hw.attention.params import POSITION_BITS
from rtlm.hw.common.layouts import ADDRESS_BITS, REGISTER_BITS, WORDS_BITS, segment_layout, word_write_layout
from rtlm.hw.control.counters import COUNTER_BITS, COUNTERS
from rtlm.hw.control.isa import INSTRUCTION
from rtlm.hw.control.program_fetch import CHECKED_BITS
from rtlm.hw.control.router import ROUTE
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.memory import ReaderParams, WriterParams
from rtlm.hw.memory.reader import BURST_QUEUE as READ_QUEUE
from rtlm.hw.memory.writer import BURST_QUEUE as WRITE_QUEUE
from rtlm.hw.memory.writer import WIDE_BITS

ISSUED, ROUTES = 8, 32
"""Instructions and runs of words that wait in the sequencer."""
ADDRESS_DSPS = 3
"""Multipliers of an index and a stride, 32 x 32 bits; yosys leaves the piece of the high halves to tables."""


def reader_counts(params: ReaderParams) -> Counts:
    """Return the contents of the reader."""
    ports, address = params.ports, params.word_address_bits
    more = max(1, (params.burst_words - 1).bit_length())
    pointer = exact_log2(params.prefetch_words)
    outstanding = params.outstanding.bit_length()
    bank = memory(params.port_bits, params.prefetch_words, block=True)
    queue = memory(params.burst.size, READ_QUEUE, clocked=False, reads=ports)
    return Counts(
        luts={
            "ports": ports * (pointer + 3 * outstanding + 3 * exact_log2(2 * READ_QUEUE)),
            "addresses": 3 * max(address, WORDS_BITS) + 2 * more,
            "buffer": 5 * pointer + 2 * more,
            "control": 1,
        },
        ffs={
            "ports": ports * (address + more + pointer + 1 + outstanding + params.beats_per_word.bit_length() + 4),
            "addresses": 2 * address + max(address, WORDS_BITS) + more,
            "buffer": 4 * pointer + 2 * more,
            "control": 1,
        },
        memories=(*(bank,) * (ports * params.beats_per_word), queue),
    )


def writer_counts(params: WriterParams) -> Counts:
    """Return the contents of the writer."""
    ports, address, word = params.ports, params.beat_bits, 8 * params.word_bytes
    depth = 2 * params.burst_beats
    strobes = params.port_bits // 8
    offset = exact_log2(params.burst_beats)
    outstanding = params.outstanding.bit_length()
    kept = memory(params.port_bits, depth, block=params.port_bits >= WIDE_BITS), memory(strobes, depth)
    queues = (
        memory(address + offset, WRITE_QUEUE, clocked=False),
        memory(offset, WRITE_QUEUE, clocked=False),
    )
    shifts = params.beats_per_word > 1
    return Counts(
        luts={
            "ports": ports * (2 * address + 8 * offset + 3 * outstanding + strobes / 3),
            "word": shifts * (word + word / 8) + 2 * address,
            "control": 1,
        },
        ffs={
            "ports": ports * (2 * address + 2 * offset + 5 * (offset + 1) + 6 * WRITE_QUEUE + outstanding),
            "word": word + word / 8 + address,
            "control": 1,
        },
        memories=(*kept, *queues) * ports,
    )


def sequencer_counts(params: SequencerParams) -> Counts:
    """Return the contents of the sequencer."""
    word, columns = 8 * params.word_bytes, params.columns
    # Of a window: the column's position, the sums of `WindowRegisters`, and addresses within regions.
    window_tables = params.windows * (selection(POSITION_BITS, columns) + 4 * POSITION_BITS + 3 * ADDRESS_BITS)
    window_registers = params.windows * (4 * POSITION_BITS + 3 * ADDRESS_BITS)
    return Counts(
        luts={
            "columns": selection(4 * REGISTER_BITS, columns) + window_tables,
            "word": 2 * word,
            "router": word,
            "check": 3 * CHECKED_BITS + 32,
            "control": 1,
        },
        # Products of an index, and the words of a column's segments.
        ffs={"word": word, "router": 2 * word, "address": 5 * ADDRESS_BITS + window_registers, "control": 1},
        dsps=ADDRESS_DSPS,
        memories=(
            memory(INSTRUCTION.size, params.queue_depth - 1),
            memory(INSTRUCTION.size, ISSUED - 1),
            memory(ROUTE.size, ROUTES - 1),
        ),
    )


def registers_counts(columns: int) -> Counts:
    """Return the contents of the register file."""
    written = 5 * REGISTER_BITS * columns
    return Counts(
        luts={"columns": written + selection(7 * REGISTER_BITS * columns, 2), "control": 1},
        ffs={"columns": written, "control": 1},
    )


def step_check_counts(columns: int, context_limit: int) -> Counts:
    """Return the contents of the check of the step registers."""
    return Counts(
        luts={"columns": columns * (2 * REGISTER_BITS + context_limit.bit_length()) / 6, "control": 1},
        ffs={"control": 1},
    )


def counters_counts() -> Counts:
    """Return the contents of the performance counters."""
    # A carry chain adds one without tables.
    return Counts(luts={"counters": 2 * len(COUNTERS)}, ffs={"counters": COUNTER_BITS * len(COUNTERS)})


def top_counts(lanes: int, write_bytes: int) -> Counts:
    """Return what lies in the accelerator itself, between its units: register slices of one entry and of two.

    Parameters
    ----------
    lanes
        Results in a beat.
    write_bytes
        Bytes that go to memory at once.
    """
    one, two = segment_layout().size + word_write_layout(ADDRESS_BITS, write_bytes).size, 2 * FLOAT_BITS * lanes
    return Counts(luts={"control": 1, "slices": two}, ffs={"control": 1, "slices": one + 2 * two})
