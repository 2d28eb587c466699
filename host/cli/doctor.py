"""``rtlm doctor``."""

import shutil
import sys

import click
from rtlm.gen.common.errors import ENVIRONMENT_ERROR, OK


@click.command()
def doctor() -> int:
    """Check the surroundings and say what is missing.

    Nothing is changed or downloaded. The exit code is 3 if something that `rtlm run` needs is missing.

    \b
    Examples:
      rtlm doctor
      rtlm doctor && rtlm run --chat "Hello"
    """
    from rtlm.host.cli.surroundings import checks, lines

    found = list(checks())
    print("\n".join(lines(found, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)))
    missing = sum(check.required and not check.ok for check in found)
    if missing:
        print(f"{missing} of the things that rtlm run needs {'is' if missing == 1 else 'are'} missing.")
    return ENVIRONMENT_ERROR if missing else OK
