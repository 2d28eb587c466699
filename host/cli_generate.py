"""``rtlm generate``."""

from pathlib import Path

import click
from rtlm.host.cli_common import config_option, set_option


@click.group()
def generate() -> None:
    """Write RTL to a folder.

    \b
    Example:
      rtlm generate accelerator --config kv260 --set matmul.columns=2 -o build/kv260
    """


@generate.command()
@config_option
@set_option
@click.option(
    "--output",
    "-o",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; made if it does not exist.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
def accelerator(config: str, overrides: tuple[str, ...], folder: Path, quiet: bool) -> None:
    """Write the whole accelerator: NAME.v and manifest.json.

    The Verilog is the same bytes on every machine. The manifest holds the configuration and its hash, ports, versions
    of the tools, and estimated element counts.

    \b
    Example:
      rtlm generate accelerator --config kv260 -o build/kv260
    """
    from rtlm.gen.config import load_config
    from rtlm.gen.rtl import generate as generate_rtl
    from rtlm.host.progress import SilentProgress, TerminalProgress

    progress = SilentProgress() if quiet else TerminalProgress()
    try:
        files = generate_rtl(load_config(config, overrides), folder, progress.stage)
    finally:
        progress.close()
    if not quiet:
        for path in files:
            print(path)
