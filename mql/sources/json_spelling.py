r"""How a value's text stands in a line of JSON: bytes that the line must hold.

A string has one spelling in JSON but for two liberties: any character may be `\uXXXX`, and `/`
may be `\/`. Lines with `\u` are read whatever they hold (`escape_of`); text is cut at `/`.

The text of a value that is not a string is not its spelling: a number is written anew, a list
loses its blanks, NaN becomes null. So where a value's text only has to hold something, that is
cut at all that structure is made of, and what could be part of a number or of null is not
looked for. U+FFFD may be any invalid bytes, and ends a run too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mql.planner.regex_literals import AnyOf
from mql.planner.required_text import Implied, Needs
from mql.values.json_values import write_json

FEW = 4
"""More values than this of one key are looked up behind the key."""

MOST = 16
"""More alternatives than this are not looked for, one after the other; decoding is as fast."""


@dataclass(frozen=True, slots=True)
class ValueOf:
    """A key, as it stands in its quotes, before one of some strings, as they stand in theirs.

    What liberties the spelling of a string has need a backslash, so a value with one counts too.
    """

    key: bytes
    values: tuple[bytes, ...]


Clause = AnyOf[bytes] | ValueOf
"""What a line must hold: one of some texts, or one of some values of a key."""

_UNSURE_IN_JSON = re.compile(r"/|\\u[0-9a-f]{4}|\ufffd")
_UNSURE_IN_TEXT = re.compile(r"[\x00-\x1f\"\\/,:\[\]{}\ufffd\ud800-\udfff]")
_TELLING = re.compile(r"[^0-9eE+\-.nul]")
"""What neither a number nor null is written with."""


def clauses_of(needs: Needs) -> tuple[Clause, ...]:
    """What a line must hold, something of each; or else the escape."""
    return tuple(dict.fromkeys(clause for any_of in needs for clause in _clauses(any_of)))


def escape_of(clauses: Sequence[Clause]) -> bytes:
    r"""What a line holds in which one of the texts is spelled by `\u`.

    >>> escape_of(((b"KR",),)), escape_of((("é".encode(),),))
    (b'\\u00', b'\\u')
    """
    texts = (text for c in clauses for text in ((c.key,) if isinstance(c, ValueOf) else c))
    plain = all(text.isascii() for text in texts)
    return rb"\u00" if plain else rb"\u"


def runs_of(implied: Implied) -> list[bytes]:
    r"""Bytes that a line must hold if it has the value, all of them, or `\u`.

    >>> from mql.language.syntax import Property
    >>> a = Property(("a",))
    >>> runs_of(Implied(a, "api/v2", whole=True)), runs_of(Implied(a, "12 of [x", whole=False))
    ([b'"api', b'v2"'], [b'12 of ', b'x'])
    """
    if implied.whole:
        runs = _UNSURE_IN_JSON.split(write_json(implied.text))
        return [run.encode() for run in runs if run not in ("", '"')]
    runs = _UNSURE_IN_TEXT.split(implied.text)
    return [run.encode() for run in runs if _TELLING.search(run)]


def _clauses(any_of: AnyOf[Implied]) -> Sequence[Clause]:
    if len(any_of) > FEW and (found := _value_of(any_of)):
        return [found]
    if len(any_of) > MOST:
        return []
    runs = [runs_of(implied) for implied in any_of]
    if len(runs) == 1:
        return [(run,) for run in runs[0]]
    if not all(runs):
        return []
    return [tuple(dict.fromkeys(max(each, key=len) for each in runs))]


def _value_of(any_of: AnyOf[Implied]) -> ValueOf | None:
    r"""The values as those of one key, if that is what they are.

    >>> from mql.language.syntax import Property
    >>> _value_of([Implied(Property(("a", "b")), text, whole=True) for text in ("x", 'y"z')])
    ValueOf(key=b'"b"', values=(b'x', b'y\\"z'))
    """
    path = any_of[0].path
    *_, step = path.steps
    if not all(implied.whole and implied.path == path for implied in any_of):
        return None
    if not isinstance(step, str) or _UNSURE_IN_JSON.search(write_json(step)):
        return None
    spelled = [write_json(implied.text)[1:-1] for implied in any_of]
    if any("\ufffd" in each for each in spelled):
        return None
    return ValueOf(write_json(step).encode(), tuple(each.encode() for each in spelled))
