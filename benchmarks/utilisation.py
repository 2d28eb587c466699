"""Bandwidth utilisation of decoding against the length of the context, and where every lost cycle went.

Usage: ``python benchmarks/utilisation.py [--model llama2-7b] [--config u280] [--context 128 --context 1024]``.

The KV cache is filled by the host, as if the tokens before had been read; then one token is decoded at each context.
Its content is random (the cycles do not depend on it). Utilisation is bytes that the token needs / (time x peak) and
is set against what the same memory model delivers to a plain linear stream on the same ports, measured in this run.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from gguf import GGMLQuantizationType
from rtlm.gen.common.progress import Progress, TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.cli.options import config_option, set_option
from rtlm.host.figures.results import record, record_option
from rtlm.host.golden.kv_cache import cache_words, random_cache
from rtlm.host.golden.model import GoldenModel
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import random_model_file
from rtlm.host.models.sources import NAMED
from rtlm.host.reports.causes import cycles_by_cause, whole_cycles
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.runtime.device import ColumnInput
from rtlm.host.runtime.simulation import Simulation, simulate
from rtlm.sim import stream_ceiling

FIRST_TOKEN = 300
"""A token that every vocabulary here has; which one makes no difference to the cycles."""

CONTEXTS = (128, 512, 1024)

SHAPES: dict[str, dict[str, Any]] = {
    "llama2-7b": {
        "layers": 2,
        "dim": 4096,
        "hidden_dim": 11008,
        "heads": 32,
        "kv_heads": 32,
        "vocab": 320,
        "context": 4096,
        "matrix_type": GGMLQuantizationType.Q4_0,
    },
}
"""Models with random weights: LLaMA-2-7B's layers (arXiv 2307.09288), with so small a vocabulary that they dominate."""

LIMITS = {
    "llama2-7b": (
        "limits.dim=4096",
        "limits.hidden_dim=11008",
        "limits.heads=32",
        "limits.kv_heads=32",
        "attention.head_dim=128",
        "attention.group=1",
    ),
}
"""What a configuration needs for them."""


