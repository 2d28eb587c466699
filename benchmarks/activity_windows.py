"""How much the samples in which toggles are counted decide of the power: shorter, longer, more and other ones.

One simulator that can trace, one decoding step of SmolLM2, fed again and again at the same position; the samples alone
differ. Power is what switches in the logic, by `rtlm.host.power` with the elements of the area model.

Usage::

    python benchmarks/activity_windows.py [--config NAME] [--json FILE]
"""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rtlm.gen.area.estimate import estimate_area
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.power.estimate import PowerRequest, Traffic, estimate_power
from rtlm.host.power.result import Kind
from rtlm.host.reports.activity_sampler import ActivitySampler
from rtlm.host.runtime.device import successive
from rtlm.host.runtime.simulation import simulate
from rtlm.host.runtime.trace import SAMPLE_CYCLES, SAMPLES

TOKENS = [504, 3575, 282, 4649, 314]
SETTINGS = (
    {"samples": SAMPLES, "cycles": SAMPLE_CYCLES},
    {"samples": SAMPLES, "cycles": SAMPLE_CYCLES, "seed": 1},
    {"samples": SAMPLES, "cycles": SAMPLE_CYCLES, "seed": 2},
    {"samples": SAMPLES, "cycles": SAMPLE_CYCLES // 4},
    {"samples": SAMPLES, "cycles": SAMPLE_CYCLES * 4},
    {"samples": SAMPLES * 4, "cycles": SAMPLE_CYCLES},
    {"samples": SAMPLES * 8, "cycles": SAMPLE_CYCLES * 4},
)


@click.command()
@click.option("--config", "name", default="kv260", show_default=True, help="The configuration.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures, too.")
def main(name: str, file: Path | None) -> None:
    """Print the power of the logic for each kind of samples, and its change against the default."""
    progress = TerminalProgress()
    config = load_config(name)
    elements = {unit: asdict(each) for unit, each in estimate_area(config).units.items()}
    found = []
    with simulate(
        config, LlamaModel.open(fetch(progress=progress.stage)), context=64, progress=progress, trace="saif"
    ) as simulation:
        cycles = 0
        for position, token in enumerate(TOKENS):
            step = simulation.engine.step(successive([token], position, slot=0), want_logits=True)
            cycles = step.counters["CYCLES"]
        progress.close()
        for setting in SETTINGS:
            sampler = ActivitySampler(simulation.engine, simulation.device, expected_cycles=cycles, **setting)
            columns = successive(TOKENS[-1:], len(TOKENS) - 1, slot=0)
            sampler.step(columns, want_logits=True, read_logits=False)
            assert sampler.measurement is not None
            power = estimate_power(
                PowerRequest(
                    technology=config.technology,
                    board=config.board,
                    elements=elements,
                    rates=sampler.measurement.toggles,
                    clock_mhz=config.clock_mhz,
                    traffic=Traffic(name="ideal", bytes_per_s=0),
                    tokens_per_s=1,
                    weight_bytes_per_s=None,
                )
            )
            watt = sum(each.w for each in power.components if each.kind is Kind.SWITCHING)
            found.append(setting | {"counted": sampler.measurement.cycles, "w": watt})
            change = watt / found[0]["w"] - 1
            share = sampler.measurement.cycles / cycles
            print(f"{setting}: {sampler.measurement.cycles:,} cycles ({share:.1%}), {watt:.4f} W, {change:+.2%}")
    if file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
