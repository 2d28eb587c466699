"""The modules of the Verilog that yosys writes, by their declarations and statements."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rtlm.gen.rtl.readable.expressions import TOKEN, Expression, UnknownTextError, join, parse

_HEAD = re.compile(r"^module (\\\S+|\w+) ?\((.*)")
_SIGNAL = re.compile(r"^  (input|output|wire|reg) (?:\[(\d+):0\] )?(\\\S+|[\w$]+) ?(?: = (\S+))?;$")
_MEMORY = re.compile(r"^  reg (?:\[\d+:0\] )?(\\\S+|[\w$]+)  ?\[\d+:0\];$")
_ASSIGN = re.compile(r"^  assign (.+?) = (.+);$")
_CLOCKED = re.compile(r"^    ((?:else )?)(?:if \((!?)(.+?)\) )?([^ ].*?) <= (.+);$")
_CONNECTION = re.compile(r"^    \.(\\\S+|\w+) ?\((.*)\)(,?)$")
_INSTANCE = re.compile(r"^  (\\\S+|\w+) +(\\\S+|\w+) *\($")
_PARAMETERS = re.compile(r"^  (\\\S+|\w+) +#\($")
_AFTER_PARAMETERS = re.compile(r"^  \) (\\\S+|\w+) *\($")
_FUNCTION = re.compile(r"^  function \[(\d+):0\] (\\\S+|\w+) ?;$")
_DROPPED = re.compile(r"^  \(\* (unused_bits|init) = .* \*\)$")
_ATTRIBUTE = re.compile(r"^  \(\* .* \*\)$")


@dataclass
class Signal:
    """A declared signal.

    Parameters
    ----------
    name
        Its name, with the backslash of an escaped one.
    width
        Bits.
    direction
        ``input``, ``output`` or nothing.
    register
        Whether it is a ``reg``.
    initial
        Its value at the start; empty for none.
    attributes
        Lines before it.
    """

    name: str
    width: int
    direction: str = ""
    register: bool = False
    initial: str = ""
    attributes: list[str] = field(default_factory=list)


@dataclass
class Statement:
    """A line of a body, of one of four kinds.

    Parameters
    ----------
    kind
        ``assign``, ``clocked``, ``connection``, or ``other``, which stays as it is but for names.
    text
        The line of another; of a clocked one ``else`` and ``if`` before the condition, of a connection its port.
    target
        What gets a value.
    value, condition
        Expressions.
    instance
        Name and module of the instance of a connection.
    comma
        What stands behind a connection.
    """

    kind: str
    text: str = ""
    target: Expression | None = None
    value: Expression | None = None
    condition: Expression | None = None
    instance: tuple[str, str] = ("", "")
    comma: str = ""


@dataclass
class Module:
    """A module.

    Parameters
    ----------
    name
        Its name, with the backslash of an escaped one.
    ports
        Names in the order of the header.
    signals
        What is declared at its beginning, by name.
    statements
        Its body.
    others
        Names of memories, functions and what is declared within the body.
    instances
        Names of instances.
    attributes
        Lines before it.
    """

    name: str
    ports: list[str] = field(default_factory=list)
    signals: dict[str, Signal] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    attributes: list[str] = field(default_factory=list)


def tokens_of(text: str) -> list[str]:
    """Return the tokens of a text, names without the space behind an escaped one."""
    return [token.rstrip() for token in TOKEN.findall(text)]


def read_modules(text: str) -> Iterator[Module]:
    """Yield the modules of a text that yosys wrote."""
    lines = iter(text.splitlines())
    attributes: list[str] = []
    for line in lines:
        if line.startswith("(*"):
            attributes.append(line)
        elif match := _HEAD.match(line):
            head = match[2]
            while not head.endswith(");"):
                head += next(lines)
            module = _module(match[1], tokens_of(head[:-2]), lines)
            module.attributes, attributes = attributes, []
            yield module


def _module(name: str, ports: list[str], lines: Iterator[str]) -> Module:
    module = Module(name, [port for port in ports if port != ","])
    widths: dict[str, int] = {}
    attributes: list[str] = []
    instance = ("", "")
    body = False
    for line in lines:
        if line == "endmodule":
            break
        match = _SIGNAL.match(line)
        if match and not body:
            _declare(module, match, attributes)
            widths[match[3]], attributes = int(match[2] or 0) + 1, []
        elif _DROPPED.match(line):
            pass
        elif not body and _ATTRIBUTE.match(line):
            attributes.append(line)
        else:
            module.statements += [Statement("other", text=each) for each in attributes]
            body, attributes = True, []
            if match:
                module.others.add(match[3])
            elif match := _MEMORY.match(line):
                module.others.add(match[1])
            elif match := _FUNCTION.match(line):
                module.others.add(match[2])
                widths[match[2]] = int(match[1]) + 1
            elif match := _INSTANCE.match(line):
                instance = (match[2], match[1])
                module.instances.add(match[2])
            elif match := _PARAMETERS.match(line):
                instance = ("", match[1])
            elif match := _AFTER_PARAMETERS.match(line):
                instance = (match[1], instance[1])
                module.instances.add(match[1])
            module.statements.append(_statement(line, widths, instance))
    return module


def _declare(module: Module, match: re.Match[str], attributes: list[str]) -> None:
    kind, high, name, initial = match.groups()
    signal = module.signals.setdefault(name, Signal(name, int(high or 0) + 1))
    signal.attributes = signal.attributes or attributes
    if kind in ("input", "output"):
        signal.direction = kind
    signal.register |= kind == "reg"
    signal.initial = initial or signal.initial


def _statement(line: str, widths: Mapping[str, int], instance: tuple[str, str]) -> Statement:
    """Read a line; one that is not understood stays as it is."""
    try:
        if match := _ASSIGN.match(line):
            target, source = (parse(tokens_of(text), widths) for text in match.groups())
            return Statement("assign", target=target, value=source)
        if match := _CONNECTION.match(line):
            value = parse(tokens_of(match[2]), widths) if match[2] else join(())
            return Statement("connection", text=match[1], value=value, instance=instance, comma=match[3])
        if match := _CLOCKED.match(line):
            otherwise, negated, condition, left, right = match.groups()
            return Statement(
                "clocked",
                text=otherwise + (f"if ({negated}" if condition else ""),
                target=parse(tokens_of(left), widths),
                value=parse(tokens_of(right), widths),
                condition=parse(tokens_of(condition), widths) if condition else None,
            )
    except UnknownTextError:
        pass
    return Statement("other", text=line)
