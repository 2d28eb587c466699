"""Which instructions the sequencer refuses: one list of rules for gates, compiler and documentation.

A rule is written once and evaluated twice: on an `Instruction`, giving a bool, and on the instruction word in gates,
giving a one-bit value. What the rules let pass may still be nonsense (words that are no weights, a wrong number of
them): such a program gives wrong figures or ends in the watchdog, but it harms nothing beyond its step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rtlm.hw.common.markdown import table
from rtlm.hw.control.isa import Instruction, Opcode
from rtlm.hw.formats import BlockFormat
from rtlm.hw.vector.epilogue import Epilogue


@dataclass(frozen=True, kw_only=True)
class InstructionLimits:
    """Sizes of the units that instructions must keep to.

    Parameters
    ----------
    vector_lanes
        Values that the units give in a cycle.
    max_k_blocks
        Blocks of the longest activation vector.
    max_packet_rows
        Rows of the largest result packet.
    kv_heads, group
        Largest number of KV heads, and of query heads for each of them.
    """

    vector_lanes: int
    max_k_blocks: int
    max_packet_rows: int
    kv_heads: int
    group: int


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What must hold for the instructions of some opcodes.

    Parameters
    ----------
    opcodes
        Instructions that it is about.
    doc
        What must hold, for the documentation.
    broken
        Says of an instruction (or its word in gates) and the limits that it does not.
    """

    opcodes: tuple[Opcode, ...]
    doc: str
    broken: Callable[[Any, InstructionLimits], Any]


READS = (Opcode.LOAD, Opcode.EMBED, Opcode.MATMUL)

MATMUL_EPILOGUES = (
    Epilogue.RESIDUAL,
    Epilogue.ROPE_Q,
    Epilogue.ROPE_K,
    Epilogue.VALUE,
    Epilogue.SWIGLU,
    Epilogue.QUANTISE,
    Epilogue.LOGITS,
)


def _none_of(field: Any, allowed: tuple[Epilogue, ...]) -> Any:
    broken = field != allowed[0]
    for epilogue in allowed[1:]:
        broken &= field != epilogue
    return broken


def _outside(field: Any, largest: int) -> Any:
    return (field == 0) | (field > largest)


RULES = (
    Rule(
        opcodes=(Opcode.LOAD,),
        doc="`epilogue` is LOAD_NORM or LOAD_ROPE",
        broken=lambda i, n: _none_of(i.epilogue, (Epilogue.LOAD_NORM, Epilogue.LOAD_ROPE)),
    ),
    Rule(
        opcodes=(Opcode.EMBED,),
        doc="`epilogue` is EMBED",
        broken=lambda i, n: _none_of(i.epilogue, (Epilogue.EMBED,)),
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="`epilogue` is none of EMBED, LOAD_NORM, LOAD_ROPE",
        broken=lambda i, n: _none_of(i.epilogue, MATMUL_EPILOGUES),
    ),
    Rule(
        opcodes=(Opcode.ATTENTION,),
        doc="`epilogue` is QUANTISE",
        broken=lambda i, n: _none_of(i.epilogue, (Epilogue.QUANTISE,)),
    ),
    Rule(opcodes=READS, doc="`words` is not 0", broken=lambda i, n: i.words == 0),
    Rule(
        opcodes=(*READS, Opcode.ATTENTION),
        doc="`rows` is a multiple of the vector lanes and not 0",
        broken=lambda i, n: (i.rows == 0) | ((i.rows & (n.vector_lanes - 1)) != 0),
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="`format` is that of a weight format",
        broken=lambda i, n: i.format > max(BlockFormat).value,
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="`k_blocks` is not 0 and at most the blocks of the longest activation vector",
        broken=lambda i, n: _outside(i.k_blocks, n.max_k_blocks),
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="`k_blocks` is a multiple of 2^`group_shift`",
        broken=lambda i, n: (i.k_blocks & ((1 << i.group_shift) - 1)) != 0,
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="2^`packet_shift` is at least the vector lanes and at most the rows of the largest packet",
        broken=lambda i, n: (
            (i.packet_shift < n.vector_lanes.bit_length() - 1) | (i.packet_shift > n.max_packet_rows.bit_length() - 1)
        ),
    ),
    Rule(
        opcodes=(Opcode.ATTENTION,),
        doc="`kv_heads` is not 0 and at most the accelerator's",
        broken=lambda i, n: _outside(i.kv_heads, n.kv_heads),
    ),
    Rule(
        opcodes=(Opcode.ATTENTION,),
        doc="`group` is not 0 and at most the accelerator's",
        broken=lambda i, n: _outside(i.group, n.group),
    ),
)


def broken_rules(instruction: Instruction, limits: InstructionLimits) -> list[str]:
    """Return what an instruction should keep to and does not; the gates refuse it if that is not empty."""
    return [rule.doc for rule in RULES if instruction.opcode in rule.opcodes and rule.broken(instruction, limits)]


def markdown() -> str:
    """Return the documentation table of the rules."""
    rows = ((", ".join(f"`{opcode.name}`" for opcode in rule.opcodes), rule.doc) for rule in RULES)
    return table(("opcode", "what must hold"), rows)
