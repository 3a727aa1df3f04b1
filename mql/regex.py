"""RE2 patterns: checked before a query starts, and written the way the kernels want them.

RE2 because a pattern runs inside other people's services: its time is linear in the text.
"""

from __future__ import annotations

import re

_LOOK_AROUND = re.compile(r"\(\?(?:<?[=!])")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\\k<")


def problem_with(pattern: str) -> str | None:
    """Why RE2 refuses a pattern, in a sentence, or None if it takes it.

    >>> problem_with("(?=a)b")
    'look-around `(?=` is not part of RE2, whose patterns run in linear time'
    """
    look = _LOOK_AROUND.search(pattern)
    if look:
        return f"look-around `{look[0]}` is not part of RE2, whose patterns run in linear time"
    import pyarrow as pa  # noqa: PLC0415 - only queries with a regex pay for the import
    import pyarrow.compute as pc  # noqa: PLC0415

    try:
        pc.match_substring_regex(pa.array([""]), whole(pattern))
    except (pa.ArrowException, UnicodeEncodeError) as error:
        if _BACK_REFERENCE.search(pattern):
            return "back-references are not part of RE2, whose patterns run in linear time"
        return f"not a regex that RE2 takes: {_reason(error, pattern)}"
    return None


def whole(pattern: str) -> str:
    r"""A pattern to search for that is found exactly where the given one matches the whole text.

    >>> whole("a.b"), whole(".*ERROR.*timeout.*")
    ('(?s)\\A(?:a.b)\\z', '(?s)ERROR.*timeout')
    """
    open_ended = pattern.startswith(".*") and pattern.endswith(".*") and len(pattern) > 4  # noqa: PLR2004
    if open_ended and not re.search(r"[\\|()\[\]?+{}^$]", pattern):
        return f"(?s){pattern[2:-2]}"
    return rf"(?s)\A(?:{pattern})\z"


def like(pattern: str) -> str:
    r"""The regex of a `like` pattern, for a search.

    >>> like("a%_")
    '(?s)\\Aa.*.\\z'
    """
    parts = {"%": ".*", "_": "."}
    return r"(?s)\A" + "".join(parts.get(c) or _escape(c) for c in pattern) + r"\z"


def _escape(character: str) -> str:
    return character if character.isalnum() or ord(character) > 127 else "\\" + character  # noqa: PLR2004


def _reason(error: Exception, pattern: str) -> str:
    text = str(error).removeprefix("Invalid regular expression: ").split("\n")[0]
    return text.replace(whole(pattern), pattern)
