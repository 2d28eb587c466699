"""Counts the toggle rates of presets, which estimates of power take where nothing was counted.

For each preset one simulator that can trace, and samples of two decoding steps with random keys and values before them:
at position 3 with SmolLM2-135M where the preset holds it, else with two layers of random weights (Q4_1) as wide as the
preset allows; and behind many positions with a small model whose step is mostly attention, for its rate while busy.

Usage::

    python benchmarks/activity_rates.py --config kv260 [--config ...] [--record]
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import click
from rtlm.gen.area.estimate import UnitArea, estimate_area
from rtlm.gen.common.errors import ConfigError
from rtlm.gen.common.progress import Progress, TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration, config_hash
from rtlm.gen.rtl.verilog import build_rtl
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
from rtlm.host.reports.traffic import needed_bytes
from rtlm.host.runtime.device import successive
from rtlm.host.runtime.simulation import simulate
from rtlm.host.runtime.trace import SAMPLES

TOKEN, POSITION = 4649, 3
LATE_POSITION = 1000
"""Of the step that attention's rate is of, or as many as the preset allows."""
LATE_SAMPLES = 128
BLOCK = 64
"""Weights in a row of a random model come in so many."""
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
    early = _sampled(config, model, POSITION, progress)
    late_position = min(LATE_POSITION, config.attention.context_limit - 1)
    late = _sampled(config, attention_model(config, progress), late_position, progress, samples=LATE_SAMPLES)
    toggles = early.measurement.toggles
    busy = {"matmul": early, "attention": late}
    return ShippedRates(
        config=config_hash(config),
        verilog=build_rtl(config, progress.stage).manifest["verilog_sha256"][:16],
        source=f"{what} in a decoding step at position {POSITION} ({early.measurement.samples} samples), "
        f"attention at position {late_position:,} with random keys and values ({late.measurement.samples} samples)",
        busy={unit: _rounded(busy[unit].measurement.toggles[unit] / busy[unit].busy[unit]) for unit in BUSY_UNITS},
        always={
            unit: _rounded(max(rate, LEAST))
            for unit, rate in sorted(toggles.items())
            if unit not in busy and not unit.endswith(CLOCK_GATE)
        },
        other=_rounded(weighted_mean(toggles, estimate_area(config).units)),
    )


def model_of(config: Configuration, progress: Progress) -> tuple[LlamaModel, str]:
    """Return a model that a preset holds, and what it is called."""
    smollm2 = LlamaModel.open(fetch(progress=progress.stage))
    try:
        compile_model(config.to_params(), smollm2, context=POSITION + 1)
    except (ConfigError, ModelError):
        pass
    else:
        return smollm2, "SmolLM2-135M (Q4_1)"
    limits, attention = config.limits, config.attention
    kv_heads = max(1, min(limits.heads, limits.dim // attention.head_dim) // attention.group)
    model = _random(config, progress, dim=limits.dim, hidden_dim=limits.hidden_dim, kv_heads=kv_heads)
    return model, f"{LAYERS} layers of random weights, {limits.dim} wide (Q4_1),"


def attention_model(config: Configuration, progress: Progress) -> LlamaModel:
    """Return a model with as few KV heads as blocks of weights allow, and little else."""
    width = config.attention.group * config.attention.head_dim
    kv_heads = math.lcm(width, BLOCK) // width
    return _random(config, progress, dim=kv_heads * width, hidden_dim=kv_heads * width, kv_heads=kv_heads)


def _random(config: Configuration, progress: Progress, *, kv_heads: int, **sizes: int) -> LlamaModel:
    shape = {
        "layers": LAYERS,
        "heads": kv_heads * config.attention.group,
        "kv_heads": kv_heads,
        "head_dim": config.attention.head_dim,
        "vocab": min(config.limits.vocabulary, VOCABULARY),
        "context": config.attention.context_limit,
        **sizes,
    }
    return LlamaModel.open(random_model_file(f"a model for {config.name}", progress.stage, **shape))


def _sampled(
    config: Configuration, model: LlamaModel, position: int, progress: Progress, samples: int = SAMPLES
) -> Counted:
    with simulate(config, model, context=position + 1, progress=progress, trace="saif") as simulation:
        engine, device, memory = simulation.engine, simulation.device, simulation.memory
        cache = random_cache(model, position + 1, filled=position, seed=position, kv_bits=device.params.kv_bits)
        device.write_words(memory.regions["kv0"].start, cache_words(device.params, cache))
        columns = successive([TOKEN % model.vocab], position, slot=0)
        needed = sum(needed_bytes(memory.plan, columns, logits=True, stored_logits=False).values())
        peak = min(device.model.dram.peak_bytes_per_second, config.port_bytes_per_s)
        expected = round(needed / peak * config.clock_mhz * 1e6)
        progress.stage(f"counting toggles at position {position}")
        sampler = ActivitySampler(engine, device, expected_cycles=expected, samples=samples)
        result = sampler.step(columns, want_logits=True, read_logits=False)
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
