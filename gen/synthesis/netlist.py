"""Cuts units out of a netlist: every instance in Amaranth's RTLIL is a module named by its place in the hierarchy."""

import re

from rtlm.gen.common.errors import GenerateError

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module \\(\S+)\n.*?^end\n", re.MULTILINE | re.DOTALL)


def modules(rtlil: str) -> dict[str, str]:
    """Return the text of each module by its hierarchical name (``top.unit.part``)."""
    return {match[1]: match[0] for match in _MODULE.finditer(rtlil)}


def cut(rtlil: str, path: str) -> tuple[str, str]:
    """Return the netlist of a unit with everything below it, and its name as a top module.

    Parameters
    ----------
    rtlil
        Netlist of the whole, from `rtlm.gen.rtl.verilog.to_rtlil`.
    path
        Place below the top, such as ``matmul.array``; empty for the whole.

    Raises
    ------
    GenerateError
        If there is no such unit; the message names those that are one level below the last known one.
    """
    known = modules(rtlil)
    top = min(known, key=lambda name: name.count("."))
    name = f"{top}.{path}" if path else top
    if name not in known:
        above = path
        while above and f"{top}.{above}" not in known:
            above = above.rpartition(".")[0]
        start = f"{top}.{above}." if above else f"{top}."
        below = sorted(n.removeprefix(start) for n in known if n.startswith(start) and "." not in n.removeprefix(start))
        where = above or "the top"
        raise GenerateError(
            f"There is no unit {path!r}: below {where} there {'are ' + ', '.join(below) if below else 'is nothing'}."
        )
    parts = [text for other, text in known.items() if other == name or other.startswith(f"{name}.")]
    return "".join(parts), name


def down_to(rtlil: str, top: str, depth: int) -> list[str]:
    """Return the names of the modules up to some levels below a top module, which is level 0."""
    level = top.count(".")
    return sorted(name for name in modules(rtlil) if name.count(".") - level <= depth)