QUANTITIES = {
    "context": ("positions", "measured in RTL"),
    "cycles": ("clock cycles", "measured in RTL"),
    "needed_bytes": ("bytes", "measured in RTL"),
    "tokens_per_s": ("1/s at the configured clock", "measured in RTL"),
    "utilisation": ("of the memory's peak", "measured in RTL"),
    "of_ceiling": ("of a linear stream", "measured in RTL"),
    "causes": ("clock cycles", "measured in RTL"),
    "operators": ("clock cycles", "measured in RTL"),
    "seconds": ("s of processor time", "measured on this computer"),
    "peak_bytes_per_s": ("bytes/s", "modelled"),
    "stream_ceiling": ("of the memory's peak", "modelled"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one decoding step measured.

    Parameters
    ----------
    context
        Positions in the KV cache before the step.
    cycles
        From start to done, counted by the accelerator.
    needed_bytes
        Bytes that the step cannot do without.
    tokens_per_s
        At the configuration's clock.
    utilisation, of_ceiling
        Needed bytes / (time x peak), and the same / what a linear stream reaches.
    causes
        Cycles by cause (`rtlm.host.reports.causes`); they add up.
    operators
        Cycles by operator.
    seconds
        Processor time of the simulation.
    equal
        Whether all logits were the golden model's bits; None if not compared.
    """

    context: int
    cycles: int
    needed_bytes: int
    tokens_per_s: float
    utilisation: float
    of_ceiling: float
    causes: dict[str, int]
    operators: dict[str, int]
    seconds: float
    equal: bool | None


@click.command()
@click.option(
    "--model",
    "name",
    default="smollm2",
    show_default=True,
    help="smollm2, llama2-7b, the name of a model that was fetched, or a GGUF file.",
)
@config_option
@set_option
@click.option("--context", "contexts", multiple=True, type=int, help="Positions before the token; may be repeated.")
@click.option("--check", is_flag=True, help="Compare every logit with the golden model.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here too.")
@record_option
def main(
    name: str,
    config: str,
    overrides: tuple[str, ...],
    contexts: tuple[int, ...],
    check: bool,
    path: Path | None,
    record_as: str | None,
) -> None:
    """Decode one token at each context and print what it took."""
    progress = TerminalProgress()
    contexts = contexts or CONTEXTS
    changes = (*LIMITS.get(name, ()), *overrides)
    configuration = load_config(config, changes)
    model = LlamaModel.open(model_file(name, progress))
    golden = GoldenModel(model, kv_bits=configuration.attention.kv_bits) if check else None
    with simulate(configuration, model, context=max(contexts) + 1, progress=progress) as simulation:
        progress.close()
        dram, params = simulation.device.model.dram, simulation.device.params
        ceiling = stream_ceiling(
            dram, ports=params.ports, port_bytes=params.port_bytes, clock_mhz=configuration.clock_mhz
        )
        peak = configuration.port_bytes_per_s
        stream = f"linear stream in {dram.name}: {ceiling:.2%}"
        print(f"{name} on {configuration.name}, {peak / 1e9:.1f} GB/s; {stream}")
        print("context      cycles  tokens/s  utilisation  of ceiling  simulated cycles/s  equal to golden")
        rows = []
        for context in contexts:
            row = measure(simulation, model, golden, context, peak=peak, ceiling=ceiling)
            rows.append(row)
            speed = row.cycles / row.seconds
            print(
                f"{row.context:7}  {row.cycles:10,}  {row.tokens_per_s:8.1f}  {row.utilisation:11.2%}  "
                f"{row.of_ceiling:10.2%}  {speed:18,.0f}  {'not compared' if row.equal is None else row.equal}"
            )
        print_causes(rows)
    figures = {"peak_bytes_per_s": peak, "stream_ceiling": ceiling, "steps": [asdict(row) for row in rows]}
    if path:
        result: dict[str, Any] = {"model": name, "config": configuration.model_dump(mode="json"), "memory": dram.name}
        path.write_text(json.dumps(result | figures, indent=2) + "\n")
    record(record_as, figures, QUANTITIES, rtl=[(config, changes)])
    sys.exit(any(row.equal is False for row in rows))


def print_causes(rows: list[Row]) -> None:
    """Print the cycles by cause, a column for each context."""
    print("cycles by cause" + "".join(f"{row.context:12}" for row in rows))
    causes = dict.fromkeys(cause for row in rows for cause in row.causes)
    for cause in causes:
        print(f"  {cause:24}" + "".join(f"{row.causes.get(cause, 0):12,}" for row in rows))
    print(f"  {'sum':24}" + "".join(f"{sum(row.causes.values()):12,}" for row in rows))


def measure(
    simulation: Simulation, model: LlamaModel, golden: GoldenModel | None, context: int, *, peak: float, ceiling: float
) -> Row:
    """Fill the KV cache, decode a token, and compare its logits if there is a golden model."""
    device, memory = simulation.device, simulation.memory
    cache = random_cache(model, context + 1, filled=context, seed=context, kv_bits=device.params.kv_bits)
    device.write_words(memory.regions["kv0"].start, cache_words(device.params, cache))
    columns = [ColumnInput(token=FIRST_TOKEN, position=context, history=context, local_first=0, slot=0)]
    before = device.model.counters()
    started = time.process_time()
    result = simulation.engine.step(columns, read_logits=golden is not None)
    seconds = time.process_time() - started
    equal = None
    if golden and result.logits is not None:
        expected = golden.evaluate([FIRST_TOKEN], cache)
        equal = bool(np.array_equal(expected.view(np.uint32), result.logits.view(np.uint32)))
    cycles = result.counters["CYCLES"]
    by_purpose = needed_bytes(memory.plan, columns, logits=True, stored_logits=golden is not None)
    needed = sum(by_purpose.values())
    running = device.model.counters().since(before).running
    clock = device.params.clock_mhz * 1e6
    utilisation = needed / (cycles / clock * peak)
    prefix = "OPERATOR_"
    return Row(
        context=context,
        cycles=cycles,
        needed_bytes=needed,
        tokens_per_s=clock / cycles,
        utilisation=utilisation,
        of_ceiling=utilisation / ceiling,
        causes=whole_cycles(cycles_by_cause(running, device.model.dram, needed)),
        operators={k.removeprefix(prefix).lower(): v for k, v in result.counters.items() if k.startswith(prefix)},
        seconds=seconds,
        equal=equal,
    )


def model_file(name: str, progress: Progress) -> Path:
    """Find or make the model."""
    if name == "smollm2":
        return fetch(progress=progress.stage)
    if name not in SHAPES:
        return fetch(NAMED[name], progress=progress.stage) if name in NAMED else Path(name)
    return random_model_file(name, progress.stage, **SHAPES[name])


if __name__ == "__main__":
    main()
