"""How many weights a model has, from its sizes alone."""

from rtlm.host.families import Family
from rtlm.host.models.stored import ModelShape


def count_weights(family: Family, shape: ModelShape, *, context: int, tied: bool) -> int:
    """Return the number of weights.

    Parameters
    ----------
    family
        What the model has beyond a llama.
    shape
        The model's sizes.
    context, tied
        As in `rtlm.host.models.model.LlamaModel`.
    """
    dim, attention, keys = shape.dim, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    norm = dim * (2 if family.centred else 1)
    inner = shape.hidden_dim * (2 if family.gated else 1)
    norms = 4 if family.post_norms else 2
    layer = 2 * dim * (attention + keys) + dim * (inner + shape.hidden_dim) + norms * norm
    if family.head_norms:
        layer += 2 * shape.head_dim
    if family.qkv_biases:
        layer += attention + 2 * keys
    if family.output_bias:
        layer += dim
    if family.mlp_biases:
        layer += inner + dim
    positions = 0 if family.extra_positions is None else context + family.extra_positions
    return shape.layers * layer + norm + dim * (shape.vocab * (1 if tied else 2) + positions)
