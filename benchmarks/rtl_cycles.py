"""Cycles of decoding steps measured in RTL: the points that the estimator is held against.

Usage: ``python benchmarks/rtl_cycles.py [--group NAME ...] [--json FILE]``. A group is one configuration and model
with some steps, each on a KV cache of some length. The cache's content is zeros: cycles do not depend on it.
Results are kept by the Verilog's hash, so that a second run measures only what has changed.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from gguf import GGMLQuantizationType
from rtlm.gen.common.cache import cache_folder, cached
from rtlm.gen.common.progress import Progress, TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import write_random_model
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import Simulation, simulate

TOKEN = 300
"""A token that every vocabulary here has; which one makes no difference to the cycles."""

Q4_0, Q4_1, Q8_0 = (GGMLQuantizationType[name] for name in ("Q4_0", "Q4_1", "Q8_0"))

MODELS: dict[str, dict[str, Any]] = {
    "small": {"layers": 3, "dim": 128, "hidden_dim": 256, "heads": 4, "kv_heads": 2, "context": 256},
    "small-q8": {
        "layers": 3,
        "dim": 128,
        "hidden_dim": 256,
        "heads": 4,
        "kv_heads": 2,
        "context": 256,
        "matrix_type": Q8_0,
    },
    "llama-2-7b/2": {
        "layers": 2,
        "dim": 4096,
        "hidden_dim": 11008,
        "heads": 32,
        "kv_heads": 32,
        "context": 4096,
        "matrix_type": Q4_0,
    },
    "llama-3-8b/2": {
        "layers": 2,
        "dim": 4096,
        "hidden_dim": 14336,
        "heads": 32,
        "kv_heads": 8,
        "context": 4096,
        "matrix_type": Q4_0,
    },
    "tinyllama/2": {
        "layers": 2,
        "dim": 2048,
        "hidden_dim": 5632,
        "heads": 32,
        "kv_heads": 4,
        "context": 2048,
        "matrix_type": Q8_0,
    },
}
"""Models with random weights: a small one, and two layers of published shapes, with a vocabulary of 320."""


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
    def columns(self) -> list[ColumnInput]:
        """What each column is given."""
        if self.prompt > 1:
            return [
                ColumnInput(token=TOKEN, position=self.context + i, history=self.context, local_first=0, slot=0)
                for i in range(self.prompt)
            ]
        return [
            ColumnInput(token=TOKEN, position=self.context, history=self.context, local_first=i, slot=i)
            for i in range(self.batch)
        ]


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
    "kv260": Group(config="kv260", points=contexts(0, 128, 512, 1024)),
    "kv260-7b": Group(
        config="kv260", overrides=limits("llama-2-7b/2"), model="llama-2-7b/2", points=contexts(128, 1024)
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
    "u250": Group(config="u250", points=contexts(100, 700), held_out=True),
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
"""All points. Those held out were chosen before the estimator was written."""


@click.command()
@click.option("--group", "names", multiple=True, type=click.Choice(list(GROUPS)), help="Only this group.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here too.")
def main(names: tuple[str, ...], path: Path | None) -> None:
    """Measure the points and print their cycles."""
    progress = TerminalProgress()
    found = {}
    for name in names or GROUPS:
        found[name] = measure_group(name, progress)
        progress.close()
        for point, row in zip(GROUPS[name].points, found[name], strict=True):
            print(f"{name:18} {point}  {row['cycles']:,}", flush=True)
    if path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def measure_group(name: str, progress: Progress) -> list[dict[str, Any]]:
    """Return cycles and cycles by operator of each point."""
    group = GROUPS[name]
    rtl = build_rtl(load_config(group.config, group.overrides), progress.stage)
    file = model_file(group.model, progress)

    def make(folder: Path) -> None:
        rows = list(_simulate(group, file, progress))
        (folder / "cycles.json").write_text(json.dumps(rows))

    # The longest context first determines the size of the tables; all points are one entry.
    points = "-".join(f"{p.context}.{p.batch}.{p.prompt}.{int(p.logits)}" for p in group.points)
    key = f"{name}-{rtl.manifest['verilog_sha256'][:16]}-{points}"
    return json.loads((cached(key, make, cache=cache_folder("rtl-cycles"), keep=None) / "cycles.json").read_text())


def _simulate(group: Group, file: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    model = LlamaModel.open(file)
    config = load_config(group.config, group.overrides)
    context = max(point.context + point.prompt for point in group.points)
    with simulate(config, model, context=context, progress=progress) as simulation:
        for done, point in enumerate(group.points):
            progress.stage("decoding", done, len(group.points))
            yield _measure(simulation, point)


def _measure(simulation: Simulation, point: Point) -> dict[str, Any]:
    counters = simulation.engine.step(point.columns, want_logits=point.logits).counters
    prefix = "OPERATOR_"
    return {
        "point": asdict(point),
        "cycles": counters["CYCLES"],
        "operators": {k.removeprefix(prefix).lower(): v for k, v in counters.items() if k.startswith(prefix)},
        "counters": dict(counters),
    }


def model_file(name: str, progress: Progress) -> Path:
    """Find or make the model."""
    if name == "smollm2":
        return fetch(progress=progress.stage)

    def make(folder: Path) -> None:
        progress.stage(f"writing random weights of {name}")
        write_random_model(folder / "model.gguf", **{"vocab": 320, **MODELS[name]})

    key = "-".join(["points", *(f"{value}" for value in MODELS[name].values())])
    return cached(key, make, cache=cache_folder("models"), keep=None) / "model.gguf"


if __name__ == "__main__":
    main()
