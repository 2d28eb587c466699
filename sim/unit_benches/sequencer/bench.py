"""Bench of the sequencer: random legal programs between a memory and units that take things when they like.

The cocotb side is cocotb_tests.py; `segments` is its model of what must be read.
"""

import json
from dataclasses import asdict
from typing import Any

from rtlm.hw.attention.params import POSITION_BITS
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.common.kv_window import history_part
from rtlm.hw.control.isa import Index, Instruction, Opcode
from rtlm.hw.control.sequencer import Sequencer
from rtlm.hw.control.sequencer_params import SequencerParams
from rtlm.hw.formats import BlockFormat
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.sim.unit_benches.bench import Prepared, verilog_text

PROGRAMS = 18
"""Random programs, each run once."""

_LIMITS: dict[str, Any] = {"vector_lanes": 2, "max_k_blocks": 8, "max_packet_rows": 64, "kv_heads": 3, "group": 2}

SETS = {
    "one-column": SequencerParams(
        columns=1, word_bytes=64, beats_per_word=8, head_dim=32, scale_words=2, row_words=9, **_LIMITS
    ),
    "three-columns": SequencerParams(
        columns=3,
        word_bytes=128,
        beats_per_word=1,
        head_dim=16,
        scale_words=3,
        row_words=7,
        formats=tuple(BlockFormat),
        biases=True,
        head_norms=True,
        post_norms=True,
        gelu=True,
        windows=True,
        kv_bits=4,
        **_LIMITS,
    ),
}


def prepare(params: SequencerParams) -> Prepared:
    """Return the unit as Verilog and what its cocotb side has to know."""
    return Prepared(
        verilog=verilog_text(Sequencer(params), "sequencer"),
        top="sequencer",
        environment={"BENCH_PARAMS": json.dumps(asdict(params)), "BENCH_COUNT": str(PROGRAMS)},
    )


def is_skipped(instruction: Instruction, *, active: int, no_logits: bool) -> bool:
    """Whether a step leaves an instruction out: logits that are not wanted, a column that takes no part."""
    of_column = instruction.epilogue in (Epilogue.LOAD_ROPE, Epilogue.EMBED)
    return bool(instruction.logits and no_logits) or (of_column and instruction.column >= active)


def segments(
    params: SequencerParams, instruction: Instruction, registers: dict[str, list[int]], active: int
) -> list[tuple[int, int]]:
    """Return beat address and words of everything that an instruction reads.

    Parameters
    ----------
    params
        Sizes.
    instruction
        One that is not skipped.
    registers
        ``token``, ``position``, ``history`` and ``kv_base`` of each column.
    active
        Columns that take part.
    """
    if instruction.opcode in (Opcode.END, Opcode.ADD):
        return []
    if instruction.opcode is not Opcode.ATTENTION:
        kinds = {Index.TOKEN: "token", Index.POSITION: "position"}
        index = registers[kinds[instruction.index]][instruction.column] if instruction.index in kinds else 0
        return [((instruction.address + index * instruction.aux) % (1 << 32), instruction.words)]
    result = []
    window = instruction.imm1 % (1 << POSITION_BITS) if params.windows else 0
    for column in range(active):
        history, position = registers["history"][column], registers["position"][column]
        part = history_part(position, history, window, word_positions=params.word_positions)
        address = registers["kv_base"][column] + instruction.address
        for _ in range(instruction.kv_heads):
            for size, reserved in (
                (SCALE_PAIR_BYTES, params.scale_words),
                (params.row_bytes, params.row_words),
                (params.row_bytes, params.row_words),
            ):
                if words := -(-part.positions * size // params.word_bytes):
                    left_out = part.words * size // SCALE_PAIR_BYTES * params.beats_per_word
                    result.append(((address + left_out) % (1 << 32), words))
                address += reserved * params.beats_per_word
    return result
