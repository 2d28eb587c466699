"""``rtlm selftest``."""

from pathlib import Path
from typing import Any

import click
from rtlm.gen.common.errors import NEGATIVE, OK
from rtlm.gen.common.installation import install_command
from rtlm.host.cli.board_design import BOARDS, design_options, show_bitstream
from rtlm.host.cli.names import known


@click.command(
    epilog=f"Needs the extra synth: {install_command('synth')}. The exit code is 1 when the clock of the board is not "
    "reached, or the design cannot be routed. Bitstreams are cached by content in ~/.cache/rtlm. No board was at hand: "
    "what is checked is the same top in Verilator (rtlm test selftest); docs/synthesis.md has figures."
)
@design_options(known("boards")[BOARDS[0]])
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
    from rtlm.gen.package.selftest import emit_selftest, selftest_package
    from rtlm.gen.package.shell import SHELLS, check_shell, write_design
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
        files, built = write_design(
            shell,
            package,
            emitted,
            folder,
            force=force,
            bitstream=not verilog_only,
            seed=seed,
            router=router,
            progress=progress.stage,
        )
    finally:
        progress.close()
    if not quiet:
        _show(package.manifest, files)
    return NEGATIVE if built is not None and not built.timing.met else OK


def _show(manifest: dict[str, Any], files: list[Path]) -> None:
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
