"""The bytes that a decoding step cannot do without: the numerator of bandwidth utilisation."""

from collections.abc import Sequence

from rtlm.host.compiler.layout import F32_BYTES, MATRICES, stored_format, stored_group_shift
from rtlm.host.engine import ColumnInput
from rtlm.host.model import LlamaModel
from rtlm.hw.formats import BLOCK

KV_SCALE_BYTES = 4
"""Two BF16 scales, of the key and of the value, for each position and KV head."""


def weight_bytes(model: LlamaModel, *, logits: bool) -> int:
    """Give the bytes of all matrices and norms, with or without the output projection."""

    def matrix(name: str, layer: int | None) -> int:
        rows, columns = model.matrix(name, layer).shape
        format = stored_format(model, name, layer)
        blocks, groups = rows * columns // BLOCK, stored_group_shift(model, name, layer)
        return blocks * (format.block_bytes - format.scale_bytes) + (blocks >> groups) * format.scale_bytes

    total = sum(matrix(name, i) for i in range(model.layers) for name in MATRICES.values())
    total += matrix("output", None) if logits else 0
    return total + (2 * model.layers + 1) * F32_BYTES * model.dim


def step_bytes(model: LlamaModel, columns: Sequence[ColumnInput], *, weights: int, stored_logits: bool) -> int:
    """Give the bytes that a step has to read and write, without padding and with nothing twice.

    Parameters
    ----------
    model
        The model.
    columns
        What the columns compute.
    weights
        `weight_bytes` of the step.
    stored_logits
        Whether logits are written to memory.
    """
    row = KV_SCALE_BYTES + 2 * model.head_dim
    # Columns of one sequence attend to the same history, which is needed once however often it is read.
    history = {column.slot: column.history for column in columns}
    cached = (sum(history.values()) + len(columns)) * model.layers * model.kv_heads * row
    embedding = model.dim + 2 * (model.dim // BLOCK)
    rope = F32_BYTES * model.head_dim
    logits = F32_BYTES * model.vocab if stored_logits else 0
    return weights + cached + len(columns) * (embedding + rope + logits)
