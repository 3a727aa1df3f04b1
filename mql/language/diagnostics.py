"""What to say about text that the grammar does not take: what was found, expected, and meant."""

from __future__ import annotations

import re

from mql.errors import Span
from mql.language.nearest import nearest_name
from mql.language.syntax import RESERVED

_CLAUSES = ("where", "window", "group", "order", "limit", "sample", "having", "anomaly")
_ENGLISH = {
    "NAME": "a name",
    "EVENT": "a path such as e['a']",
    "FUNCTION": "a function such as count(*)",
    "NUMBER": "a number",
    "SPAN": "a span such as 1m30s",
    "STRING": "a quoted text",
    "REGEX": "a /regex/",
    "PERCENT": "a percentage such as 2.5%",
    "COUNT_WINDOW": "a number of events such as |100|",
    "SAMPLE_OBJECT": "an object such as {'strategy': 'RANDOM', 'threshold': 200}",
    "EVERYTHING": "`*`",
    "COMPARATOR": "a comparison such as == or >=",
    "_MATCHES": "`==~`",
    "_CONTAINS": "`==+`",
    "_COMMA": "`,`",
    "_SEMICOLON": "",
    "_OPEN": "`(`",
    "_CLOSE": "`)`",
    "_OPEN_BRACKET": "`[`",
    "_CLOSE_BRACKET": "`]`",
    "_PREFIX_MARK": "`^`",
    "_BANG": "",
    "$END": "the end",
}
_ARITHMETIC = {"PLUS", "MINUS", "TIMES", "DIVIDE", "REMAINDER"}
_OPERATORS = {"COMPARATOR", "_MATCHES", "_CONTAINS", "_IN", "_BETWEEN", "_LIKE", "_IS", "NOT"}
_VALUES = {"NAME", "EVENT", "FUNCTION", "NUMBER", "STRING", "NULL", "TRUE", "FALSE"}
_SHOWN = 100
"""Of a longer word only so much is shown."""
_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_UNITS = {
    name: unit
    for unit, names in {
        "ms": ("ms", "milliseconds", "millisecond"),
        "s": ("s", "sec", "seconds", "second"),
        "m": ("m", "min", "minutes", "minute"),
        "h": ("h", "hours", "hour"),
        "d": ("d", "days", "day"),
    }.items()
    for name in names
}
"""What somebody may write for a unit."""
_RUN = re.compile(r"[^\s\"',*()\[\]=!<>~;]+")


def nearest(word: str, candidates: list[str]) -> str:
    """A hint naming the candidate nearest to a mistyped word, or an empty text.

    >>> nearest("cuont", ["count", "sum"])
    'did you mean `count`?'
    """
    from mql.language.sql_habits import FUNCTIONS  # noqa: PLC0415 - a right query needs no hint

    if word.lower() in FUNCTIONS:
        return f"`{FUNCTIONS[word.lower()]}` is that"
    found = nearest_name(word.lower(), candidates, cutoff=0.7)
    return f"did you mean `{found}`?" if found else ""


def describe_unexpected(text: str, span: Span, expected: set[str]) -> tuple[str, str]:
    """The reason and the hint for an unexpected place in a query.

    `expected` holds the names of the grammar's terminals that could have stood there.
    """
    run = _RUN.match(text, span.start)
    word = run[0][:_SHOWN] if run else text[span.start : span.start + 1]
    at_end = span.start >= len(text.rstrip())
    found = "the query ends" if at_end else f"unexpected `{word}`"
    reason = f"{found}; expected {_list_expected(expected)}" if expected else found
    return (reason, "") if at_end else (reason, _hint(text, span.start, word, expected))


def _list_expected(expected: set[str]) -> str:
    names: list[str] = []
    rest = set(expected) - _ARITHMETIC
    if rest >= _VALUES:
        names.append("a property, a literal or a function")
        rest -= _VALUES | {"_BANG", "NOT", "_OPEN"}
    if rest >= _OPERATORS:
        names.append("a comparison")
        rest -= _OPERATORS
    clauses = {name for name in rest if name.strip("_").lower() in _CLAUSES}
    rest -= clauses
    for name in sorted(rest):
        english = _ENGLISH.get(name, f"`{name.strip('_').lower()}`")
        if english:
            names.append(english)
    if clauses:
        names.extend(f"`{c}`" for c in _CLAUSES if f"_{c.upper()}" in clauses)
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + " or " + names[-1] if names else "nothing more"


def _hint(text: str, start: int, word: str, expected: set[str]) -> str:
    from mql.language.sql_habits import hint_for  # noqa: PLC0415 - a right query needs no hint

    lower, before = word.lower(), text[:start].rstrip()
    if habit := hint_for(text, start):
        return habit
    for applies, hint in (
        ("REGEX" in expected, "a regex stands between slashes, as in s ==~ /err.*/"),
        (text[start] in "'\"" and not _STRING.match(text, start), "the quote is never closed"),
        (text[start] == "*" and before.endswith("."), "`*` stands alone, as in `select *`"),
        (lower == "select" and before.endswith("("), "a query has no queries inside it"),
        (
            lower == "distinct" and before.lower().endswith("select"),
            "distinct stands inside an aggregate, as in count(distinct a); see also `group by`",
        ),
        (
            bool({"SPAN", "_SECONDS"} & expected) and lower in _UNITS,
            f"a unit stands with its number, as in `10{_UNITS.get(lower)}`",
        ),
        (lower == "join" and "_FROM" in expected, "a join needs `from` before it"),
        (
            lower in ("from", "where") and before.endswith(","),
            "nothing follows the comma before it",
        ),
        (
            bool(expected & _ARITHMETIC) and word[0] in "+-*/%",
            "arithmetic wants white space on both sides, as in `a / b`",
        ),
        (
            "NAME" in expected and lower in RESERVED,
            f"`{lower}` is a reserved word; for a key of that name write e['{word}']",
        ),
        (text[start] == "[", "a path starts at the event: e['a']['b']"),
    ):
        if applies:
            return hint
    words = [name.strip("_").lower() for name in expected if name not in _ENGLISH]
    return nearest(word, words)
