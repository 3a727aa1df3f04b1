"""Names that are likely meant as something else: `-a`, `a+1`, `a::int`, quotes of other kinds."""

from __future__ import annotations

from mql.language.paths import Property, format_property, is_plain_name

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
    if not name:
        return ""
    if "`" in name:
        inner = _named(name.replace("`", ""))
        return f"backticks are a part of the name here; write {inner}"
    if name[0] in _OPENING or name[-1] in _CLOSING:
        inner = name.strip(_OPENING + _CLOSING)
        return f"curly quotes are a part of the name here; a text is written '{inner}'"
    if name[0] in "+-" and (name[1:2].isalpha() or name[1:2] == "_"):
        return f"`{name}` is one name here; {_unsigned(name, sorts=sorts)}"
    inner, cast, kind = name.rpartition("::")
    if cast and inner:
        return _converted(name, inner, kind.lower().rstrip("0123456789"))
    spaced = _spaced(name) if "+" in name else name
    if spaced == name:
        return ""
    reason = "arithmetic wants white space on both sides"
    return f"`{name}` is one name here; {reason}: `{spaced}`"


def _unsigned(name: str, *, sorts: bool) -> str:
    sign, inner = name[0], _named(name[1:])
    if sign == "+":
        return f"write `{inner}`"
    return f"the other way round is `order by {inner} desc`" if sorts else f"write `0 - {inner}`"


def _converted(name: str, inner: str, kind: str) -> str:
    function = "number" if kind in _NUMBERS else "text" if kind in _TEXTS else ""
    return f"`{name}` is one name here; `{function}({_named(inner)})` converts" if function else ""


def _spaced(name: str) -> str:
    """The name with white space around each `+` that joins two words."""
    first, *others = name.split("+")
    for other in others:
        joins = _is_of_word(first[-1:]) and _is_of_word(other[:1])
        first += f" + {other}" if joins else f"+{other}"
    return first


def _is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _named(name: str) -> str:
    """A name as a query has it."""
    return name if is_plain_name(name) or not name else format_property(Property((name,)))
