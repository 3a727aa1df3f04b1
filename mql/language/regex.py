"""RE2 patterns: checked before a query starts, and written the way the kernels want them.

RE2 because a pattern runs inside other people's services: its time is linear in the text.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LOOK_AROUND = re.compile(r"\(\?(?:<?[=!])")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\\k<")

MAX_SIZE = 10_000
"""The patterns of a query may be so large together, counted repetitions written out.

RE2 takes larger ones, and then may take milliseconds for each character of a text.
"""

PATTERN_SIZE = 20
"""What each pattern counts for, beside what is in it."""

_ATOM = re.compile(
    r"""(?P<quoted>\\Q.*?(?:\\E|$))
    |(?:\\[pP](?:\{[^}]*\}|.))
    |(?:\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*+\])
    |(?P<counted>\{(?P<least>\d{1,4})(?:,(?P<most>\d{0,4}))?\})
    |(?P<open>\()|(?P<close>\))
    |\\.|.""",
    re.DOTALL | re.VERBOSE,
)
_CAPTURING = re.compile(r"\((?!\?)|\(\?P?<\w+>")
_FIRST = "(?P<found>"
_UNICODE_CLASS = re.compile(r"\\[pP]")
_UNICODE = 100
"""The size of a class of Unicode: its ranges, as bytes of UTF-8."""


def problem_with(pattern: str) -> str | None:
    """Why RE2 refuses a pattern, in a sentence, or None if it takes it.

    >>> problem_with("(?=a)b")
    'look-around `(?=` is not part of RE2, whose patterns run in linear time'
    >>> problem_with("a)|(b")
    'not a regex that RE2 takes: unexpected ): a)|(b'
    """
    look = _LOOK_AROUND.search(pattern)
    if look:
        return f"look-around `{look[0]}` is not part of RE2, whose patterns run in linear time"
    import pyarrow as pa  # noqa: PLC0415 - only queries with a regex pay for the import

    from mql.columnar import arrays, kernels  # noqa: PLC0415

    try:
        for each in (pattern, whole(pattern)):  # `a)|(b` is one in parentheses only
            kernels.match_substring_regex(arrays.texts([""]), each)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        if _BACK_REFERENCE.search(pattern):
            return "back-references are not part of RE2, whose patterns run in linear time"
        return f"not a regex that RE2 takes: {_reason(error, pattern)}"
    return None


def size_of(pattern: str) -> int:
    r"""About how large the program of a pattern is, in steps of its kind.

    >>> size_of("ab|c"), size_of("(ab){1,30}c"), size_of(r"\pL{9}"), size_of("((a{10}){10}){10}")
    (4, 91, 909, 1110)
    """
    sizes, last = [0], 0  # of the groups that are open, and of what stands before a repetition
    for atom in _ATOM.finditer(pattern):
        match atom.lastgroup:
            case "counted":
                times = max(int(atom["least"]), int(atom["most"] or 0), 1)
                sizes[-1] += last * (times - 1)
                last *= times
                continue
            case "open":
                sizes.append(0)
                continue
            case "close" if len(sizes) > 1:
                last = sizes.pop() + 1
            case "quoted":
                last = len(atom[0])
            case _:
                last = 1 + _UNICODE * len(_UNICODE_CLASS.findall(atom[0]))
        sizes[-1] += last
    return sum(sizes)


def whole(pattern: str) -> str:
    r"""A pattern to search for that is found exactly where the given one matches the whole text.

    >>> whole("a.b"), whole(".*ERROR.*timeout.*")
    ('(?s)\\A(?:a.b)\\z', '(?s)ERROR.*timeout')
    """
    open_ended = pattern.startswith(".*") and pattern.endswith(".*") and len(pattern) > 4  # noqa: PLR2004
    if open_ended and not re.search(r"[\\|()\[\]?+{}^$]", pattern):
        return f"(?s){pattern[2:-2]}"
    return rf"(?s)\A(?:{pattern})\z"


@lru_cache(maxsize=64)
def first_group(pattern: str) -> str:
    r"""A pattern to search for whose one group, named, is the first of the given one, or all of it.

    `.` matches no newline, so that `(.*)` ends with the line.

    >>> first_group("a+"), first_group(r"(?i)\(([)])(?P<b>c)?")
    ('(?P<found>a+)', '(?i)\\((?P<found>[)])(?:c)?')
    """
    parts: list[str] = []
    end, opening = 0, _FIRST
    for atom in _ATOM.finditer(pattern):
        group = _CAPTURING.match(pattern, atom.start()) if atom.lastgroup == "open" else None
        if group is not None:
            parts += (pattern[end : group.start()], opening)
            end, opening = group.end(), "(?:"
    return "".join([*parts, pattern[end:]]) if parts else f"{_FIRST}{pattern})"


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
