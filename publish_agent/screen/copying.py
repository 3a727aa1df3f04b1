"""Code that copies what is needed of an event, where a few plain values are enough for all."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from publish_agent.capture.native.binding import MAX_FIELDS
from publish_agent.capture.value_columns import LONGEST, Needs
from publish_agent.screen import condition_code as rules
from publish_agent.screen.code_template import expression as template
from publish_agent.screen.code_template import joined, statements
from publish_agent.screen.interest import Wanted
from publish_agent.screen.path_code import Reader


def needs_of_all(subscriptions: Sequence[Wanted]) -> Needs | None:
    """What is enough for all subscriptions, if there are any."""
    if not subscriptions or any(wanted.needs is None for wanted in subscriptions):
        return None
    union = Needs(())
    for wanted in subscriptions:
        union |= wanted.needs or union
    return union if len(union.paths) <= MAX_FIELDS else None


def copy_values(needs: Needs, reader: Reader) -> list[ast.stmt]:
    """The statements that keep the values of an event."""
    row, plain = [], []
    for path in needs.paths:
        variable = reader.read(path)
        assert variable is not None
        row.append(variable)
        plain.append(template((_KEY if path in needs.keys else _NUMBER).format(v=variable)))
    keep = _COPY.format(row=", ".join(row or ["None"]))
    return statements(keep, joined(plain, ast.And()))


_COPY = """
if C:
    if next(TICKS):
        mark = MARK
        if not mark():
            full = FULL
            return full()
    values = VALUES
    values += ({row},)
    return ACCEPTED
"""

_IS_PLAIN_NUMBER = (
    f"type({{v}}) is float or type({{v}}) is int and -{rules.BIG} < {{v}} < {rules.BIG}"
)
_IS_TEXT = f"type({{v}}) is str and len({{v}}) <= {LONGEST}"
_IS_OTHER = "{v} is None or type({v}) is bool"
_KEY = f"{_IS_TEXT} or {_IS_PLAIN_NUMBER} or {_IS_OTHER}"
_NUMBER = f"{_IS_PLAIN_NUMBER} or {_IS_TEXT} or {_IS_OTHER}"
