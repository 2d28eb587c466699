"""What a sweep's best points are in RTL and in synthesis, beside what was estimated of them.

A step of the decoding is simulated with the model itself where its weights are at hand: a GGUF file, or SmolLM2-135M in
the formats in which it is downloaded (`REAL`). Of other models two layers with random weights and a vocabulary of 320
are simulated, whose cycles are compared with an estimate of just that: cycles depend on shapes, not on weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGMLQuantizationType
from rtlm.gen.boards.devices import DEVICES
from rtlm.gen.common.errors import ConfigError, RtlmError, ToolError
from rtlm.gen.common.progress import SilentProgress
from rtlm.host.errors import ModelError
from rtlm.host.exploration.evaluation import REFUSED, as_json, estimate_point
from rtlm.host.exploration.grid import Point
from rtlm.host.exploration.metrics import RESOURCES, device_of
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.paper import PaperModel, open_model
from rtlm.host.models.random_model import random_model_file
from rtlm.host.models.sources import SMOLLM2
from rtlm.host.runtime.device import side_by_side
from rtlm.host.runtime.simulation import simulate

SLICE_LAYERS, SLICE_VOCABULARY = 2, 320
REAL = ("smollm2-135m", "q4_1", "q8_0")
"""Model and formats, of matrices and output, of the file that rtlm downloads."""
TOKEN = 300
"""A token that every vocabulary here has; which one makes no difference to the cycles."""


@dataclass(frozen=True, kw_only=True)
class Survivor:
    """A point that is to be checked.

    Parameters
    ----------
    key
        What the store has it under.
    point
        The point.
    values
        Its configuration as nested mappings.
    """

    key: str
    point: Point
    values: Mapping[str, Any]


def simulate_point(survivor: Survivor) -> str:
    """Return cycles of a decoding step in RTL, and of the same step as estimated, as JSON.

    Raises
    ------
    ToolError
        If the simulator cannot be built.
    """
    return _checked(_simulate, survivor)


def synthesise_point(survivor: Survivor) -> str:
    """Return what yosys counts of a point, as JSON.

    Raises
    ------
    ToolError
        If yosys is not there.
    """
    return _checked(_synthesise, survivor)


def _checked(check: Any, survivor: Survivor) -> str:
    """Return the result of a check, or the sentence that says why there is none."""
    try:
        return as_json(check(survivor))
    except ConfigError as error:
        return as_json({REFUSED: " ".join(error.problems)})
    except ToolError:
        raise
    except RtlmError as error:
        return as_json({REFUSED: str(error)})


def _simulate(survivor: Survivor) -> dict[str, Any]:
    point = survivor.point
    path, what = _weights(open_model(point.model, weights=point.weights, output=point.output), point)
    # The same accelerator as the whole model's, with what can be simulated of the model.
    fitted = estimate_point(survivor.values, point).config
    estimated = estimate_point(fitted.model_dump(mode="json"), point, model=str(path))
    columns = side_by_side((TOKEN, point.context, slot) for slot in range(point.batch))
    with simulate(
        estimated.config, LlamaModel.open(path), context=point.context + 1, progress=SilentProgress()
    ) as simulation:
        cycles = simulation.engine.step(columns).counters["CYCLES"]
        verilog = simulation.rtl.manifest["verilog_sha256"]
    return {
        "what": what,
        "cycles": cycles,
        "estimated_cycles": estimated.decode.cycles,
        "error": estimated.decode.cycles / cycles - 1,
        "tokens_per_s": point.batch * estimated.config.clock_mhz * 1e6 / cycles,
        "verilog_sha256": verilog,
    }


def _weights(model: PaperModel, point: Point) -> tuple[Path, str]:
    """Return a GGUF file that can be simulated for a point, and what it is."""
    if point.model.endswith(".gguf"):
        return Path(point.model), f"{model.name}, its own weights"
    if (point.model, point.weights, point.output) == REAL:
        return fetch(), f"{SMOLLM2.name.partition('.')[0]}, its own weights"
    shape = model.shape
    if model.family != "llama" or shape.heads * shape.head_dim != shape.dim:
        raise ModelError(f"{model.name} cannot be simulated: random weights are of llama's architecture only")
    sizes: dict[str, Any] = {
        "layers": SLICE_LAYERS,
        "dim": shape.dim,
        "hidden_dim": shape.hidden_dim,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "vocab": SLICE_VOCABULARY,
        "context": model.context,
    }
    kind = GGMLQuantizationType[point.weights.upper()]
    output = GGMLQuantizationType[(point.output or point.weights).upper()]

    path = random_model_file(model.name, **sizes, matrix_type=kind, embedding_type=output)
    return path, f"{SLICE_LAYERS} layers of {model.name}, random weights in {kind.name}"


def _synthesise(survivor: Survivor) -> dict[str, Any]:
    from rtlm.gen.synthesis.synthesise import DEFAULT_DEPTH, accelerator_netlist, synthesise

    fitted = estimate_point(survivor.values, survivor.point).config
    board = device_of(fitted.model_dump(mode="json"))
    if not board:
        raise ModelError(f"{fitted.name} cannot be synthesised: board = {fitted.board} has no device")
    result = synthesise(accelerator_netlist(fitted), target=DEVICES[board].target, depth=DEFAULT_DEPTH)
    return {"target": result.target, **{name: result.total[name] for name in RESOURCES}}
