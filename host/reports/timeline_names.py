"""What a timeline calls the instructions of a step: operator or matrix, and layer."""

from collections.abc import Sequence
from dataclasses import dataclass

from rtlm.host.compiler.plan import HeadVectors, Matrix, Norm, Plan, PlannedInstruction
from rtlm.host.reports.traffic import executed
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.control.isa import Opcode


@dataclass(frozen=True, kw_only=True)
class NamedInstruction:
    """An instruction that a step executes.

    Parameters
    ----------
    planned
        The instruction.
    layer
        Layer that it works for; None outside of layers.
    what
        What it does there: its matrix or vector, ``attention``, ``add``, ``end``.
    runs
        Runs of words that it reads.
    """

    planned: PlannedInstruction
    layer: int | None
    what: str
    runs: int

    @property
    def opcode(self) -> Opcode:
        """What kind of instruction it is."""
        return self.planned.instruction.opcode

    @property
    def name(self) -> str:
        """Name of its slices."""
        return in_layer(self.layer, self.what)


def in_layer(layer: int | None, what: str) -> str:
    """Return what something is called in a layer, or outside of layers."""
    return what if layer is None else f"layer {layer} · {what}"


def name_instructions(plan: Plan, columns: Sequence[ColumnInput], *, logits: bool) -> list[NamedInstruction]:
    """Return the instructions that a step executes, in their order.

    Parameters
    ----------
    plan
        What a step does.
    columns
        What its columns compute.
    logits
        Whether the output projection runs.
    """
    named = []
    layer: int | None = None
    for planned in executed(plan, len(columns), logits=logits):
        instruction, region = planned.instruction, planned.reads
        own = layer if instruction.opcode in (Opcode.ATTENTION, Opcode.ADD) else None
        if region and isinstance(region.tensor, Matrix | Norm | HeadVectors):
            own = region.tensor.layer
        if instruction.opcode is Opcode.MATMUL:
            layer = own
        what = region.name.rpartition(".")[2] if region else instruction.opcode.name.lower()
        if instruction.opcode is Opcode.LOAD:
            what = f"load {what}"
        named.append(NamedInstruction(planned=planned, layer=own, what=what, runs=_runs(plan, planned, columns)))
    return named


def _runs(plan: Plan, planned: PlannedInstruction, columns: Sequence[ColumnInput]) -> int:
    """Return the runs of words of an instruction: of attention scales, keys and values of each head with a history."""
    instruction = planned.instruction
    if instruction.opcode is not Opcode.ATTENTION:
        return int(instruction.words > 0)
    parts = (plan.params.kv.part(column.position, column.history, instruction.imm1) for column in columns)
    return 3 * instruction.kv_heads * sum(part.positions > 0 for part in parts)
