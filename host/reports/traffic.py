"""The bytes that a decoding step cannot do without: the numerator of bandwidth utilisation."""

from collections.abc import Iterator, Sequence

from rtlm.host.compiler.plan import PURPOSES, Plan, PlannedInstruction
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.control.isa import Opcode


def executed(plan: Plan, columns: int, *, logits: bool) -> Iterator[PlannedInstruction]:
    """Return the instructions that a step with so many columns executes, with or without the output projection."""
    for planned in plan.instructions:
        if not planned.is_skipped(columns, logits=logits):
            yield planned


def needed_bytes(plan: Plan, columns: Sequence[ColumnInput], *, logits: bool, stored_logits: bool) -> dict[str, int]:
    """Return the bytes that a step has to read and write, by purpose, without padding and with nothing twice.

    The program is not among them: it is the accelerator's own.

    Parameters
    ----------
    plan
        What a step does.
    columns
        What the columns compute.
    logits
        Whether the output projection runs.
    stored_logits
        Whether logits are written to memory.
    """
    needed = dict.fromkeys(PURPOSES, 0)
    for planned in executed(plan, len(columns), logits=logits):
        instruction = planned.instruction
        if instruction.opcode is Opcode.ATTENTION:
            # The columns' own keys and values are written.
            positions = _attended(plan, columns, instruction.imm1) + len(columns)
            needed["kv"] += instruction.kv_heads * positions * plan.params.kv.position_bytes
        if planned.reads:
            needed[planned.reads.purpose] += planned.reads.entry_bytes
        if planned.writes and stored_logits:
            needed[planned.writes.purpose] += len(columns) * planned.writes.entry_bytes
    return needed


def _attended(plan: Plan, columns: Sequence[ColumnInput], window: int) -> int:
    """Return the positions in memory to which columns attend: those of one sequence to the same ones, each once."""
    longest: dict[int, int] = {}
    for column in columns:
        part = plan.params.kv.part(column.position, column.history, window)
        longest[column.slot] = max(longest.get(column.slot, 0), part.seen)
    return sum(longest.values())


def moved_bytes(plan: Plan, columns: Sequence[ColumnInput], *, logits: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bytes that a step reads and writes, by purpose, with padding; logits are not stored.

    Parameters
    ----------
    plan, columns, logits
        As for `needed_bytes`.
    """
    word_bytes, kv = plan.params.word_bytes, plan.params.kv
    read, written = dict.fromkeys(PURPOSES, 0), dict.fromkeys(PURPOSES, 0)
    read["program"] = sum(region.words for region in plan.regions if region.name == "program") * word_bytes
    for planned in executed(plan, len(columns), logits=logits):
        if planned.reads:
            read[planned.reads.purpose] += planned.instruction.words * word_bytes
        if planned.instruction.opcode is Opcode.ATTENTION:
            heads = planned.instruction.kv_heads
            for column in columns:
                part = kv.part(column.position, column.history, planned.instruction.imm1)
                scales, rows = kv.words_of(part.positions)
                read["kv"] += heads * (scales + 2 * rows) * word_bytes
            written["kv"] += len(columns) * heads * kv.position_bytes
    return read, written
