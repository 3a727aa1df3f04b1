r"""RE2's patterns in Python's `re`, as far as the tests go: `.` takes all, classes are of ASCII.

What reads differently is rewritten: `$` and `\z` are the very end, `\s` has no vertical tab. No
test has flags in the middle, classes of Unicode, `\C`, `\Q`, or a group inside a repetition.
"""

from __future__ import annotations

import re

ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
REWRITTEN = {"$": r"\Z", r"\z": r"\Z", r"\s": r"[\t\n\f\r ]", r"\S": r"[^\t\n\f\r ]"}


def compiled(pattern: str) -> re.Pattern[str]:
    rewritten = ATOM.sub(lambda atom: REWRITTEN.get(atom[0], atom[0]), pattern)
    return re.compile(rewritten, re.DOTALL | re.ASCII)


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is all of a text."""
    return compiled(pattern).fullmatch(text) is not None


def extracted(pattern: str, text: str) -> str | None:
    """What the first group took where a pattern is found, or all if there is no group."""
    found = compiled(pattern).search(text)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]


def is_like(pattern: str, text: str) -> bool:
    """Whether a text is of the form that `like` asks for."""
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(c) or re.escape(c) for c in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None
