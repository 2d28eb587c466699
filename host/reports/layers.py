"""Cycles by layer: the operators of a step in the order of time, cut where a layer begins.

Every layer has `qkv` first and `mlp` last; nothing else of the gates knows of layers.
"""

from collections.abc import Iterable, Mapping

from rtlm.host.reports.work import operator_name
from rtlm.hw.control.isa import Operator

EMBEDDING, HEAD = "embedding", "head"
"""What comes before the first layer and after the last one."""


def layer_name(number: int) -> str:
    """Return what reports call a layer; the first is 0, as in names of tensors."""
    return f"layer {number}"


def cycles_by_layer(spans: Iterable[tuple[int, int]]) -> dict[str, dict[str, int]]:
    """Divide a step's cycles among layers.

    A layer lasts from its first cycle of `qkv` to the next one's, so loading the norm of a layer counts to the layer
    before it; the last one lasts to its last cycle of `mlp`.

    Parameters
    ----------
    spans
        `rtlm.sim.AcceleratorModel.operator_spans` of the step.

    Returns
    -------
    dict
        Cycles by operator for `EMBEDDING`, each layer and `HEAD`, in this order.
    """
    found: dict[str, dict[str, int]] = {EMBEDDING: {}}
    layers, here = 0, EMBEDDING
    behind: list[tuple[Operator, int]] = []  # what has come since the last `mlp`: of this layer if another one follows
    feeding = True  # nothing or `mlp` was last, so `qkv` begins a layer

    def count(operator: Operator, cycles: int) -> None:
        place = found[here]
        place[operator_name(operator)] = place.get(operator_name(operator), 0) + cycles

    for number, cycles in spans:
        operator = Operator(number)
        begins = operator is Operator.QKV and feeding
        if begins or operator is Operator.MLP:
            for each in behind:
                count(*each)
            behind.clear()
        if begins:
            here, feeding = layer_name(layers), False
            found[here] = {}
            layers += 1
        feeding = feeding or operator is Operator.MLP
        if feeding and layers and operator is not Operator.MLP:
            behind.append((operator, cycles))
        else:
            count(operator, cycles)
    here = HEAD
    found[HEAD] = {}
    for each in behind:
        count(*each)
    return found


def layers_of(cycles: Mapping[str, Mapping[str, int]]) -> int:
    """Return how many layers `cycles_by_layer` has found."""
    return len(cycles.keys() - {EMBEDDING, HEAD})
