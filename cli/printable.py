"""Text made harmless for a terminal.

The rule: nothing that an event or a file's name holds reaches a terminal as a control character.
"""

from __future__ import annotations

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""The text with every control, invisible or direction-changing character spelled out.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _spelled(c) for c in text)


def printable_lines(text: str) -> str:
    r"""The same, but lines stay lines.

    >>> printable_lines("a\nb\r")
    'a\nb\\r'
    """
    return "\n".join(map(printable, text.split("\n")))


def _spelled(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
