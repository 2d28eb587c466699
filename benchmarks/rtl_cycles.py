"""Measures the cycles of decoding steps in RTL that estimates are held against.

Usage: ``python benchmarks/rtl_cycles.py [--group NAME ...]``. The points are those of `rtlm.host.estimation.points`.
The KV cache holds zeros: cycles do not depend on it. Results are kept by the Verilog's hash, so that an interrupted run
goes on where it stopped; those of all groups that are known go to ``host/estimation/rtl_cycles.json``.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import click
from gguf import GGMLQuantizationType
from rtlm.gen.common.cache import cache_folder, cached
from rtlm.gen.common.progress import Progress, TerminalProgress
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.host.estimation.points import GROUPS, MEASURED, MODELS, SMOLLM2, VOCABULARY, group_config
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import random_model_file
from rtlm.host.runtime.simulation import simulate

RESULTS = Path(__file__).resolve().parent.parent / "host/estimation" / MEASURED


@click.command()
@click.option("--group", "names", multiple=True, type=click.Choice(list(GROUPS)), help="Only this group.")
def main(names: tuple[str, ...]) -> None:
    """Measure the points, print their cycles and keep them."""
    progress = TerminalProgress()
    for name in names or GROUPS:
        cycles = measure_group(name, progress)
        progress.close()
        for point, each in zip(GROUPS[name].points, cycles, strict=True):
            print(f"{name:18} {point}  {each:,}", flush=True)
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[name] = cycles
        rows = (f"{json.dumps(group)}: {json.dumps(known[group])}" for group in GROUPS if group in known)
        RESULTS.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def measure_group(name: str, progress: Progress) -> list[int]:
    """Return the cycles of each point."""
    group = GROUPS[name]
    rtl = build_rtl(group_config(name), progress.stage)
    file = model_file(group.model, progress)

    def make(folder: Path) -> None:
        (folder / "cycles.json").write_text(json.dumps(list(_simulate(name, file, progress))))

    points = "-".join(f"{p.context}.{p.batch}.{p.prompt}.{int(p.logits)}" for p in group.points)
    key = f"{name}-{rtl.manifest['verilog_sha256'][:16]}-{points}"
    return json.loads((cached(key, make, cache=cache_folder("rtl-cycles"), keep=None) / "cycles.json").read_text())


def _simulate(name: str, file: Path, progress: Progress) -> Iterator[int]:
    points = GROUPS[name].points
    context = max(point.context + point.prompt for point in points)
    with simulate(group_config(name), LlamaModel.open(file), context=context, progress=progress) as simulation:
        for done, point in enumerate(points):
            progress.stage("decoding", done, len(points))
            yield simulation.engine.step(point.columns, want_logits=point.logits).counters["CYCLES"]


def model_file(name: str, progress: Progress) -> Path:
    """Find or make the model."""
    if name == SMOLLM2:
        return fetch(progress=progress.stage)
    sizes = {"vocab": VOCABULARY, **MODELS[name]}
    if "matrix_type" in sizes:
        sizes["matrix_type"] = GGMLQuantizationType[sizes["matrix_type"]]
    return random_model_file(name, progress.stage, **sizes)


if __name__ == "__main__":
    main()
