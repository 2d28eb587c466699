"""Models by name on the command line: the options, the question about a licence, the download."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rtlm.host.cli.names import complete
from rtlm.host.cli.options import Whole
from rtlm.host.models.sources import DEFAULT_MODEL, LICENCES, NAMED, find_source

if TYPE_CHECKING:
    from rtlm.gen.common.progress import Progress

NAMES = ", ".join(NAMED)
"""What can be fetched, for the texts of options."""

licence_option = click.option(
    "--accept-licence",
    "licences",
    multiple=True,
    type=click.Choice(LICENCES),
    metavar="|".join(LICENCES),
    help="Accept the licence of a model that is fetched by its name, which a terminal asks for otherwise.",
)
for_option = click.option(
    "--for",
    "model",
    metavar="MODEL",
    shell_complete=complete("models", "fetched", files=True),
    help="Change the configuration to hold this model, letting limits grow and adding what is needed: a GGUF file, a "
    f"config.json, a name of docs/models.md or of a model that is fetched ({NAMES}).",
)
context_option = click.option(
    "--context",
    type=Whole(1),
    help="Positions that have to fit with --for; default: those of the model, as far as the configuration has them.",
)


def check_context(model: str | None, context: int | None) -> None:
    """Refuse ``--context`` without ``--for``."""
    if context is not None and model is None:
        raise click.UsageError(f"--context {context} needs --for MODEL, for which the limits grow.")


def accepted(model: Any, licences: tuple[str, ...]) -> tuple[str, ...]:
    """Return the licences that the user accepts; where a model is yet to be fetched, name its licence and ask for it.

    Parameters
    ----------
    model
        Name or path of a model; None is the default model.
    licences
        Keys of those that were accepted as options.

    Raises
    ------
    click.UsageError
        If the licence is not accepted, or nobody can be asked.
    ModelError
        If there is no such model.
    """
    source = find_source(str(model or DEFAULT_MODEL))
    if source is None or source.licence is None:
        return licences
    from rtlm.host.models.download import is_there

    licence = source.licence
    if is_there(source):
        return (*licences, licence.key)
    print(f"{source.name} is fetched under the {licence.name}: {licence.address}", file=sys.stderr)
    if licence.key in licences:
        return licences
    refusal = f"{source.name} is fetched only if you accept its licence: --accept-licence {licence.key}."
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(refusal)
    if not click.confirm("Do you accept these terms?", err=True):
        raise click.UsageError(refusal)
    return (*licences, licence.key)


def model_file(model: str | Path, licences: tuple[str, ...], progress: "Progress") -> Path:
    """Return the path of a model, fetching one that is named.

    Parameters
    ----------
    model
        Name or path.
    licences
        Keys of the licences that were accepted as options.
    progress
        Told about the download; its status line is ended.

    Raises
    ------
    click.UsageError
        As `accepted` does.
    ModelError
        If there is no such model, or it cannot be fetched.
    """
    licences = accepted(model, licences)
    source = find_source(str(model))
    if source is None:
        return Path(model)
    from rtlm.host.models.download import fetch

    try:
        return fetch(source, progress=progress.stage, licences=licences)
    finally:
        progress.close()


def named_file(model: str, licences: tuple[str, ...], *, quiet: bool = False) -> str:
    """Return the path of a model that is fetched by name; anything else, such as a model on paper, as it is.

    Parameters
    ----------
    model, licences
        As in `model_file`.
    quiet
        Whether nothing is said of the download.
    """
    if model not in NAMED:
        return model
    from rtlm.gen.common.progress import SilentProgress, TerminalProgress

    return str(model_file(model, licences, SilentProgress() if quiet else TerminalProgress()))
