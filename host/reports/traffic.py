"""The bytes that a decoding step cannot do without: the numerator of bandwidth utilisation."""

from collections.abc import Iterator, Sequence

from rtlm.host.compiler.plan import PURPOSES, Plan, PlannedInstruction
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.control.isa import Index, Opcode


def executed(plan: Plan, columns: int, *, logits: bool) -> Iterator[PlannedInstruction]:
    """Return the instructions that a step with so many columns executes, with or without the output projection."""
    for planned in plan.instructions:
        instruction = planned.instruction
        if instruction.logits and not logits:
            continue
        if instruction.index is not Index.NONE and instruction.column >= columns:
            continue  # The row of a column that computes nothing.
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
    # Columns of one sequence attend to the same history, which is needed once however often it is read.
    history = {column.slot: column.history for column in columns}
    # The columns' own keys and values are written.
    positions = sum(history.values()) + len(columns)
    position_bytes = SCALE_PAIR_BYTES + 2 * plan.shape.head_dim
    for planned in executed(plan, len(columns), logits=logits):
        instruction = planned.instruction
        if instruction.opcode is Opcode.ATTENTION:
            needed["kv"] += instruction.kv_heads * positions * position_bytes
        if planned.reads:
            needed[planned.reads.purpose] += planned.reads.entry_bytes
        if planned.writes and stored_logits:
            needed[planned.writes.purpose] += len(columns) * planned.writes.entry_bytes
    return needed
