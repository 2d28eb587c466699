"""Expressions of the Verilog that yosys writes: read, put into one another where nothing changes, and written.

A wire that is read once can give way to what drives it only where Verilog computes the same: a wire ends the expression
that drives it, so that its width and sign do not depend on what reads it. `Fit` says how much of that an expression
keeps by itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial, reduce

TOKEN = re.compile(
    r"\\\S+ ?|[A-Za-z_$][\w$]*|\d+'s?[bodh][0-9a-fxz?]+|\d+|\(\*.*?\*\)"
    r"|<<<|>>>|===|!==|<<|>>|<=|>=|==|!=|&&|\|\||~\^|\*\*|\S"
)
_NAME = re.compile(r"\\\S+|[A-Za-z_][\w$]*")
_CONSTANT = re.compile(r"(\d+)'([bodh])[0-9a-fxz?]+")

_ZEROS = re.compile(r"\b(\d+'h)(?:0{8,}([0-9a-f]*)|(x)x+)\b")

_ZERO = re.compile(r"\d+'[bodh]0+")

_LOGIC = frozenset({"&", "|", "^"})
_SUMS = frozenset({"+", "-", "*"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "===", "!==", "&&", "||"})
_SHIFTS = frozenset({"<<", ">>", "<<<", ">>>"})
_REDUCTIONS = frozenset({"!", "&", "|", "^", "~^"})


class Fit(IntEnum):
    """Where an expression may stand for the wire that it drives."""

    ANYWHERE = 0
    """It has the wire's width by itself, and is extended as a wire is, with zeros."""
    EXACT = 1
    """Where the width is that of the wire, or decided by the expression alone."""
    ASSIGNED = 2
    """As the whole right side of an assignment to a signal of the wire's width."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression.

    Parameters
    ----------
    kind
        ``name``, ``part`` (a name with constant bits), ``constant``, ``join``, ``signed``, ``unary``, ``binary``,
        ``choice`` or ``call``.
    text
        Name, constant or operator; of a part its bits.
    parts
        What it is made of.
    width
        Bits that it has by itself.
    fit
        Where it may stand for a wire.
    signed
        Whether it is signed.
    """

    kind: str
    text: str
    parts: tuple["Expression", ...]
    width: int
    fit: Fit = Fit.ANYWHERE
    signed: bool = False


class UnknownTextError(Exception):
    """A text is none of what is read here; it stays as it is."""


def parse(tokens: list[str], widths: Mapping[str, int]) -> Expression:
    """Read an expression.

    Parameters
    ----------
    tokens
        Its tokens.
    widths
        Bits of each signal of the module, and of each function's result.

    Raises
    ------
    UnknownTextError
        If it is none that yosys writes for a cell.
    """
    reader = _Reader(tokens, widths)
    found = reader.expression()
    if reader.place != len(tokens):
        raise UnknownTextError
    return found


class _Reader:
    def __init__(self, tokens: list[str], widths: Mapping[str, int]) -> None:
        self.tokens, self.widths, self.place = tokens, widths, 0

    def next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.next()
        if not token or (wanted and token != wanted):
            raise UnknownTextError
        self.place += 1
        return token

    def expression(self) -> Expression:
        if self.next() in ("~", "-") or self.next() in _REDUCTIONS:
            operator = self.take()
            return unary(operator, self.operand())
        first = self.operand()
        operator = self.next()
        if operator == "?":
            self.take()
            if self.next().startswith("(*"):
                self.take()
            yes = self.operand()
            self.take(":")
            return choice(first, yes, self.operand())
        if operator in _LOGIC | _SUMS | _COMPARISONS | _SHIFTS:
            self.take()
            if self.next().startswith("(*"):
                self.take()
            return binary(operator, first, self.operand())
        return first

    def operand(self) -> Expression:
        token = self.take()
        if token == "{":
            parts = [self.operand()]
            while self.next() == ",":
                self.take()
                parts.append(self.operand())
            self.take("}")
            return join(tuple(parts))
        if token == "$signed":
            self.take("(")
            inner = self.operand()
            self.take(")")
            return Expression("signed", "", (inner,), inner.width, Fit.ANYWHERE, True)
        if match := _CONSTANT.fullmatch(token):
            return Expression("constant", token, (), int(match[1]))
        name = token.rstrip()
        if not _NAME.fullmatch(name) or name not in self.widths:
            raise UnknownTextError
        if self.next() == "[":
            return self._part(name)
        if self.next() == "(":
            self.take()
            parts = [self.operand()]
            while self.next() == ",":
                self.take()
                parts.append(self.operand())
            self.take(")")
            return Expression("call", name, tuple(parts), self.widths[name])
        return Expression("name", name, (), self.widths[name])

    def _part(self, name: str) -> Expression:
        self.take("[")
        high = low = self.take()
        if self.next() == ":":
            self.take()
            low = self.take()
        self.take("]")
        if not (high.isdigit() and low.isdigit()):
            raise UnknownTextError
        bits = f"[{high}]" if high == low else f"[{high}:{low}]"
        whole = Expression("name", name, (), self.widths[name])
        return Expression("part", bits, (whole,), int(high) - int(low) + 1)


def join(parts: tuple[Expression, ...]) -> Expression:
    """Return expressions side by side, the first in the highest bits."""
    return Expression("join", "", parts, sum(part.width for part in parts))


