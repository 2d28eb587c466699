"""``rtlm selftest``."""

from pathlib import Path
from typing import Any

import click
from rtlm.gen.common.errors import NEGATIVE, OK
from rtlm.gen.common.installation import install_command
from rtlm.host.cli.generate import force_option, output_option, quiet_option
from rtlm.host.cli.names import complete, known
from rtlm.host.cli.options import seed_option, set_option
from rtlm.host.cli.synth import router_option

BOARDS = tuple(known("boards"))


@click.command(
    epilog=f"Needs the extra synth: {install_command('synth')}. The exit code is 1 when the clock of the board is not "
    "reached, or the design cannot be routed. Bitstreams are cached by content in ~/.cache/rtlm. No board was at hand: "
    "what is checked is the same top in Verilator (rtlm test selftest); docs/synthesis.md has figures."
)
@click.option("--board", "-b", type=click.Choice(BOARDS), default=BOARDS[0], show_default=True, help="Board.")
@click.option(
    "--config",
    "-c",
    default=known("boards")[BOARDS[0]],
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete("presets", files=True),
    help="Preset or YAML file; one memory port of 32 bits.",
)
@set_option
@seed_option
@router_option
@click.option("--verilog-only", is_flag=True, help="Stop before synthesis, which takes half an hour and more.")
@output_option
@force_option
@quiet_option
def selftest(
    board: str,
    config: str,
    overrides: tuple[str, ...],
    seed: int,
    router: str,
    verilog_only: bool,
    folder: Path,
    force: bool,
    quiet: bool,
) -> int:
    """Build a bitstream with which a board tests the accelerator, without a host.

    A small accelerator, a random toy model in block RAM, and a host in gates: it plays the register accesses of the
    real driver for eight tokens and compares error, token, largest logit and the CRC-32 of all logits of each step
    with the golden model's. LED 0 means passed, LED 1 failed; the serial line (115200 baud, 8N1) says

    \b
      PASS token 00000009 cycles 0000abcd
      FAIL error 0000000b row 0000000c read 0000000b expected 00000000 cycles 00001234

    in hexadecimal; manifest.json says what each row is. FIRE 1, held while UP is pressed (run again), inverts a bit
    of a weight and FIRE 2 one of the program: the test has to fail.

    \b
    Examples:
      rtlm selftest -o build/selftest
      openFPGALoader -b ulx3s build/selftest/selftest.bit
      rtlm selftest --verilog-only -o build/selftest
      rtlm test selftest                       # the same gates in Verilator
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.gen.configuration.load import load_config
    from rtlm.gen.package.folder import check_folder
    from rtlm.gen.package.selftest import (
        SHELLS,
        bitstream_facts,
        build_bitstream,
        check_shell,
        emit_selftest,
        selftest_package,
    )
    from rtlm.host.verification.selftest import make_case

    shell = SHELLS[board]
    settings = load_config(config, overrides)
    check_shell(shell, settings, shell.preset)
    check_folder(folder, force=force)
    progress = SilentProgress() if quiet else TerminalProgress()
    try:
        progress.stage(f"golden model of {settings.name}")
        case = make_case(settings, clock_hz=shell.clock_hz)
        progress.stage(f"RTL of {settings.name}")
        emitted = emit_selftest(shell, case.params)
        package = selftest_package(shell, settings, case.params, case.facts, emitted)
        # Before the tools that take long and may refuse the design: the Verilog is there in any case.
        files = package.write(folder, force=force)
        built = None
        if not verilog_only:
            built = build_bitstream(shell, emitted, seed=seed, router=router, progress=progress.stage)
            package.manifest["bitstream"] = bitstream_facts(shell, built)
            files = package.write(folder, force=force)
        if built is not None:
            files.append(folder / "selftest.bit")
            files[-1].write_bytes(built.content)
    finally:
        progress.close()
    if not quiet:
        _show(shell, package.manifest, files)
    return NEGATIVE if built is not None and not built.timing.met else OK


def _show(shell: Any, manifest: dict[str, Any], files: list[Path]) -> None:
    """Print resources, clock, and what to do with the files."""
    for path in files:
        print(path)
    facts = manifest["selftest"]
    print(
        f"\nToy model of {facts['model']['layers']} layers, {facts['image_bytes']} bytes of image, "
        f"{facts['memory_bytes']} bytes of block RAM; the token to come is {facts['tokens'][-1]:08x}."
    )
    built = manifest.get("bitstream")
    if built is not None:
        show_bitstream(built)
        print("The text comes on the USB serial port, 115200 baud.")


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
