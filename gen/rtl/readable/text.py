"""From the Verilog that yosys writes to Verilog that a person reads: the same hardware."""

import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from rtlm.gen.rtl.readable.expressions import Expression, short, write
from rtlm.gen.rtl.readable.inlining import inline
from rtlm.gen.rtl.readable.modules import Module, Signal, Statement, read_modules
from rtlm.gen.rtl.readable.naming import Names, rename, rename_ports

LINE = 110
"""Characters at which a line is broken, where there is a space to break it at."""
_ESCAPED = re.compile(r"\\\S+ ?|\b[A-Za-z_]\w*\$[\w$]*")
_CLOCK, _RESET = re.compile(r"clk|\w+_clk"), re.compile(r"rst|\w+_rst")
_DIGITS = re.compile(r"(\d+)")


def readable(text: str, objects: Mapping[str, Any], ports: Mapping[str, str]) -> tuple[str, dict[str, Names]]:
    """Rewrite Verilog.

    Parameters
    ----------
    text
        What yosys wrote.
    objects
        What each module is, see `rtlm.gen.rtl.names`.
    ports
        Ports of the top, which is the first module, in the order of its header, and what they are to be called.

    Returns
    -------
    tuple[str, dict[str, Names]]
        The text; and for each module, by its hierarchical name, the signals of the netlist that have another name here.
    """
    modules = list(read_modules(text))
    outputs = {
        module.name: {port for port in module.ports if module.signals[port].direction == "output"} for module in modules
    }
    other = {port: name for port, name in ports.items() if port != name}
    port_names = rename_ports(modules, modules[0].name, other)
    order = {port: place for place, port in enumerate(ports)}
    texts, renamed = [], {}
    for module in modules:
        inline(module)
        new = rename(module, port_names, outputs)
        plain = module.name.removeprefix("\\")
        renamed[plain] = {old.removeprefix("\\"): name.removeprefix("\\") for old, name in new.items()}
        texts.append(_comment(objects.get(plain, {})) + _module(module, new, port_names, order))
        order = {}
    return "\n".join(texts), renamed


def _comment(known: Mapping[str, Any]) -> str:
    """Return the comment above a module: its class and the first sentence of its documentation."""
    kind = known.get("class") or ""
    if known.get("kernel"):
        kind = f"kernel {known['kernel']}"
    text = ": ".join(each for each in (kind, known.get("summary", "")) if each)
    return "".join(f"// {line}\n" for line in textwrap.wrap(text, LINE - 3, break_on_hyphens=False))


def _module(module: Module, new: Names, ports: Mapping[str, Names], order: Mapping[str, int]) -> str:
    def named(name: str) -> str:
        found = new.get(name, name)
        return f"{found} " if found.startswith("\\") else found

    def place(port: str) -> tuple[int, int]:
        plain = port.removeprefix("\\")
        first = 0 if _CLOCK.fullmatch(plain) else 1 if _RESET.fullmatch(plain) else 2
        return first, order.get(plain, len(order))

    header = sorted(module.ports, key=place)
    lines = _wrapped(
        f"module {module.name + ' ' * module.name.startswith(chr(92))}({', '.join(map(named, header))});", "  "
    )
    for port in header:
        lines += _declaration(module.signals[port], named)
    inner = [signal for name, signal in module.signals.items() if not signal.direction]
    for signal in sorted(inner, key=lambda each: _natural(new.get(each.name, each.name))):
        lines += _declaration(signal, named)
    for statement in module.statements:
        lines += _statement(statement, named, ports)
    return "\n".join([*module.attributes, *lines, "endmodule", ""])


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names with the numbers in them as numbers."""
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(name.removeprefix("\\")) if part
    ]


def _declaration(signal: Signal, named: Callable[[str], str]) -> list[str]:
    bits = f"[{signal.width - 1}:0] " if signal.width > 1 else ""
    initial = f" = {short(signal.initial)}" if signal.initial else ""
    name = named(signal.name)
    lines = list(signal.attributes)
    if signal.direction:
        lines.append(f"  {signal.direction} {bits}{name};")
    if signal.register or not signal.direction:
        lines.append(f"  {'reg' if signal.register else 'wire'} {bits}{name}{initial};")
    return lines


def _statement(statement: Statement, named: Callable[[str], str], ports: Mapping[str, Names]) -> list[str]:
    target, value = statement.target, statement.value
    if statement.kind == "assign" and target and value:
        return _wrapped(f"  assign {write(target, named)} = {_chain(value, named)};", "    ")
    if statement.kind == "clocked" and target and value:
        condition = statement.condition
        test = ""
        if condition:
            negated = statement.text.endswith("!")
            test = f"{write(condition, named, inside=negated)}) "
        return _wrapped(f"    {statement.text}{test}{write(target, named)} <= {_chain(value, named)};", "      ")
    if statement.kind == "connection" and value is not None:
        port = ports.get(statement.instance[1], {}).get(statement.text, statement.text)
        space = " " if port.startswith("\\") else ""
        inner = write(value, named) if value.parts or value.text else ""
        return _wrapped(f"    .{port}{space}({inner}){statement.comma}", "      ")
    if "\\" in statement.text or "$" in statement.text:
        return _wrapped(_ESCAPED.sub(lambda match: named(match[0].rstrip()), statement.text), "      ")
    return [short(statement.text)]


def _chain(value: Expression, named: Callable[[str], str]) -> str:
    """Write an expression, a choice among several with one to a line."""
    text = ""
    while value.kind == "choice" and value.parts[2].kind == "choice":
        condition, yes, value = value.parts
        text += f"\n{write(condition, named, inside=True)} ? {write(yes, named, inside=True)} :"
    return f"{text}\n{write(value, named)}" if text else write(value, named)


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a text where it is too long, between tokens."""
    first, *others = text.split("\n")
    lines = []
    for line in (first, *(indent + other for other in others)):
        if len(line) <= LINE:
            lines.append(line.rstrip())
            continue
        start = line[: len(line) - len(line.lstrip())]
        more = indent if line is first else indent + "  "
        lines += textwrap.wrap(
            line, LINE, subsequent_indent=max(more, start), break_long_words=False, break_on_hyphens=False
        )
    return lines