def unary(operator: str, inner: Expression) -> Expression:
    """Return an expression of one operand."""
    if operator in ("&", "|") and _is_flags(inner):
        return reduce(partial(binary, operator), inner.parts)
    if operator in _REDUCTIONS:
        return Expression("unary", operator, (inner,), 1)
    fit = Fit.ASSIGNED if inner.signed else Fit.EXACT
    return Expression("unary", operator, (inner,), inner.width, fit, inner.signed)


def binary(operator: str, left: Expression, right: Expression) -> Expression:
    """Return an expression of two operands."""
    width = max(left.width, right.width)
    if operator == "!=" and _is_flags(left) and right.kind == "constant" and _ZERO.fullmatch(right.text):
        return reduce(partial(binary, "|"), left.parts)
    if operator in _COMPARISONS:
        return Expression("binary", operator, (left, right), 1)
    if operator in _SHIFTS:
        return Expression("binary", operator, (left, right), left.width, Fit.ASSIGNED, left.signed)
    signed = left.signed and right.signed
    if operator in _SUMS or left.signed or right.signed:
        return Expression("binary", operator, (left, right), width, Fit.ASSIGNED if signed else Fit.EXACT, signed)
    return Expression("binary", operator, (left, right), width, max(left.fit, right.fit))


def _is_flags(expression: Expression) -> bool:
    """Return whether an expression joins single bits."""
    return expression.kind == "join" and all(part.width == 1 for part in expression.parts)


def choice(condition: Expression, yes: Expression, no: Expression) -> Expression:
    """Return one expression or another."""
    fit = Fit.ASSIGNED if yes.signed or no.signed else max(yes.fit, no.fit)
    return Expression("choice", "?", (condition, yes, no), max(yes.width, no.width), fit, yes.signed and no.signed)


def contexts(expression: Expression, context: int) -> tuple[int, ...]:
    """Return the width at which each operand is evaluated.

    Parameters
    ----------
    expression
        The expression.
    context
        The width at which it is evaluated itself, at least its own.
    """
    parts = expression.parts
    own = tuple(part.width for part in parts)
    match expression.kind:
        case "unary" if expression.text not in _REDUCTIONS:
            return (context,)
        case "choice":
            return own[0], context, context
        case "binary" if expression.text in ("&&", "||"):
            return own
        case "binary" if expression.text in _COMPARISONS:
            return (max(own),) * 2
        case "binary" if expression.text in _SHIFTS:
            return context, own[1]
        case "binary":
            return (context,) * 2
    return own


def is_plain_sum(expression: Expression) -> bool:
    """Return whether the lowest bits of an expression depend on nothing but the lowest bits of its operands."""
    plain = all(part.fit == Fit.ANYWHERE for part in expression.parts)
    return expression.kind == "binary" and expression.text in _SUMS and plain


def with_operands(expression: Expression, parts: tuple[Expression, ...]) -> Expression:
    """Return an expression with others in place of its operands, and with the fit that follows."""
    match expression.kind:
        case "join":
            return join(parts)
        case "unary":
            return unary(expression.text, *parts)
        case "binary":
            return binary(expression.text, *parts)
        case "choice":
            return choice(*parts)
    return replace(expression, parts=parts)


def cost(expression: Expression) -> int:
    """Return the number of operators and joined parts."""
    if expression.kind in ("name", "part", "constant"):
        return 0
    own = len(expression.parts) - 1 if expression.kind in ("join", "call") else 1
    return own + sum(cost(part) for part in expression.parts)


def names(expression: Expression) -> Iterator[str]:
    """Yield each name that an expression reads."""
    if expression.kind == "name":
        yield expression.text
    for part in expression.parts:
        yield from names(part)


def write(expression: Expression, named: Callable[[str], str], inside: bool = False) -> str:
    """Write an expression.

    Parameters
    ----------
    expression
        The expression.
    named
        Returns a name as it is written.
    inside
        Whether it is an operand, and gets parentheses if it has an operator.
    """
    parts = expression.parts
    match expression.kind:
        case "name":
            return named(expression.text)
        case "constant":
            return short(expression.text)
        case "part":
            return named(parts[0].text) + expression.text
        case "join":
            return "{ " + ", ".join(write(part, named) for part in parts) + " }"
        case "signed":
            return f"$signed({write(parts[0], named)})"
        case "call":
            return f"{named(expression.text)}({', '.join(write(part, named) for part in parts)})"
        case "unary":
            text = expression.text + write(parts[0], named, inside=True)
            inside = inside and expression.text not in ("~", "!")
        case "binary":
            # What is the same in any order needs no parentheses.
            same = expression.text if expression.text in _LOGIC else ""
            left, right = (write(part, named, inside=not same or part.text != same) for part in parts)
            text = f"{left} {expression.text} {right}"
        case _:
            last = write(parts[2], named, inside=parts[2].kind != "choice")
            text = f"{write(parts[0], named, inside=True)} ? {write(parts[1], named, inside=True)} : {last}"
    return f"({text})" if inside else text


def short(text: str) -> str:
    """Return a text with long constants written without what Verilog fills in: leading zeros, or unknown bits."""
    return _ZEROS.sub(lambda match: match[1] + (match[2] or match[3] or "0"), text)
