"""``rtlm image``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rtlm.gen.common.errors import OK
from rtlm.host.cli.files import STANDARD_OUTPUT, check_text_file, write_text
from rtlm.host.cli.models import licence_option, model_file
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import Whole, config_option, set_option

if TYPE_CHECKING:
    from rtlm.gen.common.progress import Progress
    from rtlm.host.compiler.image_manifest import ImageManifest

WRITE = "write"
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing.")


class ImageGroup(click.Group):
    """A group whose first command need not be named: ``rtlm image MODEL.gguf`` writes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command's name before what is not one."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [WRITE, *args]
        return super().parse_args(ctx, args)


@click.group(cls=ImageGroup, options_metavar="", subcommand_metavar="MODEL.gguf [OPTIONS] | check DIR")
def image() -> None:
    """Write what a board is loaded with: a model's memory image and program for a configuration.

    \b
    Examples:
      rtlm image model.gguf --config kv260 -o build/image
      rtlm image check build/image
      rtlm image write --help
    """


@image.command(name=WRITE, short_help="Write memory image, program and manifest; need not be named.")
@click.argument("model", metavar="MODEL.gguf", shell_complete=complete("fetched", files=True))
@config_option
@set_option
@click.option("--context", type=Whole(1), help="Positions that have to fit; default: all of model and accelerator.")
@click.option("--rtl", is_flag=True, help="Generate the Verilog if it is not there, for its hash in the manifest.")
@click.option(
    "--output",
    "-o",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; an earlier image in it is replaced, or kept if it is the same.",
)
@licence_option
@quiet_option
def write(
    model: str,
    config: str,
    overrides: tuple[str, ...],
    context: int | None,
    rtl: bool,
    folder: Path,
    licences: tuple[str, ...],
    quiet: bool,
) -> int:
    """Write the memory image and the program of a model, with a manifest (docs/memory-image.md).

    The command is what `rtlm image MODEL.gguf` does; MODEL.gguf may be the name of a model that is fetched. Models may
    be larger than this machine's memory.

    \b
    Examples:
      rtlm image model.gguf --config kv260 --context 1024 -o build/image
    """
    from rtlm.gen.configuration.load import load_config
    from rtlm.gen.rtl.verilog import build_rtl, verilog_sha256
    from rtlm.host.compiler.image_folder import write_image

    loaded = load_config(config, overrides)
    progress = _progress(quiet)
    try:
        path = model_file(model, licences, progress)
        verilog = build_rtl(loaded, progress.stage).manifest["verilog_sha256"] if rtl else verilog_sha256(loaded)
        manifest = write_image(loaded, path, folder, context=context, verilog_sha256=verilog, progress=progress.stage)
    finally:
        progress.close()
    if not quiet:
        for name in sorted([*manifest.files, "manifest.json"]):
            print(folder / name)
        print(_summary(manifest))
    return OK


@image.command(short_help="Check an image against its manifest.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--config",
    "-c",
    metavar="NAME|FILE",
    shell_complete=complete("presets", files=True),
    help="Check that it is for this configuration.",
)
@set_option
@click.option("--model", "-m", type=click.Path(path_type=Path), metavar="FILE", help="Check that it is of this file.")
@click.option("--json", "json_file", metavar="FILE", help="Write the result as JSON; - is standard output.")
@quiet_option
def check(
    folder: Path, config: str | None, overrides: tuple[str, ...], model: Path | None, json_file: str | None, quiet: bool
) -> int:
    """Check an image against its manifest: magic, version, hashes, CRCs, lengths.

    The first difference is named, and the exit code is then 1.

    \b
    Examples:
      rtlm image check build/image
      rtlm image check build/image --config kv260 --model model.gguf
    """
    from rtlm.gen.configuration.load import load_config
    from rtlm.host.compiler.image_check import check_image_folder
    from rtlm.host.errors import ImageMismatchError

    if overrides and config is None:
        raise click.UsageError("--set needs --config, the configuration that it changes.")
    check_text_file("--json", json_file)
    expected = None if config is None else load_config(config, overrides)
    progress = _progress(quiet)
    manifest, difference = None, None
    try:
        manifest = check_image_folder(folder, config=expected, model_file=model, progress=progress.stage)
    except ImageMismatchError as error:
        if json_file is None:
            raise
        difference = error
    finally:
        progress.close()
    if json_file is not None:
        result = {"folder": str(folder), "matches": difference is None, "difference": difference and str(difference)}
        write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "--json", json_file)
    if difference is not None:
        raise difference
    if manifest is not None and not quiet and json_file != STANDARD_OUTPUT:
        print(f"{folder} is what its manifest says.\n{_summary(manifest)}")
    return OK


def _progress(quiet: bool) -> "Progress":
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress

    return SilentProgress() if quiet else TerminalProgress()


def _summary(manifest: "ImageManifest") -> str:
    """Return what an image is, in three lines."""
    model, config, memory = manifest.model, manifest.configuration, manifest.memory
    return (
        f"model          {model.file}, {model.layers} layers, {model.context} positions, SHA-256 {model.sha256}\n"
        f"configuration  {config.name} ({config.hash}), {memory.ports} ports of {memory.port_bytes} bytes\n"
        f"memory         {memory.image_bytes:,} bytes of image, {memory.zero_bytes:,} of zeros behind it"
    )
