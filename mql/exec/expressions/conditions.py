"""Conditions on a frame: a mask of the rows that satisfy one. Two-valued, and never an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, assert_never

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.build import column_of
from mql.columnar.equality_keys import keys_of
from mql.columnar.kinds import is_null, mask_of
from mql.columnar.layout import Mask
from mql.columnar.read import texts_of
from mql.exec.expressions.compare import compare, equal, ordered
from mql.exec.expressions.rows import Elements, Rows
from mql.language import regex
from mql.language.syntax import (
    And,
    Between,
    Comparator,
    Comparison,
    Condition,
    Constant,
    Contains,
    In,
    Like,
    Literal,
    Matches,
    Not,
    Or,
    Property,
    Value,
    values_in,
)
from mql.language.traverse import properties_in

_REMEMBERED = 64

T = TypeVar("T")
R = TypeVar("R")


def _once(function: Callable[[T], R]) -> Callable[[T], R]:
    """A function that is called once for each of the last objects.

    They are told apart by identity: hashing 10,000 values takes as long as what is to be saved.
    """
    known: dict[int, tuple[T, R]] = {}

    @wraps(function)
    def remembered(it: T) -> R:
        found = known.get(id(it))
        if found is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            found = known[id(it)] = it, function(it)
        return found[1]

    return remembered


def test(condition: Condition, frame: Rows) -> Mask:
    """Where the condition holds: a mask as long as the frame."""
    match condition:
        case Constant(value):
            return np.full(frame.size, value)
        case Not(inner):
            return ~test(inner, frame)
        case And(conditions):
            return np.logical_and.reduce([test(each, frame) for each in conditions])
        case Or(conditions):
            return np.logical_or.reduce([test(each, frame) for each in conditions])
        case _:
            path = _any_path(condition)
            elements = None if path is None else frame.elements(path)
            if elements is None:
                return _test_values(condition, frame)
            return _test_elements(condition, frame, elements)


@_once
def _any_path(condition: Condition) -> Property | None:
    paths = (p for value in values_in(condition) for p in properties_in(value) if p.has_any)
    return next(paths, None)


def _test_elements(condition: Condition, frame: Rows, elements: Elements) -> Mask:
    """True where one element, at least, satisfies the condition as a whole."""
    satisfied = np.zeros(frame.size, np.bool_)
    satisfied[elements.rows[test(condition, elements)]] = True
    return satisfied


def _test_values(condition: Condition, frame: Rows) -> Mask:
    match condition:
        case Comparison(operator, left, right):
            return _compare(operator, left, right, frame)
        case Between(left, low, high):
            value = frame.evaluate(left)
            above = ordered(frame.evaluate(low), value, or_equal=True)
            return above & ordered(value, frame.evaluate(high), or_equal=True)
        case In(left, choices):
            return _is_in(frame.evaluate(left), choices, frame)
        case Matches(left, pattern):
            return _search(texts_of(frame.evaluate(left)), regex.whole(pattern))
        case Like(left, pattern):
            return _search(texts_of(frame.evaluate(left)), regex.like(pattern))
        case Contains(left, right):
            return _contains(texts_of(frame.evaluate(left)), right, frame)
        case Constant() | Not() | And() | Or():
            raise AssertionError(condition)
        case _:
            assert_never(condition)


def _compare(operator: Comparator, left: Value, right: Value, frame: Rows) -> Mask:
    if isinstance(right, Literal) and frame.size:
        literal = column_of([right.value])
        if right.value is None and operator in (Comparator.EQ, Comparator.NE):
            null = is_null(frame.evaluate(left))
            return null if operator is Comparator.EQ else ~null
        column = frame.evaluate(left)
        if column.type == literal.type:
            return np.broadcast_to(compare(operator, column, literal), frame.size)
    return compare(operator, frame.evaluate(left), frame.evaluate(right))


def _is_in(column: pa.Array, choices: tuple[Value, ...], frame: Rows) -> Mask:
    values, has_null, has_zero = _listed(choices)
    if values is not None and values.type == column.type:
        plain = keys_of(column) if has_zero else column
        found = mask_of(kernels.is_in(plain, values))
        return found | is_null(column) if has_null else found
    masks = [equal(column, frame.evaluate(choice)) for choice in choices]
    return np.logical_or.reduce(masks)


@_once
def _listed(choices: tuple[Value, ...]) -> tuple[pa.Array | None, bool, bool]:
    """The literals as a column, if the choices are literals of one plain kind; if null is one.

    And if 0.0 is one, which has two forms that a hash tells apart.
    """
    values = [choice.value for choice in choices if isinstance(choice, Literal)]
    column = column_of([value for value in values if value is not None])
    plain = pa.types.is_primitive(column.type) or pa.types.is_string(column.type)
    fits = len(values) == len(choices) and plain
    has_zero = column.type == pa.float64() and 0.0 in values
    return keys_of(column) if fits else None, None in values, has_zero


def _search(texts: pa.Array, pattern: str) -> Mask:
    return mask_of(kernels.match_substring_regex(texts, pattern))


def _contains(texts: pa.Array, right: Value, frame: Rows) -> Mask:
    if isinstance(right, Literal):
        wanted = texts_of(column_of([right.value]))[0]
        if not wanted.is_valid:
            return np.zeros(frame.size, np.bool_)
        return mask_of(kernels.match_substring(texts, wanted.as_py()))
    pairs = zip(texts.to_pylist(), texts_of(frame.evaluate(right)).to_pylist(), strict=True)
    found = [a is not None and b is not None and b in a for a, b in pairs]
    return np.array(found, np.bool_)
