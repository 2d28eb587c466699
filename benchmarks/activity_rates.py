"""Counts the toggle rates of presets, which estimates of power take where nothing was counted.

For each preset one simulator that can trace: a decoding step at position 3, in samples, and one behind many positions
of random keys and values for the rate of attention while it is busy. The model is SmolLM2-135M where the preset holds
it, else two layers of random weights (Q4_1) as wide as the preset allows.

Usage::

    python benchmarks/activity_rates.py --config kv260 [--config ...] [--record]
"""

from collections.abc import Mapping
from dataclasses import dataclass

import click
from rtlm.gen.area.estimate import UnitArea, estimate_area
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.common.progress import Progress, TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.host.compiler.program import compile_model
from rtlm.host.errors import ModelError
from rtlm.host.golden.kv_cache import cache_words, random_cache
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.random_model import random_model_file
from rtlm.host.power.shipped import ACTIVITY, BUSY_UNITS, write_activity
from rtlm.host.power.technology import ShippedRates, fpga_technology, shipped_activity
from rtlm.host.reports.activity_sampler import ActivitySampler
from rtlm.host.reports.measurements import ActivityMeasurement
from rtlm.host.runtime.device import successive
from rtlm.host.runtime.simulation import Simulation, simulate

TOKENS = [504, 3575, 282, 4649]
POSITIONS = 1000
"""Before the step that attention's rate is of, or as many as the preset allows."""
ATTENTION_SAMPLES = 128
LAYERS = 2
"""Of a random model."""
VOCABULARY = 512
"""Of a random model, at most."""
LEAST = 1e-6
"""Rate that is written for units which did not toggle."""
CLOCK_GATE = "_clock_gate"
"""End of the names of units whose nets are clocks."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A step.

    Parameters
    ----------
    measurement
        Its toggles.
    busy
        Share of its cycles in which each unit with such a counter is busy.
    """

    measurement: ActivityMeasurement
    busy: Mapping[str, float]


@click.command()
@click.option("--config", "names", multiple=True, required=True, help="A preset; may be repeated.")
@click.option("--record", is_flag=True, help="Write what estimates use.")
def main(names: tuple[str, ...], record: bool) -> None:
    """Print the rates of each preset."""
    progress = TerminalProgress()
    for name in names:
        rates = count(load_config(name), progress)
        progress.close()
        print(name, rates.model_dump_json(indent=1), flush=True)
        if record:
            write_activity({**shipped_activity().presets, name: rates})
            print(f"wrote {ACTIVITY}")
            shipped_activity.cache_clear()


def count(config: Configuration, progress: Progress) -> ShippedRates:
    """Return the toggle rates of a preset."""
    model, what = model_of(config, progress)
    positions = min(POSITIONS, config.attention.context_limit - 1)
    with simulate(config, model, context=positions + 1, progress=progress, trace="saif") as simulation:
        tokens = [token % model.vocab for token in TOKENS]
        cycles = 0
        for position, token in enumerate(tokens[:-1]):
            progress.stage("decoding", position, len(tokens))
            step = simulation.engine.step(successive([token], position, slot=0), want_logits=True)
            cycles = step.counters["CYCLES"]
        progress.stage("counting toggles")
        early = _sampled(simulation, tokens[-1], len(tokens) - 1, cycles)
        progress.stage(f"counting toggles behind {positions} positions")
        params, memory = simulation.device.params, simulation.memory
        cache = random_cache(model, positions + 1, filled=positions, seed=positions, kv_bits=params.kv_bits)
        simulation.device.write_words(memory.regions["kv0"].start, cache_words(params, cache))
        late = _sampled(simulation, tokens[-1], positions, cycles, samples=ATTENTION_SAMPLES)
        verilog: str = simulation.rtl.manifest["verilog_sha256"]
    toggles = early.measurement.toggles
    busy = {"matmul": early, "attention": late}
    units = estimate_area(config).units
    return ShippedRates(
        config=config_hash(config),
        verilog=verilog[:16],
        source=f"{what} in a decoding step at position {len(tokens) - 1} ({early.measurement.samples} samples), "
        f"attention at position {positions:,} with random keys and values ({late.measurement.samples} samples)",
        busy={unit: _rounded(busy[unit].measurement.toggles[unit] / busy[unit].busy[unit]) for unit in BUSY_UNITS},
        always={
            unit: _rounded(max(rate, LEAST))
            for unit, rate in sorted(toggles.items())
            if unit not in busy and not unit.endswith(CLOCK_GATE)
        },
        other=_rounded(weighted_mean(toggles, units)),
    )


def model_of(config: Configuration, progress: Progress) -> tuple[LlamaModel, str]:
    """Return a model that a preset holds, and what it is called."""
    smollm2 = LlamaModel.open(fetch(progress=progress.stage))
    try:
        compile_model(config.to_params(), smollm2, context=len(TOKENS))
    except (ConfigError, ModelError):
        pass
    else:
        return smollm2, "SmolLM2-135M (Q4_1)"
    limits, attention = config.limits, config.attention
    heads = min(limits.heads, limits.dim // attention.head_dim)
    kv_heads = max(1, heads // attention.group)
    shape = {
        "layers": LAYERS,
        "dim": limits.dim,
        "hidden_dim": limits.hidden_dim,
        "heads": kv_heads * attention.group,
        "kv_heads": kv_heads,
        "head_dim": attention.head_dim,
        "vocab": min(limits.vocabulary, VOCABULARY),
        "context": attention.context_limit,
    }
    file = random_model_file(f"a model for {config.name}", progress.stage, **shape)
    return LlamaModel.open(file), f"{LAYERS} layers of random weights, {limits.dim} wide (Q4_1),"


def _sampled(simulation: Simulation, token: int, position: int, cycles: int, **windows: int) -> Counted:
    sampler = ActivitySampler(simulation.engine, simulation.device, expected_cycles=cycles, **windows)
    result = sampler.step(successive([token], position, slot=0), want_logits=True, read_logits=False)
    assert sampler.measurement is not None, "a step is longer than its first sample"
    busy = {unit: result.counters[f"EVENT_{unit.upper()}_BUSY"] / result.counters["CYCLES"] for unit in BUSY_UNITS}
    return Counted(measurement=sampler.measurement, busy=busy)


def weighted_mean(toggles: Mapping[str, float], units: Mapping[str, UnitArea]) -> float:
    """Return the mean rate of the units, weighted by the energy of their tables and flip-flops."""
    technology = fpga_technology("xilinx-us+")
    assert technology is not None
    energies = {
        unit: each.luts * technology.lut_toggle_pj.nominal + each.ffs * technology.ff_toggle_pj.nominal
        for unit, each in units.items()
        if unit in toggles
    }
    return sum(toggles[unit] * energy for unit, energy in energies.items()) / sum(energies.values())


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")


if __name__ == "__main__":
    main()
