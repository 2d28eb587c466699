"""How rtlm was installed, and the command that installs more of it."""

import json
import shlex
import sys
from importlib import metadata
from pathlib import Path

PACKAGE = "rtlm"


def install_command(extra: str) -> str:
    """Return the command that adds one of rtlm's extras.

    Parameters
    ----------
    extra
        Its name in ``pyproject.toml``.
    """
    if in_source_tree():
        return f"pip install -e '.[{extra}]'"
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").is_file():
        return f"pipx runpip {PACKAGE} install '{PACKAGE}[{extra}]'"
    if (environment / "uv-receipt.toml").is_file():  # of uv tool, whose environments have no pip
        return f"uv pip install --python {shlex.quote(str(environment))} '{PACKAGE}[{extra}]'"
    return f"pip install '{PACKAGE}[{extra}]'"


def in_source_tree() -> bool:
    """Return whether rtlm runs from its source tree: installed as editable, or not at all."""
    try:
        # PEP 610: pip's note of where a package that is from no index came from.
        text = metadata.distribution(PACKAGE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return True
    return text is not None and bool(json.loads(text).get("dir_info", {}).get("editable"))


def package_version(name: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
