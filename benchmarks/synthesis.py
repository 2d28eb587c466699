"""What the accelerator takes of a device, by unit, and its clock by static timing.

Usage: ``python benchmarks/synthesis.py [--config kv260] [--record NAME]``: what ``rtlm synth --config kv260 --timing``
measures, which is kept in the same cache.
"""

from typing import Any

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.synthesis.accelerator import synthesise_accelerator
from rtlm.gen.synthesis.report import markdown, share
from rtlm.gen.synthesis.synthesise import SynthResult, configuration_for
from rtlm.host.figures.results import record, record_option

RESOURCES = ("lut", "ff", "dsp", "bram", "uram")
SYNTHESISED, MODELLED = "synthesised", "modelled"
SLICES, REST = "slices", "rest"
"""Rows of register slices between units, and of what the top module has itself."""
JOINED = {"counters": "registers", "step_check": "sequencer"}
QUANTITIES = {
    "lut": ("LUTs", SYNTHESISED),
    "ff": ("registers", SYNTHESISED),
    "dsp": ("DSP blocks", SYNTHESISED),
    "bram": ("block memories of 36 Kibit", SYNTHESISED),
    "uram": ("URAMs", SYNTHESISED),
    "share": ("of the device", SYNTHESISED),
    "clock_mhz": ("MHz", MODELLED),
    "low_clock_mhz": ("MHz", MODELLED),
}


@click.command()
@click.option("--config", default="kv260", show_default=True, help="Preset.")
@click.option("--target", default="xilinx-us+", show_default=True, help="As for rtlm synth.")
@record_option
def main(config: str, target: str, record_as: str | None) -> None:
    """Synthesise, print size and clock, and record them."""
    settings, _ = configuration_for(config, [], target)
    progress = TerminalProgress()
    try:
        result, _ = synthesise_accelerator(settings, target=target, timed=True, progress=progress.stage)
    finally:
        progress.close()
    print(markdown(result))
    record(record_as, figures(result), QUANTITIES, rtl=[(config, ())], tools=result.tools, seconds=result.seconds)


def figures(result: SynthResult) -> dict[str, Any]:
    """Return elements by unit, of all of them, as parts of the device, and the clock with its pessimistic end."""
    top, *modules = result.modules
    units = {REST: {name: top.own[name] for name in RESOURCES}}
    for module in modules:
        unit = units.setdefault(unit_of(module.path), dict.fromkeys(RESOURCES, 0.0))
        for name in RESOURCES:
            unit[name] += module.total[name]
    values: dict[str, Any] = {
        "units": dict(sorted(units.items(), key=lambda item: (item[0] == REST, -item[1]["lut"]))),
        "all": {name: result.total[name] for name in RESOURCES},
        "share": {name: percent / 100 for name, percent in share(result).items()},
    }
    if static := result.static:
        values |= {"clock_mhz": static.fmax_mhz, "low_clock_mhz": static.low_mhz}
    return values


def unit_of(module: str) -> str:
    """Return the row to which a module directly below the top belongs."""
    return SLICES if module.endswith("_slice") else JOINED.get(module, module)


if __name__ == "__main__":
    main()
