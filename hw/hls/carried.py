"""What the body of a loop may not do with Python's variables: hand a value on to its next iteration.

A body is traced once. A variable that is read before the body sets it holds what it had before the loop, whatever the
iteration, which is not what Python says; so the function's source is looked through and such a variable is refused.
Without source text there is nothing to look through.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from rtlm.hw.hls.conditions import definition_of
from rtlm.hw.hls.errors import KernelError, kernel_error

_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.FunctionDef)


def refuse_carried(function: Callable) -> None:
    """Raise a KernelError if a loop of a kernel hands a variable on to its next iteration."""
    found = definition_of(function)
    if found is None:
        return
    definition, first = found
    for node in ast.walk(definition):
        if isinstance(node, ast.For) and _is_loop(node.iter):
            for name in _carried(node):
                raise _error(function, name.id, name.lineno + first - 1)


def _error(function: Callable, name: str, line: int) -> KernelError:
    return kernel_error(
        function,
        f"{name} is handed on from one iteration to the next, but the body of a loop is traced once: write a sum as "
        f"stream_sum, and what else follows from the iterations before as fold or scan with {name} as its state",
        line=line,
    )


def _is_loop(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return (isinstance(called, ast.Name) and called.id == "loop") or (
        isinstance(called, ast.Attribute) and called.attr == "loop"
    )


def _carried(loop: ast.For) -> Iterator[ast.Name]:
    """Reads in a body, in its order, of what it sets only later."""
    names = [(name, stores) for statement in loop.body for name, stores in _names(statement)]
    later = {name.id for name, stores in names if stores}
    known = {name.id for name, _ in _names(loop.target)}
    for name, stores in names:
        if not stores and name.id in later and name.id not in known:
            yield name
        if stores:
            known.add(name.id)


def _names(node: ast.AST) -> Iterator[tuple[ast.Name, bool]]:
    """Names in the order of their evaluation, and whether each is set."""
    if isinstance(node, ast.Name):
        yield node, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, ast.AugAssign):
        if isinstance(node.target, ast.Name):
            yield node.target, False
        yield from _names(node.value)
        yield from _names(node.target)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
        if node.value is not None:
            yield from _names(node.value)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from _names(target)
    elif isinstance(node, ast.For):
        for part in (node.iter, node.target, *node.body, *node.orelse):
            yield from _names(part)
    elif isinstance(node, _SCOPES):
        yield from _free(node)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _names(child)


def _free(scope: ast.AST) -> Iterator[tuple[ast.Name, bool]]:
    """Names that a lambda, a comprehension or an inner function reads from around it."""
    inside = list(ast.walk(scope))
    own = {n.arg for n in inside if isinstance(n, ast.arg)}
    own |= {n.id for n in inside if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    for n in inside:
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id not in own:
            yield n, False
    if isinstance(scope, ast.FunctionDef):
        yield ast.copy_location(ast.Name(scope.name, ast.Store()), scope), True
