"""What each operator of a step does: how often it runs, the bytes that memory moves for it, its multiplications."""

from collections.abc import Mapping, Sequence

from rtlm.host.compiler.plan import F32_BYTES, Plan, PlannedInstruction
from rtlm.host.reports.measurements import OPERATOR_NAMES, Work
from rtlm.host.reports.traffic import executed
from rtlm.host.runtime.device import ColumnInput
from rtlm.hw.common.kv_cache import SCALE_PAIR_BYTES
from rtlm.hw.control.isa import Opcode, Operator
from rtlm.hw.formats import BLOCK
from rtlm.hw.vector.epilogue import Epilogue

MODULES = {
    "attention": (Operator.QKV, Operator.ROPE, Operator.QK, Operator.SOFTMAX, Operator.PV, Operator.WO),
    "feed_forward": (Operator.MLP,),
    "head": (Operator.LM_HEAD,),
    "other": (Operator.RMS, Operator.LOAD, Operator.EMBED, Operator.CONTROL),
}
"""Parts of a model, each with its operators in the order of the data.

The normalisations before attention, feed-forward network and head count to one operator, hence to none of the three.
"""


MULTIPLIES: Mapping[str, tuple[Operator, ...]] = {
    "matmul": (Operator.QKV, Operator.WO, Operator.MLP, Operator.LM_HEAD),
    "attention": (Operator.QK, Operator.PV),
}
"""Units that multiply, each with the operators that it multiplies for."""


def operator_name(operator: Operator) -> str:
    """Return what reports call an operator."""
    name = operator.name.lower()
    return OPERATOR_NAMES.get(name, name)


def multiplying_unit(name: str) -> str:
    """Return the unit that multiplies for an operator, by what reports call it; empty where none does."""
    for unit, operators in MULTIPLIES.items():
        if name in map(operator_name, operators):
            return unit
    return ""


def step_work(plan: Plan, columns: Sequence[ColumnInput], *, logits: bool, stored_logits: bool) -> dict[Operator, Work]:
    """Return the work of a step's operators, in the order of `MODULES`; their bytes are all that the step moves.

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
    work = {operator: Work() for operators in MODULES.values() for operator in operators}
    program = next(region for region in plan.regions if region.name == "program")
    work[Operator.CONTROL] += Work(count=1, bytes=program.words * plan.params.word_bytes)
    for planned in executed(plan, len(columns), logits=logits):
        if planned.instruction.opcode is Opcode.ATTENTION:
            for operator, part in _attention(plan, planned, columns).items():
                work[operator] += part
            continue
        work[planned.instruction.operator] += _words(plan, planned, len(columns), stored_logits=stored_logits)
        epilogue = planned.instruction.epilogue
        if epilogue in (Epilogue.ROPE_Q, Epilogue.ROPE_K):
            work[Operator.ROPE] += Work(count=1)
        elif epilogue is Epilogue.LOAD_NORM:
            work[Operator.RMS] += Work(count=1)
    return work


def _words(plan: Plan, planned: PlannedInstruction, columns: int, *, stored_logits: bool) -> Work:
    """Return the work of an instruction whose words lie in one region."""
    instruction = planned.instruction
    if instruction.opcode is Opcode.END:
        return Work()
    moved = instruction.words * plan.params.word_bytes
    if instruction.epilogue in (Epilogue.ROPE_K, Epilogue.VALUE):
        heads = instruction.rows // plan.shape.head_dim
        moved += columns * heads * (plan.params.kv.row_bytes + SCALE_PAIR_BYTES // 2)
    if planned.writes and stored_logits:
        moved += columns * F32_BYTES * instruction.rows
    macs = instruction.rows * instruction.k_blocks * BLOCK * columns
    return Work(count=1, bytes=moved, macs=macs)


def _attention(plan: Plan, planned: PlannedInstruction, columns: Sequence[ColumnInput]) -> dict[Operator, Work]:
    """Return the work of an attention instruction, which runs once for each column and KV head.

    The scales of keys and values are read together, before the keys.
    """
    instruction, word_bytes, head_dim = planned.instruction, plan.params.word_bytes, plan.shape.head_dim
    scales = rows = macs = 0
    for number, column in enumerate(columns):
        part = plan.params.kv.part(column.position, column.history, instruction.imm1)
        scale_words, row_words = plan.params.kv.words_of(part.positions)
        scales += scale_words
        rows += row_words
        positions = part.seen + number - column.local_first + 1
        macs += instruction.kv_heads * instruction.group * head_dim * positions
    scale_bytes, row_bytes = (words * word_bytes * instruction.kv_heads for words in (scales, rows))
    runs = len(columns) * instruction.kv_heads
    return {
        Operator.QK: Work(count=runs, bytes=scale_bytes + row_bytes, macs=macs),
        Operator.SOFTMAX: Work(count=runs),
        Operator.PV: Work(count=runs, bytes=row_bytes, macs=macs),
    }
