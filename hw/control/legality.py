"""What the accelerator refuses, instructions and step registers: one list of rules for gates, host and documentation.

A rule is written once and evaluated twice: on an `Instruction` or `Step`, giving a bool, and on the same fields in
gates, giving a one-bit value. What the rules let pass may still be nonsense (words that are no weights, a wrong number
of them): such a program gives wrong figures or ends in the watchdog, but it harms nothing beyond its step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from rtlm.hw.common.markdown import table
from rtlm.hw.control.errors import Error
from rtlm.hw.control.isa import Instruction, Opcode, format_code
from rtlm.hw.formats import DEFAULT_FORMATS, BlockFormat
from rtlm.hw.vector.epilogue import Epilogue

MATMUL_EPILOGUES = (
    Epilogue.RESIDUAL,
    Epilogue.ROPE_Q,
    Epilogue.ROPE_K,
    Epilogue.VALUE,
    Epilogue.SWIGLU,
    Epilogue.QUANTISE,
    Epilogue.LOGITS,
)
"""What every vector engine can do with results."""


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
    formats
        Weight formats of the matrix unit.
    biases, head_norms, post_norms
        Whether the vector engine adds biases to heads, normalises them, and normalises what a layer adds.
    """

    vector_lanes: int
    max_k_blocks: int
    max_packet_rows: int
    kv_heads: int
    group: int
    formats: tuple[BlockFormat, ...] = DEFAULT_FORMATS
    biases: bool = False
    head_norms: bool = False
    post_norms: bool = False

    @property
    def results(self) -> tuple[Epilogue, ...]:
        """What can be done with results of the matrix unit."""
        return (*MATMUL_EPILOGUES, *(Epilogue.POST_NORM,) * self.post_norms)

    @property
    def loads(self) -> tuple[Epilogue, ...]:
        """What can be loaded."""
        own = {Epilogue.LOAD_BIAS: self.biases, Epilogue.LOAD_HEAD_NORM: self.head_norms}
        return (Epilogue.LOAD_NORM, Epilogue.LOAD_ROPE, *(epilogue for epilogue, has in own.items() if has))


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


def _none_of(field: Any, allowed: Sequence[Any]) -> Any:
    broken = field != allowed[0]
    for epilogue in allowed[1:]:
        broken &= field != epilogue
    return broken


def _outside(field: Any, largest: int) -> Any:
    return (field == 0) | (field > largest)


def _unknown_format(instruction: Any, limits: InstructionLimits) -> Any:
    if limits.formats == DEFAULT_FORMATS:
        return instruction.format > max(DEFAULT_FORMATS).value
    if isinstance(instruction, Instruction):
        return instruction.format not in limits.formats
    return _none_of(format_code(instruction), [format.value for format in limits.formats])


RULES = (
    Rule(
        opcodes=(Opcode.LOAD,),
        doc="`epilogue` is LOAD_NORM, LOAD_ROPE or, if the vector engine has them, LOAD_BIAS or LOAD_HEAD_NORM",
        broken=lambda i, n: _none_of(i.epilogue, n.loads),
    ),
    Rule(
        opcodes=(Opcode.EMBED,),
        doc="`epilogue` is EMBED",
        broken=lambda i, n: _none_of(i.epilogue, (Epilogue.EMBED,)),
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="`epilogue` is neither EMBED, ADD nor a load, and POST_NORM only if the vector engine has it",
        broken=lambda i, n: _none_of(i.epilogue, n.results),
    ),
    Rule(
        opcodes=(Opcode.ATTENTION,),
        doc="`epilogue` is QUANTISE",
        broken=lambda i, n: _none_of(i.epilogue, (Epilogue.QUANTISE,)),
    ),
    Rule(
        opcodes=(Opcode.ADD,),
        doc="the vector engine has POST_NORM, and `epilogue` is ADD",
        broken=lambda i, n: _none_of(i.epilogue, (Epilogue.ADD,)) if n.post_norms else True,
    ),
    Rule(opcodes=READS, doc="`words` is not 0", broken=lambda i, n: i.words == 0),
    Rule(
        opcodes=(*READS, Opcode.ATTENTION, Opcode.ADD),
        doc="`rows` is a multiple of the vector lanes and not 0",
        broken=lambda i, n: (i.rows == 0) | ((i.rows & (n.vector_lanes - 1)) != 0),
    ),
    Rule(
        opcodes=(Opcode.MATMUL,),
        doc="`format` and `extension` are those of a weight format that the accelerator has",
        broken=_unknown_format,
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


@dataclass(frozen=True, kw_only=True)
class StepLimits:
    """Sizes that a step must keep to.

    Parameters
    ----------
    columns
        Columns of the accelerator.
    context_limit
        Positions in a KV slot.
    """

    columns: int
    context_limit: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the registers of a step hold, the last three for each column of the accelerator."""

    columns: int
    position: Sequence[int]
    history: Sequence[int]
    local_first: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class StepRule:
    """What must hold for the registers of a step when it starts.

    Parameters
    ----------
    error
        What the accelerator ends with otherwise.
    doc
        What must hold, for the documentation.
    each_column
        Whether it is about each column that takes part, instead of the whole step.
    broken
        Says of a step, a column and the limits that it does not.
    """

    error: Error
    doc: str
    each_column: bool = True
    broken: Callable[[Any, int, StepLimits], Any]

    def broken_by(self, step: Any, limits: StepLimits) -> Any:
        """Return whether a `Step` breaks the rule; in gates, with the same members as signals, a one-bit value."""
        if not self.each_column:
            return self.broken(step, 0, limits)
        return reduce(or_, ((step.columns > c) & self.broken(step, c, limits) for c in range(limits.columns)))


STEP_RULES = (
    StepRule(
        error=Error.BAD_COLUMNS,
        doc="`COLUMNS` is not 0 and at most the accelerator's",
        each_column=False,
        broken=lambda s, c, n: _outside(s.columns, n.columns),
    ),
    StepRule(
        error=Error.BAD_POSITION,
        doc="`POSITION` is below the context limit",
        broken=lambda s, c, n: s.position[c] >= n.context_limit,
    ),
    StepRule(
        error=Error.BAD_HISTORY,
        doc="`HISTORY` is at most the context limit",
        broken=lambda s, c, n: s.history[c] > n.context_limit,
    ),
    StepRule(
        error=Error.BAD_LOCAL_FIRST,
        doc="`LOCAL_FIRST` is at most the column's own number",
        broken=lambda s, c, n: s.local_first[c] > c,
    ),
)


def broken_step_rules(step: Step, limits: StepLimits) -> list[StepRule]:
    """Return the rules that a step breaks; the gates stop with the error of the first."""
    return [rule for rule in STEP_RULES if rule.broken_by(step, limits)]


def step_markdown() -> str:
    """Return the documentation table of the rules for step registers."""
    part = ", for each column that takes part"
    rows = ((rule.doc + part * rule.each_column, f"`{rule.error.name}`") for rule in STEP_RULES)
    return table(("what must hold", "error otherwise"), rows)
