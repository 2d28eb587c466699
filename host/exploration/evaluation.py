"""The seam between a sweep and the estimator: a point goes in, plain values come out."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rtlm.gen
import rtlm.host
import rtlm.hw
import rtlm.sim
from rtlm.gen.boards.constraints import FOLDER
from rtlm.gen.common.errors import ConfigError, RtlmError, ToolError
from rtlm.gen.common.installation import PACKAGE, package_version
from rtlm.gen.configuration.validate import validate
from rtlm.host.exploration.grid import Point, changed
from rtlm.host.exploration.metrics import RESOURCES, area_share, device_of, over_device
from rtlm.host.models.paper import PaperModel, open_model

if TYPE_CHECKING:
    from rtlm.host.estimation.result import Estimate

SOURCES = {
    Path(rtlm.hw.__path__[0]): ("**/*.py",),
    Path(rtlm.gen.__path__[0]): ("**/*.py", "area/*.json", "configuration/presets/*.yaml", "synthesis/*.json"),
    Path(rtlm.sim.__path__[0]): ("memory/*.py",),
    Path(rtlm.host.__path__[0]): (
        *("compiler/*.py", "estimation/*.py", "models/*.py", "reports/*.py", "runtime/*.py"),
        *("power/*.py", "power/*.json"),
        *("exploration/evaluation.py", "exploration/metrics.py"),
    ),
    FOLDER: ("power-*.yaml",),
}
"""Files that decide what a point gives, by folder; a model's sizes are in the point's key."""
REFUSED = "refused"
"""Key of a result that says in a sentence why a point has no figures."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Points that a worker evaluates as one.

    Parameters
    ----------
    version
        `evaluator_version` of the sweep, which the worker's must equal.
    bases
        Nested values by the name of a preset or file, as in `Grid.bases`.
    points
        The points, by key.
    """

    version: str
    bases: Mapping[str, dict[str, Any]]
    points: Mapping[str, Point]


@lru_cache(maxsize=1)
def evaluator_version() -> str:
    """Return what stands for the program that evaluates points: rtlm's version and a hash of its source."""
    digest = hashlib.sha256()
    for root, path in evaluator_files():
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return f"{package_version(PACKAGE)}-{digest.hexdigest()[:12]}"


def evaluator_files() -> Iterator[tuple[Path, Path]]:
    """Yield the files that decide what a point gives, each behind the folder of `SOURCES` that it lies in."""
    for root, patterns in SOURCES.items():
        for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
            yield root, path


def evaluate_chunk(chunk: Chunk) -> dict[str, str]:
    """Return the result of each point by key, as JSON with the same bytes wherever it is computed.

    Raises
    ------
    ToolError
        If this process has another evaluator than the sweep.
    """
    if chunk.version != evaluator_version():
        raise ToolError(
            f"a worker has rtlm {evaluator_version()}, but the sweep was started by {chunk.version}: "
            "workers need the same version"
        )
    return {
        key: as_json(evaluate(changed(chunk.bases[point.config], point.changes), point))
        for key, point in chunk.points.items()
    }


def as_json(values: Mapping[str, Any]) -> str:
    """Write plain values, the same text for the same values."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def evaluate(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """Return the figures of a point, or why it has none.

    Parameters
    ----------
    values
        The point's configuration as nested mappings, valid each for itself.
    point
        The point.
    """
    try:
        return _figures(estimate_point(values, point))
    except ConfigError as error:
        return {REFUSED: " ".join(error.problems)}
    except RtlmError as error:
        return {REFUSED: str(error)}


def estimate_point(values: Mapping[str, Any], point: Point, *, model: str = "") -> "Estimate":
    """Return the estimate of a point.

    Parameters
    ----------
    values
        The point's configuration as nested mappings, valid each for itself.
    point
        The point.
    model
        Name or file of a model that stands in for the point's own.

    Raises
    ------
    ConfigError, ModelError
        If values do not go together, or the model does not fit.
    """
    from rtlm.host.estimation.estimate import EstimateRequest, estimate

    request = EstimateRequest(
        config=validate(values, values, point.config),
        model=_model(model or point.model, point.weights, point.output),
        context=point.context,
        batch=point.batch,
        prompt=point.prompt,
    )
    return estimate(request)


def _figures(found: "Estimate") -> dict[str, Any]:
    """Return what a sweep keeps of an estimate."""
    performance, power = found.performance, found.power
    board = device_of(found.config.model_dump(mode="json"))
    area = {name: float(getattr(found.area, f"{name}s")) for name in RESOURCES} if found.area else {}
    bounds: dict[str, float] = {}
    for operator in found.decode.operators:
        bounds[operator.bound] = bounds.get(operator.bound, 0.0) + operator.cycles
    return {
        "metrics": {
            "tokens_per_s": performance.tokens_per_s,
            "tokens_per_j": power.tokens_per_j if power else None,
            "cycles_per_token": performance.cycles_per_token,
            "latency_s": performance.latency_p50_s,
            "ttft_s": performance.ttft_s,
            "bandwidth_utilisation": performance.bandwidth_utilisation,
            "power_w": power.total_w if power else None,
            "area": area_share(area, board) if area else None,
            "memory_bytes": found.image_bytes,
            "kv_cache_bytes": found.kv_cache_bytes,
            **area,
        },
        "over": [*(over_device(area, board) if area and board else []), *([] if found.fits else ["memory"])],
        "bound": max(bounds, key=lambda name: bounds[name]),
        "fitted": list(found.changes),
    }


@lru_cache(maxsize=64)
def _model(name: str, weights: str, output: str | None) -> PaperModel:
    return open_model(name, weights=weights, output=output)


def chunks(
    version: str, bases: Mapping[str, dict[str, Any]], points: Mapping[str, Point], size: int
) -> Iterator[Chunk]:
    """Divide points into chunks."""
    items = iter(points.items())
    while some := dict(itertools.islice(items, size)):
        yield Chunk(version=version, bases=bases, points=some)
