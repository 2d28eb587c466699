"""Steps whose cycles were measured in RTL: what estimates are held against.

``python benchmarks/rtl_cycles.py`` measures them, and writes ``rtl_cycles.json`` beside this file.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.models.paper import open_model
from rtlm.host.models.stored import ModelShape, Storage
from rtlm.host.runtime.device import ColumnInput, side_by_side, successive
from rtlm.hw.formats import BlockFormat

MEASURED = "rtl_cycles.json"

SMOLLM2 = "smollm2"
"""The real model, SmolLM2-135M-Instruct: Q4_1, its embedding and output projection Q8_0."""

VOCABULARY = 320
"""Of the models with random weights."""

TOKEN = 300
"""A token that every vocabulary here has; which one makes no difference to the cycles."""

MODELS: dict[str, dict[str, Any]] = {
    "small": {"layers": 3, "dim": 128, "hidden_dim": 256, "heads": 4, "kv_heads": 2, "context": 256},
    "small-q8": {
        "layers": 3,
        "dim": 128,
        "hidden_dim": 256,
        "heads": 4,
        "kv_heads": 2,
        "context": 256,
        "matrix_type": "Q8_0",
    },
    **{
        f"small-{type}": {
            "layers": 3,
            "dim": 256,
            "hidden_dim": 512,
            "heads": 8,
            "kv_heads": 4,
            "context": 256,
            "matrix_type": type.upper(),
        }
        for type in ("q2_k", "q3_k")
    },
    "llama-2-7b/2": {
        "layers": 2,
        "dim": 4096,
        "hidden_dim": 11008,
        "heads": 32,
        "kv_heads": 32,
        "context": 4096,
        "matrix_type": "Q4_0",
    },
    "llama-3-8b/2": {
        "layers": 2,
        "dim": 4096,
        "hidden_dim": 14336,
        "heads": 32,
        "kv_heads": 8,
        "context": 4096,
        "matrix_type": "Q4_0",
    },
    "tinyllama/2": {
        "layers": 2,
        "dim": 2048,
        "hidden_dim": 5632,
        "heads": 32,
        "kv_heads": 4,
        "context": 2048,
        "matrix_type": "Q8_0",
    },
}
"""Models with random weights (Q4_1 where nothing else stands): small ones, and two layers of published shapes."""


def limits(name: str) -> tuple[str, ...]:
    """Return what a configuration has to be changed in to hold a model of `MODELS`."""
    shape = MODELS[name]
    return (
        f"limits.dim={shape['dim']}",
        f"limits.hidden_dim={shape['hidden_dim']}",
        f"limits.heads={shape['heads']}",
        f"limits.kv_heads={shape['kv_heads']}",
        f"attention.head_dim={shape['dim'] // shape['heads']}",
        f"attention.group={shape['heads'] // shape['kv_heads']}",
    )


@dataclass(frozen=True, kw_only=True)
class Point:
    """A step.

    Parameters
    ----------
    context
        Positions of each sequence in the KV cache before the step.
    batch
        Sequences that decode one token each.
    prompt
        Successive tokens of the one sequence that are fed together; with more than 1, `batch` is 1.
    logits
        Whether the output projection runs.
    """

    context: int
    batch: int = 1
    prompt: int = 1
    logits: bool = True

    @property
    def columns(self) -> tuple[ColumnInput, ...]:
        """What each column is given."""
        if self.prompt > 1:
            return successive([TOKEN] * self.prompt, self.context, slot=0)
        return side_by_side((TOKEN, self.context, slot) for slot in range(self.batch))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Points that share a simulator.

    Parameters
    ----------
    config, overrides
        The accelerator.
    model
        ``smollm2`` or a key of `MODELS`.
    points
        The steps.
    held_out
        Whether the estimator was built without looking at these.
    """

    config: str
    overrides: tuple[str, ...] = ()
    model: str = "smollm2"
    points: tuple[Point, ...] = field(default_factory=tuple)
    held_out: bool = False


def contexts(*values: int) -> tuple[Point, ...]:
    """Return single-column decoding steps."""
    return tuple(Point(context=value) for value in values)


COLUMN_POINTS = (
    Point(context=64),
    Point(context=64, prompt=4),
    Point(context=64, batch=8),
    Point(context=0, prompt=8, logits=False),
    Point(context=512, prompt=8, logits=False),
)

