"""Wires without a name of their own that are read once give way to what drives them."""

from collections import Counter
from collections.abc import Iterator

from rtlm.gen.rtl.readable.expressions import (
    Expression,
    Fit,
    contexts,
    cost,
    is_plain_sum,
    names,
    with_operands,
)
from rtlm.gen.rtl.readable.modules import Module, Statement, tokens_of

LARGEST = 6
"""Operators and joined parts of an expression that still gives way to another."""
LONGEST_CHOICE = 64
"""The same of a chain of choices, which is written one to a line."""


def inline(module: Module) -> None:
    """Put what drives an unnamed wire in the place where it is read, where that is one and nothing changes."""
    reads: Counter[str] = Counter()
    fixed: set[str] = set()
    for statement in module.statements:
        if statement.kind == "other":
            fixed.update(tokens_of(statement.text))
        for expression in _read_by(statement):
            reads.update(names(expression))
    drivers: dict[str, Statement] = {}
    written: Counter[str] = Counter()
    for statement in module.statements:
        if statement.kind == "assign" and statement.target:
            written.update(names(statement.target))
            if statement.target.kind == "name":
                drivers[statement.target.text] = statement
    free = {
        name: drivers[name]
        for name in drivers
        if name.startswith("\\$")
        and reads[name] == written[name] == 1
        and name not in fixed
        and not module.signals[name].direction
        and not module.signals[name].attributes
    }
    inliner = _Inliner(free)
    for statement in [*_inner_first(free), *module.statements]:
        inliner.statement(statement)
    gone = {id(free[name]) for name in inliner.gone}
    module.statements = [statement for statement in module.statements if id(statement) not in gone]
    for name in inliner.gone:
        del module.signals[name]


def _read_by(statement: Statement) -> Iterator[Expression]:
    """Yield the expressions that a statement reads, which for a connection may be written by the instance."""
    if statement.value:
        yield statement.value
    if statement.condition:
        yield statement.condition


def _inner_first(free: dict[str, Statement]) -> Iterator[Statement]:
    """Yield the drivers of wires, each behind those that it reads: chains of them are longer than Python recurses."""
    seen: set[str] = set()
    for first in free:
        waiting = [(first, False)]
        while waiting:
            name, ready = waiting.pop()
            if ready:
                yield free[name]
            elif name not in seen:
                seen.add(name)
                waiting.append((name, True))
                value = free[name].value
                waiting += [(inner, False) for inner in names(value) if inner in free] if value else []


class _Inliner:
    def __init__(self, free: dict[str, Statement]) -> None:
        self.free = free
        self.gone: set[str] = set()
        self.done: set[int] = set()

    def statement(self, statement: Statement) -> None:
        """Put into a statement what can be, once."""
        if id(statement) in self.done:
            return
        self.done.add(id(statement))
        if statement.condition:
            statement.condition = self.within(statement.condition, statement.condition.width)
        if not statement.value:
            return
        if statement.kind == "connection":
            statement.value = self.within(statement.value, statement.value.width)
        elif statement.target:
            width = statement.target.width
            whole = self.assigned(statement.value, width)
            statement.value = whole or self.within(statement.value, max(width, statement.value.width))

    def assigned(self, value: Expression, width: int) -> Expression | None:
        """Return what takes the place of the whole right side of an assignment."""
        if value.kind == "name" and value.width == width and (found := self.driver(value.text)):
            self.gone.add(value.text)
            return found
        if value.kind == "part" and value.width == width and value.text in (f"[{width - 1}:0]", "[0]"):
            name = value.parts[0].text
            if (found := self.driver(name)) and is_plain_sum(found):
                self.gone.add(name)
                return found
        return None

    def driver(self, name: str) -> Expression | None:
        """Return what drives a wire that may go, with everything put into it."""
        if name not in self.free:
            return None
        self.statement(self.free[name])
        return self.free[name].value

    def within(self, expression: Expression, context: int) -> Expression:
        """Return an expression with what can be put into it, where it is evaluated at a width."""
        if expression.kind == "name":
            found = self.driver(expression.text)
            if found and self.fits(found, expression.width, context):
                self.gone.add(expression.text)
                return found
        elif expression.kind == "part":
            name = expression.parts[0].text
            found = self.driver(name)
            lowest = expression.text in (f"[{expression.width - 1}:0]", "[0]")
            if found and lowest and is_plain_sum(found) and self.fits(found, expression.width, context):
                self.gone.add(name)
                return found
        elif expression.parts:
            places = contexts(expression, context)
            parts = tuple(self.within(part, at) for part, at in zip(expression.parts, places, strict=True))
            if parts != expression.parts:
                return with_operands(expression, parts)
        return expression

    def fits(self, found: Expression, width: int, context: int) -> bool:
        """Return whether an expression can stand for a wire, and is no burden to the reader there."""
        limit = LONGEST_CHOICE if found.kind == "choice" else LARGEST
        if found.width != width or found.kind == "call" or cost(found) > limit:
            return False
        # A wire is not signed, and makes what it is compared with or added to unsigned.
        return not found.signed and (found.fit == Fit.ANYWHERE or (found.fit == Fit.EXACT and context == width))
