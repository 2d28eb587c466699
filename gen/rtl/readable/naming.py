"""Names without ``$``: a signal without one of its own is called after what drives it or what it drives.

Amaranth tells signals of the same name apart by a number (``busy$446``), and has none for those that the source does
not name; yosys numbers the results of its cells. They become ``matmul_busy`` (the output of an instance),
``count_next`` (what a register takes), ``count_enable``, ``count_reset``, else ``count_2``:
numbers count from 2 on in each module.
"""

import re
from collections.abc import Iterator, Mapping

from rtlm.gen.rtl.readable.expressions import Expression, names
from rtlm.gen.rtl.readable.modules import Module, Statement
from rtlm.gen.rtl.reserved import SYSTEMVERILOG

_ROOT = re.compile(r"\\(\$auto\$.*|[^.\[]*)(.*)")
_NUMBERED = re.compile(r"([A-Za-z_]\w*?)(?:\$\d+)+")
_PLAIN = re.compile(r"[A-Za-z_]\w*")
_UNNAMED_SIGNAL = re.compile(r"\$signal(?:\$\d+)?")
_LONGEST = 60
"""Characters of a name that another is made of."""

Names = dict[str, str]
"""Another name for some, each as it is written."""


def rename_ports(modules: list[Module], top: str, ports: Mapping[str, str]) -> dict[str, Names]:
    """Return other names for the ports of each module that have a number; those of the top are given."""
    found: dict[str, Names] = {}
    for module in modules:
        if module.name == top:
            found[module.name] = dict(ports)
            continue
        namer = _Namer(module, {})
        for port in module.ports:
            if "$" in port:
                namer.name(port, _base(port))
        found[module.name] = namer.names
    return found


def rename(module: Module, ports: Mapping[str, Names], outputs: Mapping[str, set[str]]) -> Names:
    """Return other names for the signals of a module that have none of their own.

    Parameters
    ----------
    module
        The module, after inlining.
    ports
        Other names of ports, by module; those of this one are among what is returned.
    outputs
        Outputs of each module.
    """
    namer = _Namer(module, ports[module.name])
    for statement in module.statements:
        _after_instance(namer, statement, ports, outputs)
    for name in module.signals:
        if "$" in name and (_NUMBERED.match(name[1:]) or _UNNAMED_SIGNAL.match(name[1:])):
            namer.name(name, _base(name))
    consumers = list(_consumers(module, ports))
    # What is read by something unnamed waits for the name of that.
    while True:
        left = []
        for name, reader, suffix in consumers:
            if name in namer.names or "$" not in name:
                continue
            if "$" in reader and reader not in namer.names:
                left.append((name, reader, suffix))
            else:
                namer.name(name, namer.plain(reader) + suffix)
        if len(left) == len(consumers):
            break
        consumers = left
    for name in [*module.signals, *sorted(module.others), *sorted(module.instances)]:
        if "$" in name:
            namer.name(name, _base(name) if name in module.signals else "select")
    return namer.names


def _after_instance(
    namer: "_Namer", statement: Statement, ports: Mapping[str, Names], outputs: Mapping[str, set[str]]
) -> None:
    """Call what an instance drives after it and its port."""
    value = statement.value
    if statement.kind != "connection" or value is None or value.kind != "name" or "$" not in value.text:
        return
    instance, of = statement.instance
    if statement.text in outputs.get(of, ()):
        port = ports[of].get(statement.text, statement.text)
        namer.name(value.text, f"{_word(instance)}_{_word(port)}")


def _consumers(module: Module, ports: Mapping[str, Names]) -> Iterator[tuple[str, str, str]]:
    """Yield what reads a signal: the signal, what gets a name first, and what stands behind its name."""
    for statement, following in zip(module.statements, [*module.statements[1:], Statement("other")], strict=True):
        if statement.kind == "connection" and statement.value:
            instance, of = statement.instance
            reader = f"{_word(instance)}_{_word(ports.get(of, {}).get(statement.text, statement.text))}"
            yield from ((name, reader, "") for name in names(statement.value))
        elif statement.target and statement.value:
            reader = _first(statement.target)
            if statement.kind == "clocked":
                is_reset = following.kind == "clocked" and following.text.startswith("else")
                if statement.condition:
                    suffix = "_reset" if is_reset else "_enable"
                    yield from ((name, reader, suffix) for name in names(statement.condition))
                yield from ((name, reader, "_next") for name in names(statement.value))
            else:
                yield from ((name, reader, "") for name in names(statement.value))


def _first(target: Expression) -> str:
    """Return the first name in a target that is named, else the first."""
    found = list(names(target))
    return next((name for name in found if "$" not in name), found[0])


def _word(name: str) -> str:
    """Return what a name is as a part of another."""
    return re.sub(r"_{3,}", "__", re.sub(r"\W", "_", name.removeprefix("\\"))).strip("_")


def _root(name: str) -> str:
    """Return the signal that a name is of, or of a field of which, without the backslash of an escaped one."""
    match = _ROOT.match(name)
    return match[1] if match else name


def _base(name: str) -> str:
    """Return the signal that a name is of, without its numbers."""
    text = _root(name)
    match = _NUMBERED.fullmatch(text)
    if match:
        return match[1]
    return "signal" if _UNNAMED_SIGNAL.fullmatch(text) else "value"


class _Namer:
    """Gives names that are free in a module."""

    def __init__(self, module: Module, names: Names) -> None:
        self.names = dict(names)
        self.taken = {self.names.get(name, name).removeprefix("\\") for name in (*module.signals, *module.others)} | {
            name.removeprefix("\\") for name in module.instances
        }
        # Where a signal is gone, its fields may be left.
        self.taken |= {re.split(r"[.\[]", name)[0] for name in self.taken}
        self.roots = {_root(old): new.removeprefix("\\") for old, new in names.items()}
        self.last: dict[str, int] = {}

    def plain(self, name: str) -> str:
        """Return a name as a part of another, without a number at its end."""
        return _word(self.names.get(name, name))[:_LONGEST].rstrip("_")

    def name(self, old: str, wanted: str) -> None:
        """Give a name, if there is none yet: the wanted one, or that with the first number that is free."""
        if old in self.names:
            return
        root = _root(old)
        fields = old.removeprefix("\\").removeprefix(root)
        if root not in self.roots:
            self.roots[root] = self._free(_word(wanted) or "value")
        new = self.roots[root] + fields
        self.names[old] = new if _PLAIN.fullmatch(new) else f"\\{new}"

    def _free(self, wanted: str) -> str:
        free = wanted
        if free in self.taken or free in SYSTEMVERILOG:
            number = self.last.get(wanted, 1) + 1
            while f"{wanted}_{number}" in self.taken:
                number += 1
            self.last[wanted], free = number, f"{wanted}_{number}"
        self.taken.add(free)
        return free
