"""What the commands that build designs for boards have in common: options, and what is said of a bitstream."""

from collections.abc import Callable
from typing import Any

import click
from rtlm.host.cli.generate import force_option, output_option, quiet_option
from rtlm.host.cli.names import complete, known
from rtlm.host.cli.options import seed_option, set_option
from rtlm.host.cli.synth import router_option

BOARDS = tuple(known("boards"))


def design_options(preset: str, *own: Callable) -> Callable:
    """Return a decorator that gives a command the options of a design, and others of its own among them.

    Parameters
    ----------
    preset
        Configuration that is meant for the first board.
    own
        Options of this design, by `click.option`.
    """
    options = [
        click.option("--board", "-b", type=click.Choice(BOARDS), default=BOARDS[0], show_default=True, help="Board."),
        click.option(
            "--config",
            "-c",
            default=preset,
            show_default=True,
            metavar="NAME|FILE",
            shell_complete=complete("presets", files=True),
            help="Preset or YAML file; one memory port of 32 bits.",
        ),
        set_option,
        *own,
        seed_option,
        router_option,
        click.option("--verilog-only", is_flag=True, help="Stop before synthesis, which takes half an hour and more."),
        output_option,
        force_option,
        quiet_option,
    ]

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def show_bitstream(built: dict[str, Any]) -> None:
    """Print what a manifest says of a bitstream."""
    print(f"{built['device']}:")
    for name, used in built["used"].items():
        of = built["available"][name]
        print(f"  {name:16} {used:7,} of {of:7,}  {100 * used / of:5.1f} %")
    verdict = "met" if built["met"] else "MISSED"
    print(f"{built['fmax_mhz']:.1f} MHz between registers; the board's {built['clock_mhz']:g} MHz are {verdict}.")
    for name, delay_ns in built["crossings_ns"].items():
        print(f"Between clocks: {name} {delay_ns:.1f} ns")
    print(f"Critical path: {built['source']} -> {built['target']}")
    print(f"Bitstream: {built['bytes']:,} bytes, CRC-32 {built['crc32']}. Load it with: {built['load']}")
    print(f"  permanently, in the flash: {built['persist']}")
    print("No board was at hand: packed and simulated, not run on one.")
