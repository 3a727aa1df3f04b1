"""Did you mean: the name nearest to a mistyped one, in bounded time, whatever names there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nsmallest

_CANDIDATES_MAX = 500
"""So many candidates have their letters counted."""
_COMPARED_MAX = 10
"""Of these so many are compared letter by letter."""
_CHARACTERS_MAX = 100
"""Of a longer name no more is looked at."""
_BEGINNING = 3
_OTHER_BEGINNING, _OTHER_LETTER = 1_000, 2_000
"""What counts as so many letters of difference: another beginning, or another first letter."""


def nearest_name(
    word: str,
    candidates: Iterable[str],
    cutoff: float = 0.6,
    may: Callable[[str], bool] | None = None,
) -> str | None:
    """The candidate that is most like a word, if any is as like as the cutoff (from 0 to 1).

    Where there are many candidates, those of like length and beginning are preferred. Only these
    are asked whether they `may` be named.

    >>> nearest_name("reqests", ["orders", "requests"])
    'requests'
    """
    from difflib import SequenceMatcher  # noqa: PLC0415 - only a mistake pays for the import

    alike: Iterable[str] = _alike(word, candidates, cutoff)
    if may is not None:
        alike = filter(may, alike)
    matcher = SequenceMatcher(b=word[:_CHARACTERS_MAX])
    bounds = []
    for candidate in alike:
        matcher.set_seq1(candidate[:_CHARACTERS_MAX])
        bounds.append((matcher.quick_ratio(), candidate))
    best, found = cutoff, None
    for bound, candidate in nsmallest(_COMPARED_MAX, bounds, key=lambda each: -each[0]):
        if bound < best:
            break  # none of the others can be more alike
        matcher.set_seq1(candidate[:_CHARACTERS_MAX])
        ratio = matcher.ratio()
        if ratio > best or (ratio == best and (found is None or candidate > found)):
            best, found = ratio, candidate
    return found


def _alike(word: str, candidates: Iterable[str], cutoff: float) -> list[str]:
    """Some candidates whose length allows the cutoff: those of like length and beginning first."""
    size, letter, beginning = len(word), word[:1], word[:_BEGINNING]

    def difference(candidate: str) -> int:
        letters = abs(len(candidate) - size)
        if candidate.startswith(beginning):
            return letters
        return letters + (_OTHER_BEGINNING if candidate.startswith(letter) else _OTHER_LETTER)

    least, most = cutoff * size / (2 - cutoff), (2 - cutoff) * size / cutoff
    fitting = [c for c in candidates if least <= len(c) <= most]
    return nsmallest(_CANDIDATES_MAX, fitting, key=difference)
