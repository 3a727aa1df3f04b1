"""Python code from templates of ours, with what comes from a query put in as nodes, not as text.

In a template `C` stands for an expression, and a line `BODY` for statements. A name in capitals may
be a blank: what it stands for becomes a constant of the code when that is bound, so that a function
whose code is exchanged while others call it goes over to all that is new at once.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any


def expression(template: str, put_in: ast.expr | None = None) -> ast.expr:
    """The expression of a template.

    >>> ast.unparse(expression("v0 == C or v0 is None", constant("x")))
    "v0 == 'x' or v0 is None"
    """
    made: ast.expr = ast.parse(template, mode="eval").body
    if put_in is not None:
        made = _PutIn(put_in, ()).visit(made)
    return made


def statements(
    template: str, put_in: ast.expr | None = None, body: Sequence[ast.stmt] = ()
) -> list[ast.stmt]:
    """The statements of a template."""
    made: ast.Module = _PutIn(put_in, body).visit(ast.parse(template))
    return made.body


def constant(value: object) -> ast.expr:
    """A value as a constant."""
    if isinstance(value, frozenset):
        return ast.Set([ast.Constant(each) for each in sorted(value, key=repr)])
    assert value is None or isinstance(value, str | int | float | bool)
    return ast.Constant(value)


def negated(part: ast.expr) -> ast.expr:
    """`not …`, constants folded."""
    if isinstance(part, ast.Constant):
        return ast.Constant(not part.value)
    return ast.UnaryOp(ast.Not(), part)


def joined(parts: list[ast.expr], operator: ast.And | ast.Or) -> ast.expr:
    """`… and …` or `… or …`, constants folded."""
    neutral = isinstance(operator, ast.And)
    rest: list[ast.expr] = []
    for part in parts:
        if not isinstance(part, ast.Constant):
            rest.append(part)
        elif part.value is not neutral:
            return ast.Constant(not neutral)
    if not rest:
        return ast.Constant(neutral)
    return rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)


def run(code: Sequence[ast.stmt], names: Mapping[str, object], name: str) -> Any:
    """Run statements and give what they define. `names` are what they refer to.

    A function holds its globals; were it one of them, too, only the cycle collector would free it.
    """
    module = ast.fix_missing_locations(ast.Module(list(code), []))
    scope = dict(names)
    exec(compile(module, "<screen>", "exec"), scope)  # noqa: S102 - made here, node by node
    return scope.pop(name)


def with_blanks(
    code: Sequence[ast.stmt], blanks: Sequence[str], scope: dict[str, Any], name: str
) -> FunctionType:
    """The function that statements define, for `bind`; `scope` are its globals, as they are."""
    module = ast.fix_missing_locations(_Blank(frozenset(blanks)).visit(ast.Module([*code], [])))
    made: dict[str, Any] = {}
    exec(compile(module, "<screen>", "exec"), scope, made)  # noqa: S102 - made here, node by node
    function: FunctionType = made[name]
    return function


def bind(function: FunctionType, values: Mapping[str, object]) -> FunctionType:
    """A function with all its blanks filled in.

    What a value refers to must not hold the function: the cycle collector does not see code.
    """
    code = function.__code__
    constants = tuple(
        values[each.decode()] if isinstance(each, bytes) else each for each in code.co_consts
    )
    return FunctionType(code.replace(co_consts=constants), function.__globals__)


class _Blank(ast.NodeTransformer):
    """Bytes, which no query has, mark the places of blanks in the constants."""

    def __init__(self, blanks: frozenset[str]) -> None:
        self._blanks = blanks

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(node.id.encode()) if node.id in self._blanks else node


class _PutIn(ast.NodeTransformer):
    def __init__(self, put_in: ast.expr | None, body: Sequence[ast.stmt]) -> None:
        self._put_in = put_in
        self._body = body

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._put_in if node.id == "C" and self._put_in is not None else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        if isinstance(node.value, ast.Name) and node.value.id == "BODY":
            return list(self._body)
        return self.generic_visit(node)
