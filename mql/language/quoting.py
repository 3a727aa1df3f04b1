"""String literals: from a value to its text in a query and back."""

from __future__ import annotations

_ESCAPES = {"'": "'", '"': '"', "\\": "\\", "n": "\n"}


def quote(text: str) -> str:
    r"""A string literal.

    >>> quote("it's")
    "'it\\'s'"
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def unquote(inner: str) -> str:
    r"""The value between the quotes; a backslash before anything but `' " \\ n` stays one.

    >>> unquote(r"it\'s \d")
    "it's \\d"
    """
    if "\\" not in inner:
        return str(inner)
    out: list[str] = []
    characters = iter(inner)
    for character in characters:
        if character != "\\":
            out.append(character)
            continue
        following = next(characters)
        out.append(_ESCAPES.get(following, "\\" + following))
    return "".join(out)