GROUPS: dict[str, Group] = {
    "tiny": Group(config="tiny", model="small", points=contexts(0, 17, 100, 240)),
    "tiny-ddr4": Group(
        config="tiny", overrides=("memory.dram=ddr4-2400", "clock_mhz=300"), model="small", points=contexts(0, 100, 240)
    ),
    "tiny-columns": Group(
        config="tiny",
        overrides=("matmul.columns=4", "memory.dram=ddr4-2400"),
        model="small",
        points=(Point(context=10), Point(context=100, batch=4), Point(context=100, prompt=4, logits=False)),
    ),
    "tiny-q8": Group(
        config="tiny",
        overrides=("matmul.lanes=32", "attention.bytes_per_cycle=16", "memory.dram=ddr4-2400"),
        model="small-q8",
        points=contexts(5, 200),
        held_out=True,
    ),
    "tiny-2-bits": Group(
        config="tiny",
        overrides=(*limits("small-q2_k"), "matmul.formats=[q2_k,q8_0]", "memory.dram=ddr4-2400"),
        model="small-q2_k",
        points=contexts(5, 200),
    ),
    "tiny-3-bits": Group(
        config="tiny",
        overrides=(*limits("small-q3_k"), "matmul.formats=[q3_k,q8_0]", "matmul.lanes=64"),
        model="small-q3_k",
        points=contexts(5, 200),
    ),
    "kv260": Group(config="kv260", points=contexts(0, 128, 512, 1024)),
    "kv260-7b": Group(
        config="kv260",
        overrides=limits("llama-2-7b/2"),
        model="llama-2-7b/2",
        points=contexts(128, 1024),
        held_out=True,
    ),
    "kv260-columns": Group(config="kv260", overrides=("matmul.columns=8",), points=COLUMN_POINTS),
    "kv260-slow": Group(
        config="kv260",
        overrides=("memory.outstanding=1", "memory.prefetch_kib=32", "attention.bytes_per_cycle=16"),
        points=contexts(128, 1024),
    ),
    "u280": Group(config="u280", points=(*contexts(0, 128, 1024), Point(context=128, batch=2))),
    "u280-7b": Group(
        config="u280",
        overrides=limits("llama-2-7b/2"),
        model="llama-2-7b/2",
        points=contexts(128, 1024),
        held_out=True,
    ),
    "zcu104": Group(config="zcu104", points=contexts(100, 700), held_out=True),
    "asic": Group(config="asic", points=contexts(100, 700), held_out=True),
    "u250": Group(
        config="u250",
        overrides=limits("llama-3-8b/2"),
        model="llama-3-8b/2",
        points=contexts(100, 700),
        held_out=True,
    ),
    "kv260-8b": Group(
        config="kv260",
        overrides=limits("llama-3-8b/2"),
        model="llama-3-8b/2",
        points=contexts(300, 1500),
        held_out=True,
    ),
    "kv260-lanes": Group(config="kv260", overrides=("matmul.lanes=64",), points=contexts(100), held_out=True),
    "zcu104-tinyllama": Group(
        config="zcu104",
        overrides=limits("tinyllama/2"),
        model="tinyllama/2",
        points=contexts(100, 1000),
        held_out=True,
    ),
}
"""All points. Those held out were chosen before the estimator was written, and measured once it was done."""


def shape_of(name: str) -> ModelShape:
    """Return the sizes of a model: `SMOLLM2` or a key of `MODELS`."""
    if name == SMOLLM2:
        return open_model("smollm2-135m", weights="q4_1", output="q8_0").shape
    sizes = dict(MODELS[name])
    del sizes["context"]
    return ModelShape.uniform(
        storage=Storage(format=BlockFormat[sizes.pop("matrix_type", "Q4_1")]),
        output_storage=Storage(format=BlockFormat.Q8_0),
        head_dim=sizes["dim"] // sizes["heads"],
        vocab=VOCABULARY,
        rms_eps=1e-5,
        **sizes,
    )


@cache
def group_config(name: str) -> Configuration:
    """Return the accelerator of a group."""
    return load_config(GROUPS[name].config, GROUPS[name].overrides)


def measured_cycles() -> dict[str, list[int]]:
    """Return the cycles that were measured, by group, a figure for each of its points."""
    text = resources.files("rtlm.host.estimation").joinpath(MEASURED).read_text(encoding="utf-8")
    found: dict[str, list[int]] = json.loads(text)
    return found
