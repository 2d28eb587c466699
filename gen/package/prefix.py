"""A prefix before the names of all modules, so that two configurations can live in one design."""

import re
from collections.abc import Mapping
from typing import Any

from rtlm.gen.common.errors import GenerateError
from rtlm.gen.rtl.reserved import language_of

LONGEST = 32
"""Characters of a prefix."""

_MODULE = re.compile(r"^module (\\\S+|\w+)", re.MULTILINE)


def check_prefix(prefix: str, module: str) -> None:
    """Refuse a prefix that does not make a name.

    Parameters
    ----------
    prefix
        The prefix; an empty one is none.
    module
        The top module.

    Raises
    ------
    GenerateError
        If it is not of letters, digits and ``_``, begins with a digit, is too long, or makes a keyword.
    """
    if prefix and (not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", prefix) or len(prefix) > LONGEST):
        raise GenerateError(
            f"prefix must be letters, digits and _, at most {LONGEST}, and must not begin with a digit, got {prefix!r}."
        )
    if prefix and (language := language_of(prefix + module)):
        raise GenerateError(f"prefix {prefix} makes {prefix}{module} of {module}, a keyword of {language}.")


def prefixed_text(verilog: str, prefix: str) -> str:
    """Return Verilog with a prefix before the name of each of its modules, where they are defined and instantiated."""
    if not prefix:
        return verilog
    names = {name.removeprefix("\\") for name in _MODULE.findall(verilog)}

    def renamed(match: re.Match[str]) -> str:
        name = match[3].rstrip()
        return f"{match[1]}{match[2]}{prefix}{match[3]}" if name in names else match[0]

    # An instance is indented by two spaces, and another name or its parameters follow.
    return re.sub(r"^(module |  (?=\S+ +[\\\w#]))(\\?)(\S+?(?=[\s(]) ?)", renamed, verilog, flags=re.MULTILINE)


def prefixed_objects(objects: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what each module is (`rtlm.gen.rtl.names`), by its name with the prefix."""
    return {f"{prefix}{name}": known for name, known in objects.items()}
