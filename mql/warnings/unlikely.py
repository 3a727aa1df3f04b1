"""Names that are likely meant as something else: `-a`, `a+1`, `a::int`, quotes of other kinds."""

from __future__ import annotations

import re

from mql.language.paths import Property, format_property, is_plain_name

_SIGN = re.compile(r"[-+](?=[^\W\d])")
_PLUS = re.compile(r"\w(\+)\w")
_CAST = re.compile(r"(.+)::([a-z]+)(?:[0-9]*)", re.IGNORECASE)
_NUMBERS = frozenset(
    "int integer bigint smallint long float double real numeric decimal number".split()  # noqa: SIM905
)
_TEXTS = frozenset("text string str varchar char".split())  # noqa: SIM905
_OPENING, _CLOSING = "\u2018\u201c\u201a\u201e", "\u2019\u201d"
"""Quotes that word processors make."""


def meant_by(name: str, *, sorts: bool = False) -> str:
    """What a bare name likely means, if it is an unlikely one; else empty.

    `sorts` says whether it stands alone in `order by`.

    >>> meant_by("-ms", sorts=True)
    '`-ms` is one name here; the other way round is `order by ms desc`'
    >>> meant_by("user-id"), meant_by("a/b"), meant_by("c++")
    ('', '', '')
    """
    if "`" in name:
        inner = _named(name.replace("`", ""))
        return f"backticks are a part of the name here; write {inner}"
    if name[0] in _OPENING or name[-1] in _CLOSING:
        inner = name.strip(_OPENING + _CLOSING)
        return f"curly quotes are a part of the name here; a text is written '{inner}'"
    if _SIGN.match(name):
        return f"`{name}` is one name here; {_unsigned(name, sorts=sorts)}"
    if cast := _CAST.fullmatch(name):
        return _converted(name, *cast.groups())
    if _PLUS.search(name):
        spaced = _PLUS.sub(lambda plus: plus[0].replace("+", " + "), name)
        reason = "arithmetic wants white space on both sides"
        return f"`{name}` is one name here; {reason}: `{spaced}`"
    return ""


def _unsigned(name: str, *, sorts: bool) -> str:
    sign, inner = name[0], _named(name[1:])
    if sign == "+":
        return f"write `{inner}`"
    return f"the other way round is `order by {inner} desc`" if sorts else f"write `0 - {inner}`"


def _converted(name: str, inner: str, kind: str) -> str:
    kind = kind.lower()
    function = "number" if kind in _NUMBERS else "text" if kind in _TEXTS else ""
    return f"`{name}` is one name here; `{function}({_named(inner)})` converts" if function else ""


def _named(name: str) -> str:
    """A name as a query has it."""
    return name if is_plain_name(name) or not name else format_property(Property((name,)))
