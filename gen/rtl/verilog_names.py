"""What a generated Verilog text says of its signals: where they are, how wide, and what their values are called."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_MODULE = re.compile(r"^module \\?(\S+)\s*\(")
_SIGNAL = re.compile(r"^  (input|output|wire|reg) (?:\[(\d+):0\] )?\\?(\S+?) ?(?: = \S+)?;$")
_INSTANCE = re.compile(r"^  \\?([\w.$]+)\s+(?:#\(.*\) )?\\?(\S+) \($")
_ENUM = re.compile(r'^  \(\* enum_base_type = "(.*)" \*\)$')
_VALUE = re.compile(r'^  \(\* enum_value_([01]+) = "(.*)" \*\)$')


@dataclass(frozen=True)
class ValueNames:
    """Names of a signal's values.

    Parameters
    ----------
    kind
        What they are values of: an enumeration, or a state machine.
    bits
        Width.
    names
        Each value and its name.
    """

    kind: str
    bits: int
    names: tuple[tuple[int, str], ...]


@dataclass
class VerilogModule:
    """A module.

    Parameters
    ----------
    signals
        Width of each named signal.
    ports
        Those that are ports.
    values
        Names of the values of those that have some.
    instances
        Module of each instance within.
    """

    signals: dict[str, int] = field(default_factory=dict)
    ports: set[str] = field(default_factory=set)
    values: dict[str, ValueNames] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)


def read_verilog(text: str, objects: Mapping[str, Any]) -> dict[str, VerilogModule]:
    """Return the modules of a generated Verilog text, by name.

    Parameters
    ----------
    text
        What `rtlm.gen.rtl.verilog.emit` wrote.
    objects
        Its objects, for the names of states.
    """
    modules: dict[str, VerilogModule] = {}
    module = VerilogModule()
    kind = ""
    names: list[tuple[int, str]] = []
    for line in text.splitlines():
        if match := _MODULE.match(line):
            module = modules.setdefault(match[1], VerilogModule())
        elif match := _ENUM.match(line):
            kind, names = match[1], []
        elif match := _VALUE.match(line):
            names.append((int(match[1], 2), match[2]))
        elif match := _SIGNAL.match(line):
            direction, high, name = match.groups()
            bits = int(high or 0) + 1
            module.signals[name] = bits
            if direction in ("input", "output"):
                module.ports.add(name)
            if names:
                module.values[name] = ValueNames(kind, bits, tuple(names))
            # Of a port they stand before the direction; if it is a register, that follows at once.
            kind, names = "", []
        elif match := _INSTANCE.match(line):
            module.instances[match[2]] = match[1]
            kind, names = "", []
    for name, module in modules.items():
        for register, states in objects.get(name, {}).get("states", {}).items():
            if register in module.signals:
                short = f"{name.rpartition('.')[2]}_{register}"
                module.values[register] = ValueNames(short, module.signals[register], tuple(enumerate(states)))
    return modules


def instances(modules: Mapping[str, VerilogModule], top: str) -> Iterator[tuple[str, VerilogModule]]:
    """Yield each instance below a module, by its path, and what it is of; the first is the module itself."""
    waiting = [(top, top)]
    while waiting:
        path, name = waiting.pop()
        if name not in modules:
            continue
        yield path, modules[name]
        waiting += [(f"{path}.{inner}", of) for inner, of in reversed(modules[name].instances.items())]
