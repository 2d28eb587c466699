"""``rtlm bitstream``."""

from pathlib import Path

import click
from rtlm.gen.common.errors import NEGATIVE, OK, GenerateError
from rtlm.gen.common.installation import install_command
from rtlm.host.cli.board_design import BOARDS, design_options, show_bitstream
from rtlm.host.cli.names import known


@click.command(
    epilog=f"Needs the extras synth and boards: {install_command('synth,boards')}. The exit code is 1 when a clock is "
    "not reached, or the design cannot be routed. Bitstreams are cached by content in ~/.cache/rtlm. No board was at "
    "hand: the same top decodes in Verilator with a model of the SDRAM (docs/synthesis.md)."
)
@design_options(
    known("sdram boards")[BOARDS[0]],
    click.option(
        "--baud", type=click.IntRange(1), default=1_000_000, show_default=True, help="Speed of the board's serial line."
    ),
)
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
    from rtlm.gen.package.linked import emit_linked, linked_package, linked_params
    from rtlm.gen.package.shell import SHELLS, check_shell, write_design

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
        files, built = write_design(
            shell,
            package,
            emitted,
            folder,
            force=force,
            bitstream=not verilog_only,
            modules=modules,
            seed=seed,
            router=router,
            progress=progress.stage,
        )
    finally:
        progress.close()
    if not quiet:
        for path in files:
            print(path)
        if built is not None:
            show_bitstream(package.manifest["bitstream"])
    return NEGATIVE if built is not None and not built.timing.met else OK
