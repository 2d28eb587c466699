"""Options that several commands share."""

import errno
import os
from pathlib import Path
from typing import Any

import click
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.host.cli.names import complete, complete_setting

MAX_PLACER_SEED = (1 << 31) - 1  # nextpnr's option is an int


class Real(click.FloatRange):
    """A real number of a range; all others, NaN among them, are refused with what is allowed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            number = float("nan")
        if number != number:
            raise _not_allowed(self, "", value, param, ctx)
        return number


class Whole(click.IntRange):
    """A whole number of a range; all others are refused with what is allowed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise _not_allowed(self, "a whole number, ", value, param, ctx) from None


def _not_allowed(
    bounds: Real | Whole, kind: str, value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> click.UsageError:
    """Return the error that says what was given and what is allowed."""
    if bounds.max is None:
        allowed = f"at least {bounds.min}"
    elif bounds.min_open:
        allowed = f"above {bounds.min} and at most {bounds.max}"
    else:
        allowed = f"between {bounds.min} and {bounds.max}"
    name = param.opts[0] if param else "the number"
    return click.UsageError(f"{name} must be {kind}{allowed}, got {value}.", ctx)


config_option = click.option(
    "--config",
    "-c",
    default=DEFAULT_PRESET,
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete("presets", files=True),
    help="Preset (see rtlm list) or YAML file.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_setting,
    help="Change a value of the configuration, such as matmul.lanes=256. May be repeated.",
)
seed_option = click.option(
    "--seed",
    type=Whole(0, MAX_PLACER_SEED),
    default=1,
    show_default=True,
    help="Seed of the placer; results differ by some 5 %.",
)


def check_writable(option: str, path: Path) -> None:
    """Refuse a file that could not be written before work of minutes, not after."""
    reason = ""
    if os.path.isdir(path):
        reason = "is a folder"
    elif not os.path.isdir(path.parent):
        reason = f"cannot be written: there is no folder {path.parent}"
    elif os.path.isfile(path) or not os.path.lexists(path):
        # Not every folder that may be written takes files: /proc does not.
        new = not os.path.lexists(path)
        try:
            path.open("ab").close()
        except OSError as error:
            reason = f"cannot be written: {error.strerror}"
        else:
            if new:
                path.unlink()
    elif not os.access(path, os.W_OK):  # a pipe or a device, which opening may change
        reason = f"cannot be written: {os.strerror(errno.EACCES)}"
    if reason:
        raise click.UsageError(f"{option} {path} {reason}.")


def make_folder(option: str, path: Path) -> None:
    """Make a folder if it does not exist, and refuse one that cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{option} {path} cannot be made: {error.strerror}.") from None
