"""What an estimate says, and its JSON, which has the keys of a run's report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rtlm.gen.area.estimate import Area
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.host.models.paper import PaperModel
from rtlm.host.power.result import Power
from rtlm.host.reports.report import SCHEMA, SCHEMA_VERSION, Performance


@dataclass(frozen=True, kw_only=True)
class OperatorEstimate:
    """One operator in a step.

    Parameters
    ----------
    module, name
        The part of the model (`rtlm.host.reports.work.MODULES`), and what reports call the operator.
    count
        How often it runs.
    cycles
        Of all runs.
    bytes, macs
        That memory moves for it, and its multiply-accumulates.
    bound
        What determines its time: ``memory``, ``compute``, ``dependency`` or ``host``.
    """

    module: str
    name: str
    count: int
    cycles: float
    bytes: int
    macs: int
    bound: str


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """Steps of one kind.

    Parameters
    ----------
    cycles
        Of all of them.
    operators
        Their cycles add up to `cycles`.
    read, written
        Bytes by purpose.
    tokens
        Tokens that they take.
    steps
        How many steps.
    busy
        Cycles in which each of the units that multiply does so.
    """

    cycles: float
    operators: tuple[OperatorEstimate, ...]
    read: Mapping[str, int]
    written: Mapping[str, int]
    tokens: int
    steps: int
    busy: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ErrorBand:
    """How far estimates of cycles were from RTL.

    Parameters
    ----------
    mean, worst
        Of the absolute errors, as fractions.
    points, held_out
        How many were compared, and how many of them had not been looked at while the model was made.
    source
        Where the table is.
    """

    mean: float
    worst: float
    points: int
    held_out: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a model does on an accelerator, on paper.

    Parameters
    ----------
    model
        The model.
    config, changes
        The accelerator, and what was changed in its configuration so that it holds the model.
    decode, prefill
        A decoding step, and all steps of the prompts.
    performance
        Speed, as in the report.
    kv_cache_bytes, image_bytes, memory_bytes
        Of the sequences' keys and values, of everything in memory with KV slots up to the context limit, and of the
        memory.
    fits
        Whether the memory holds the image.
    area, power, prefill_power
        Size on UltraScale+, and power while decoding and in the steps of the prompts; None where neither the area model
        nor, for power, standard cells have the technology.
    error_band
        Of the cycles.
    notes
        What the reader has to know.
    """

    model: PaperModel
    config: Configuration
    changes: tuple[str, ...]
    decode: StepEstimate
    prefill: StepEstimate
    performance: Performance
    kv_cache_bytes: int
    image_bytes: int
    memory_bytes: int
    fits: bool
    area: Area | None
    power: Power | None
    prefill_power: Power | None
    error_band: ErrorBand
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the keys of a report (docs/report.md), and those of an estimate."""
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "estimate": True,
            "error_band": asdict(self.error_band),
            "config": {**self.config.model_dump(mode="json"), "hash": config_hash(self.config)},
            "changes": list(self.changes),
            "model": self.model.name,
            "performance": asdict(self.performance),
            "bytes": _bytes(self.decode),
            "operators": _operators(self.decode),
            "prefill": {
                "cycles": self.prefill.cycles,
                "steps": self.prefill.steps,
                "tokens": self.prefill.tokens,
                "bytes": _bytes(self.prefill),
                "operators": _operators(self.prefill),
            },
            "area": None if self.area is None else asdict(self.area.total),
            "power": None if self.power is None else self.power.to_json(),
            "prefill_power": None if self.prefill_power is None else self.prefill_power.to_json(),
            "memory": {
                "kv_cache_bytes": self.kv_cache_bytes,
                "image_bytes": self.image_bytes,
                "capacity_bytes": self.memory_bytes,
                "fits": self.fits,
            },
            "notes": list(self.notes),
        }


def _bytes(step: StepEstimate) -> dict[str, Any]:
    total = sum(step.read.values()) + sum(step.written.values())
    return {"read": dict(step.read), "written": dict(step.written), "total": total}


def _operators(step: StepEstimate) -> list[dict[str, Any]]:
    return [
        {
            **asdict(operator),
            "cycles_per_token": operator.cycles / step.tokens,
            "share": operator.cycles / step.cycles,
        }
        for operator in step.operators
    ]
