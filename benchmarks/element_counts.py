"""Counts the elements of presets by synthesis, which estimates of power take on a machine that has synthesised nothing.

Some half an hour for `kv260`, less where `rtlm synth` has done it.

Usage::

    python benchmarks/element_counts.py --config kv260 [--config ...] [--record]
"""

import json

import click
from rtlm.gen.common.progress import TerminalProgress
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import config_hash
from rtlm.gen.rtl.verilog import build_rtl
from rtlm.gen.synthesis.accelerator import synthesise_accelerator
from rtlm.gen.synthesis.elements import RESOURCES, SHIPPED, TARGET, shipped_elements, unit_elements
from rtlm.hw.common.markdown import table


@click.command()
@click.option("--config", "names", multiple=True, required=True, help="A preset; may be repeated.")
@click.option("--record", is_flag=True, help="Write what estimates use.")
def main(names: tuple[str, ...], record: bool) -> None:
    """Print the elements of each unit."""
    found = dict(shipped_elements())
    for name in names:
        config, progress = load_config(name), TerminalProgress()
        try:
            result, _ = synthesise_accelerator(config, target=TARGET, progress=progress.stage)
            verilog: str = build_rtl(config, progress.stage).manifest["verilog_sha256"]
        finally:
            progress.close()
        units = unit_elements(result)
        rows = ((unit, *(f"{counts[resource]:,g}" for resource in RESOURCES)) for unit, counts in units.items())
        print(table((name, *RESOURCES), rows, numbers=True))
        found[name] = {
            "config": config_hash(config),
            "verilog": verilog[:16],
            "tools": result.tools,
            "units": {unit: {key: round(count, 1) for key, count in counts.items()} for unit, counts in units.items()},
        }
    if record:
        SHIPPED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
