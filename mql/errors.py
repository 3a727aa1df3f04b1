"""Every error the library raises on purpose.

    MQLError
    ├── QueryError   the query is wrong: refused before it starts      (exit code 2)
    │   └── UnnamedStreamError   it is live, and does not say which stream it is about
    ├── InputError   the input cannot be read, or does not fit          (exit code 1)
    └── RunError     a running query met a limit; names the operator    (exit code 1)

Misuse of the Python interface is ValueError or TypeError; our own bugs are asserts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of character offsets in the text of a query."""

    start: int
    end: int


def place_of(text: str, offset: int) -> tuple[int, int]:
    r"""The line and the column of an offset in a text, both counted from 1.

    >>> place_of("select a\nfrom s", 14)
    (2, 6)
    """
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


class MQLError(Exception):
    """The root of all errors of this library."""


class QueryError(MQLError):
    """A query that cannot run. `str(error)` is the whole message, caret included.

    `line` and `column` are 1-based; `hint` is a suggestion or empty; `reason` is the message
    without the place.
    """

    def __init__(self, reason: str, text: str, span: Span, hint: str = "") -> None:
        self.reason = reason
        self.text = text
        self.span = span
        self.hint = hint
        self.line, self.column = place_of(text, span.start)
        super().__init__(self._message())

    def _message(self) -> str:
        line = self.text.split("\n")[self.line - 1]
        shown, caret = _around(line, self.column - 1)
        width = max(1, min(self.span.end - self.span.start, len(shown) - caret))
        lines = [
            f"line {self.line}, column {self.column}: {_one_line(self.reason)}",
            f"  {shown}",
            f"  {' ' * caret}{'^' * width}",
        ]
        if self.hint:
            lines.append(f"hint: {_one_line(self.hint)}")
        return "\n".join(lines)


class UnnamedStreamError(QueryError):
    """A live query without `from`. Who knows the streams puts them into the hint."""

    def with_hint(self, hint: str) -> UnnamedStreamError:
        """The same error with another hint."""
        return UnnamedStreamError(self.reason, self.text, self.span, hint)


class InputError(MQLError):
    """An input that cannot be read: no such file, not JSON under --strict, no usable time."""


class RunError(MQLError):
    """A running query met a limit. `operator` names where."""

    def __init__(self, operator: str, reason: str) -> None:
        self.operator = operator
        super().__init__(f"{operator}: {reason}")


def _around(line: str, position: int, width: int = 100) -> tuple[str, int]:
    """Cut a long line to the part around a position; tabs and controls become blanks.

    >>> _around("select a", 7)
    ('select a', 7)
    """
    start = max(0, position - width // 2) if len(line) > width else 0
    part = line[start : start + width]
    return _one_line(part), position - start


def _one_line(text: str) -> str:
    """The text with blanks in the place of what is not printable: names may be anything."""
    return "".join(c if c.isprintable() else " " for c in text)
