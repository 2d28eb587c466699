"""``rtlm doctor``."""

import click
from rtlm.gen.errors import ENVIRONMENT_ERROR, OK


@click.command()
def doctor() -> int:
    """Check the surroundings and say what is missing.

    Nothing is changed or downloaded. The exit code is 3 if something that `rtlm run` needs is missing.
    """
    from rtlm.host.doctor import checks

    missing = 0
    for check in checks():
        state = "ok" if check.ok else "MISSING" if check.required else "optional"
        print(f"{state:9}{check.name:14}{check.sentence}", flush=True)
        missing += check.required and not check.ok
    if missing:
        print(f"{missing} of the things that rtlm run needs {'is' if missing == 1 else 'are'} missing.")
    return ENVIRONMENT_ERROR if missing else OK
