"""What the units state of themselves: rates, latencies and buffer sizes, as a step's timing needs them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from rtlm import hw
from rtlm.gen.common.cache import remembered
from rtlm.hw.attention.array import AttentionArray
from rtlm.hw.attention.output import AttentionOutput
from rtlm.hw.attention.params import AttentionParams
from rtlm.hw.attention.scores import AttentionScores
from rtlm.hw.attention.unit import AttentionUnit
from rtlm.hw.kernels import argmax, norm_scalar, probability_sum, scale
from rtlm.hw.matmul.params import MatmulParams
from rtlm.hw.matmul.result_order import ResultOrder
from rtlm.hw.matmul.unit import MatrixUnit
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.unit_params import UnitParams, unit_params
from rtlm.hw.vector.epilogue import Epilogue
from rtlm.hw.vector.kept import KeptSums
from rtlm.hw.vector.params import VectorParams
from rtlm.hw.vector.routes import EpilogueRoutes
from rtlm.hw.vector.unit import FETCH_CYCLES, VectorEngine


@dataclass(frozen=True, kw_only=True)
class UnitTimes:
    """Cycles of one accelerator's units.

    Parameters
    ----------
    params
        The units' sizes.
    matmul
        From the last word of a row group to its first result.
    result_order
        From a matrix's description at the output side to its first result.
    entry
        By epilogue: from a beat at the vector engine to its way into the quantiser.
    block
        By epilogue: from a packet's last beat to its block in a bank or its head in attention's store.
    interval
        By epilogue: between beats at the vector engine.
    kept
        From the beginning of ADD to its first value.
    norm_scale
        From a column's last square to its scalar.
    best
        From the last logit to the arg-max.
    query_scale
        Attention: from a query to its scaled scale.
    scores
        Attention: from a query group's last key to its first weights.
    probability_sum
        Attention: from a query group's last weights to the sum of its probabilities.
    output_start, output
        Attention: from these until the first sum is taken, and from there to its result.
    """

    params: UnitParams
    matmul: int
    result_order: int
    entry: dict[Epilogue, int]
    block: dict[Epilogue, int]
    interval: dict[Epilogue, int]
    kept: int
    norm_scale: int
    best: int
    query_scale: int
    scores: int
    probability_sum: int
    output_start: int
    output: int


@cache
def unit_times(params: AcceleratorParams) -> UnitTimes:
    """Return the times of an accelerator's units."""
    units = unit_params(params)
    # Everything but the sizes that these depend on: schedules take their time.
    arguments = (units.matmul, units.attention, units.vector, params.clock_mhz, params.technology)
    known = remembered("latencies", (hw,), *arguments, compute=lambda: _latencies(*arguments))
    values: dict[str, Any] = {**known}
    for name in ("entry", "block", "interval"):
        values[name] = {Epilogue[each]: cycles for each, cycles in known[name].items()}
    return UnitTimes(params=units, **values)


def _latencies(
    matmul: MatmulParams, attention: AttentionParams, vector: VectorParams, clock_mhz: float, technology: str
) -> dict[str, Any]:
    pipeline: dict[str, Any] = {"clock_mhz": clock_mhz, "technology": technology}
    output_start, output = AttentionOutput.latency_of(attention)
    return {
        "matmul": MatrixUnit.latency_of(matmul),
        "result_order": ResultOrder.latency_of(**pipeline),
        "entry": {each.name: FETCH_CYCLES + cycles for each, cycles in EpilogueRoutes.entry_latency(vector).items()},
        "block": {each.name: cycles for each, cycles in VectorEngine.latency_of(vector).items()},
        "interval": {each.name: cycles for each, cycles in VectorEngine.intervals_of(vector).items()},
        "kept": KeptSums.latency(vector) if vector.post_norms else 0,
        "norm_scale": norm_scalar.schedule(lanes=vector.lanes, **pipeline).latency + vector.post_norms,
        "best": FETCH_CYCLES + argmax.schedule(lanes=vector.lanes, **pipeline).latency + 1,
        "query_scale": scale.schedule(**pipeline).latency,
        "scores": AttentionArray.dot_latency(attention) + AttentionScores.latency_of(attention),
        "probability_sum": probability_sum.schedule(lanes=attention.positions, **pipeline).latency,
        "output_start": AttentionUnit.sum_wait(attention) + output_start,
        "output": output,
    }
