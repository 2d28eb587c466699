"""Conditional expressions in kernels: ``a if c else b``, ``and``, ``or``, ``not`` and ``0 < x < 1`` of values.

Python asks a condition for its truth, which a value of a kernel has not. So the function of a kernel is read again, and
these become calls: of `select`, ``&``, ``|`` and ``~`` where a value is concerned, and else what they always were.
Line numbers and closures stay. Functions that the kernel calls are left as they are, as is one without source text.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any

from rtlm.hw.hls.graph import Composite, Value
from rtlm.hw.hls.language import select


def choose(condition: Any, a: Callable[[], Any], b: Callable[[], Any]) -> Any:
    """``a if condition else b``."""
    if isinstance(condition, Value | Composite):
        return select(condition, a(), b())
    return a() if condition else b()


def both(*terms: Callable[[], Any]) -> Any:
    """``terms[0] and terms[1] and ...``."""
    return _joined(terms, lambda a, b: a & b, lambda a: not a)


def either(*terms: Callable[[], Any]) -> Any:
    """``terms[0] or terms[1] or ...``."""
    return _joined(terms, lambda a, b: a | b, bool)


def negated(condition: Any) -> Any:
    """``not condition``."""
    return ~condition if isinstance(condition, Value | Composite) else not condition


def repeated(condition: Any) -> Any:
    """Condition of a while: of Python only."""
    if isinstance(condition, Value | Composite):
        raise TypeError(
            "A while over values ends when nobody knows: write for i in loop(n) with the most iterations that there "
            "may be, and a fold whose state says by select what still counts."
        )
    return condition


def _joined(terms: tuple, join: Callable[[Any, Any], Any], settles: Callable[[Any], bool]) -> Any:
    """Join values; what Python knows may settle it before."""
    found: Any = None
    for term in terms:
        value = term()
        if isinstance(value, Value | Composite):
            found = value if not isinstance(found, Value | Composite) else join(found, value)
        elif settles(value) or not isinstance(found, Value | Composite):
            found = value
            if settles(value):
                return value
    return found


HELPERS = {
    "_rtlm_choose": choose,
    "_rtlm_both": both,
    "_rtlm_either": either,
    "_rtlm_negated": negated,
    "_rtlm_repeated": repeated,
}


def definition_of(function: Callable) -> tuple[ast.FunctionDef, int] | None:
    """Return a function's definition and its first line; None where there is no source text."""
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        return None
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    (definition,) = tree.body
    return (definition, first) if isinstance(definition, ast.FunctionDef) else None


def with_conditions(function: Callable) -> Callable:
    """Return a function whose conditional expressions take values; itself if it has none."""
    found = definition_of(function)
    if found is None or not isinstance(function, FunctionType):
        return function
    definition, first = found
    rewriter = _Rewriter()
    definition.body = [rewriter.visit(statement) for statement in definition.body]
    if not rewriter.changed:
        return function
    code = _code(definition, function, first)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells |= {name: CellType(helper) for name, helper in HELPERS.items()}
    if any(name not in cells for name in code.co_freevars):
        return function
    closure = tuple(cells[name] for name in code.co_freevars)
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)


def _code(definition: ast.FunctionDef, function: FunctionType, first: int) -> CodeType:
    """Compile a definition as one in a function that has its free variables."""
    definition.decorator_list, definition.returns = [], None
    for argument in definition.args.args:
        argument.annotation = None
    names = [*function.__code__.co_freevars, *HELPERS]
    outer = ast.parse(f"def outer({', '.join(names)}):\n    pass")
    holder = outer.body[0]
    assert isinstance(holder, ast.FunctionDef)
    ast.increment_lineno(definition, first - 1)
    holder.body = [definition]
    ast.fix_missing_locations(outer)
    compiled = compile(outer, function.__code__.co_filename, "exec")
    (made,) = (c for c in compiled.co_consts if isinstance(c, CodeType))
    return next(c for c in made.co_consts if isinstance(c, CodeType) and c.co_name == function.__name__)


class _Rewriter(ast.NodeTransformer):
    """Turns conditional expressions into calls."""

    def __init__(self) -> None:
        self.changed = False

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """``a if c else b``."""
        self.generic_visit(node)
        return self._call(node, "_rtlm_choose", node.test, _later(node.body), _later(node.orelse))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """``and``, ``or``."""
        self.generic_visit(node)
        name = "_rtlm_both" if isinstance(node.op, ast.And) else "_rtlm_either"
        return self._call(node, name, *map(_later, node.values))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """``not``."""
        self.generic_visit(node)
        return self._call(node, "_rtlm_negated", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_While(self, node: ast.While) -> ast.AST:
        """``while c``."""
        self.generic_visit(node)
        node.test = self._call(node.test, "_rtlm_repeated", node.test)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``a < b < c``: as ``a < b and b < c``, with ``b`` twice."""
        self.generic_visit(node)
        if len(node.ops) == 1:
            return node
        sides = [node.left, *node.comparators]
        pairs = [
            ast.copy_location(ast.Compare(left=a, ops=[op], comparators=[b]), node)
            for a, op, b in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return self._call(node, "_rtlm_both", *map(_later, pairs))

    def _call(self, node: ast.AST, name: str, *args: ast.expr) -> ast.expr:
        self.changed = True
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), list(args), []), node)


def _later(node: ast.expr) -> ast.expr:
    """An expression that is evaluated when it is called for."""
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.copy_location(ast.Lambda(nothing, node), node)
