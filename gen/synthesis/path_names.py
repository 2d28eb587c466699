"""What a place in a netlist is in terms of our source: class, kernel, operator and stage, line of the declaration."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NET = re.compile(r"(?P<operator>[a-z]\w*?)_(?P<net>\d+)(?:_s(?P<stage>\d+))?(?:\[\d+\])?$")
"""A net of a pipeline, as `rtlm.hw.hls.emit` names it: operator, number, the stage whose register it is."""
_BIT = re.compile(r"\[\d+\]$")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """What a signal belongs to.

    Parameters
    ----------
    path
        Instance, by its place below the top: ``matmul.results.floats``; empty for the top or outside of it.
    what
        Its class, or ``kernel NAME``.
    part
        ``OPERATOR, stage N`` in a kernel's pipeline, else the signal and the line of its declaration.
    """

    path: str
    what: str
    part: str

    def __str__(self) -> str:
        return " ".join(text for text in (self.path, f"({self.what})" if self.what else "", self.part) if text)

    @property
    def operator(self) -> str:
        """The instance and, in a pipeline, the operator: what the steps of a path are added up by."""
        where = f"{self.path} ({self.what})".strip()
        return f"{where} {self.part.split(',')[0]}" if self.what.startswith("kernel") else where


def owner(signal: str, top: str, objects: Mapping[str, Any]) -> Owner:
    """Return what a signal belongs to.

    Parameters
    ----------
    signal
        ``module/path: name[bit]``, as `rtlm.gen.synthesis.place.signal_name` gives it.
    top
        Hierarchical name of the placed unit, such as ``accelerator.matmul``.
    objects
        What each module is (`rtlm.gen.rtl.verilog.Rtl.objects`).
    """
    where, colon, name = signal.rpartition(": ")
    root = top.partition(".")[0]
    # Anonymous cells and the registers of the harness have no module.
    module = f"{top}.{where.replace('/', '.')}" if colon else top
    while module not in objects and "." in module:
        module = module.rpartition(".")[0]
    if module not in objects:
        return Owner(path=where.replace("/", "."), what="", part=name)
    above = module.rpartition(".")[0]
    kernel = objects.get(above, {}).get("kernel")
    net = _NET.match(name)
    if kernel:
        phase = module.rpartition(".")[2]
        pieces = [net["operator"] if net else name]
        pieces += [phase] if phase.startswith("phase") else []
        pieces += [f"stage {net['stage']}"] if net and net["stage"] else []
        return Owner(path=_below(above, root), what=f"kernel {kernel}", part=", ".join(pieces))
    known = objects[module]
    bit = _BIT.search(name)
    plain = _BIT.sub("", name)
    plain = known.get("netlist", {}).get(plain, plain)
    name, line = plain + (bit[0] if bit else ""), known["signals"].get(plain, "")
    kind = f"kernel {known['kernel']}" if known.get("kernel") else (known["class"] or "").rpartition(".")[2]
    return Owner(path=_below(module, root), what=kind, part=f"{name}, {line}" if line else name)


def _below(module: str, root: str) -> str:
    return module.removeprefix(root).lstrip(".")


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a part of the design takes of a path: nanoseconds of logic and of routing, cells of logic."""

    operator: str
    logic_ns: float
    routing_ns: float
    cells: int


def shares(steps: Sequence[Any], top: str, objects: Mapping[str, Any]) -> list[Share]:
    """Add the steps of a path up, in its order, by the operator or unit that they run through.

    Parameters
    ----------
    steps
        Those of a `rtlm.gen.synthesis.place.Timing`. A wire belongs to the cell that drives it.
    top, objects
        As in `owner`.
    """
    found: list[Share] = []
    for step in steps:
        operator = owner(step.signal, top, objects).operator
        # Cells without a name, such as those inside a product, belong to what stands before them.
        unnamed = step.signal.startswith("$")
        if not found or (found[-1].operator != operator and not unnamed):
            found.append(Share(operator=operator, logic_ns=0, routing_ns=0, cells=0))
        last, routing = found[-1], step.kind == "routing"
        found[-1] = Share(
            operator=last.operator,
            logic_ns=round(last.logic_ns + step.delay_ns * (not routing), 3),
            routing_ns=round(last.routing_ns + step.delay_ns * routing, 3),
            cells=last.cells + (step.kind == "logic"),
        )
    return found
