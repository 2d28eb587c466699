"""``rtlm bitstream``."""

from pathlib import Path

import click
from rtlm.gen.common.errors import NEGATIVE, OK, GenerateError
from rtlm.gen.common.installation import install_command
from rtlm.host.cli.generate import force_option, output_option, quiet_option
from rtlm.host.cli.names import complete, known
from rtlm.host.cli.options import seed_option, set_option
from rtlm.host.cli.selftest import BOARDS, show_bitstream
from rtlm.host.cli.synth import router_option


@click.command(
    epilog=f"Needs the extras synth and boards: {install_command('synth,boards')}. The exit code is 1 when a clock is "
    "not reached, or the design cannot be routed. Bitstreams are cached by content in ~/.cache/rtlm. No board was at "
    "hand: the same top decodes in Verilator with a model of the SDRAM (docs/synthesis.md)."
)
@click.option("--board", "-b", type=click.Choice(BOARDS), default=BOARDS[0], show_default=True, help="Board.")
@click.option(
    "--config",
    "-c",
    default=known("sdram boards")[BOARDS[0]],
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete("presets", files=True),
    help="Preset or YAML file; one memory port of 32 bits.",
)
@set_option
@click.option(
    "--baud", type=click.IntRange(1), default=1_000_000, show_default=True, help="Speed of the board's serial line."
)
@seed_option
@router_option
@click.option("--verilog-only", is_flag=True, help="Stop before synthesis, which takes half an hour and more.")
@output_option
@force_option
@quiet_option
def bitstream(
    board: str,
    config: str,
    overrides: tuple[str, ...],
    baud: int,
    seed: int,
    router: str,
    verilog_only: bool,
    folder: Path,
    force: bool,
    quiet: bool,
) -> int:
    """Build a bitstream with which a board runs models, in its SDRAM, for a host on its USB serial line.

    The accelerator, the link of rtlm run --backend uart:..., and LiteDRAM's controller for the 32 MiB of SDRAM. The
    controller's Verilog is made by the package litedram when the command runs; its initialisation is in gates.

    \b
    Examples:
      rtlm bitstream -o build/ulx3s
      openFPGALoader -b ulx3s build/ulx3s/linked.bit
      rtlm bitstream --verilog-only -o build/ulx3s
      rtlm bitstream --set limits.vocabulary=4096 --baud 3125000 -o build/ulx3s
    """
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress
    from rtlm.gen.configuration.load import load_config
    from rtlm.gen.package.folder import check_folder
    from rtlm.gen.package.linked import TOP, emit_linked, linked_package, linked_params
    from rtlm.gen.package.selftest import SHELLS, bitstream_facts, build_bitstream, check_shell

    shell = SHELLS[board]
    settings = load_config(config, overrides)
    check_shell(shell, settings, shell.sdram_preset)
    try:
        params = linked_params(shell, settings, baud=baud)
    except ValueError as error:
        raise GenerateError(f"Configuration {settings.name} is not for {board}: {error}.") from error
    check_folder(folder, force=force)
    progress = SilentProgress() if quiet else TerminalProgress()
    try:
        progress.stage(f"RTL of {settings.name}")
        emitted, modules = emit_linked(shell, params)
        package = linked_package(shell, settings, params, emitted, modules)
        # Before the tools that take long and may refuse the design: the Verilog is there in any case.
        files = package.write(folder, force=force)
        built = None
        if not verilog_only:
            built = build_bitstream(
                shell, emitted, top=TOP, modules=modules, seed=seed, router=router, progress=progress.stage
            )
            package.manifest["bitstream"] = bitstream_facts(shell, built, TOP)
            files = package.write(folder, force=force)
            files.append(folder / f"{TOP}.bit")
            files[-1].write_bytes(built.content)
    finally:
        progress.close()
    if not quiet:
        for path in files:
            print(path)
        if built is not None:
            show_bitstream(package.manifest["bitstream"])
    return NEGATIVE if built is not None and not built.timing.met else OK
