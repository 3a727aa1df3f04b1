"""Candidates: which rows of a drain may be for which query, and for how many events each stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from mql.columnar.arrays import distinct
from mql.columnar.layout import Ints
from publish_agent.capture.event_buffer import Candidates, Place, Weights


def rows_by_place(
    candidates: Sequence[Candidates], counts: Callable[[Place], bool]
) -> dict[Place, Ints]:
    """The rows that may be for a query, ascending, for those by their place that have some.

    That is of those queries that `counts` says yes to.
    """
    alike: dict[Candidates, Ints] = {}
    if candidates.count(candidates[0]) == len(candidates):
        alike[candidates[0]] = np.arange(len(candidates))
    else:
        numbers: dict[Candidates, list[int]] = {}
        for number, some in enumerate(candidates):
            numbers.setdefault(some, []).append(number)
        alike = {some: np.array(them) for some, them in numbers.items()}
    found: dict[Place, list[Ints]] = {}
    for some, them in alike.items():
        for place in some:
            if counts(place):
                found.setdefault(place, []).append(them)
    return {
        place: parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
        for place, parts in found.items()
    }


def rows_by_weight(
    found: Mapping[Place, Ints], weights: Sequence[Weights], adds: Callable[[Place], bool]
) -> dict[int, dict[Place, Ints]]:
    """The same rows by the weight that they have for a query, which may be one that `adds` up.

    Large ones have none (0) for one that does not, unless the dice have kept them.
    """
    added, otherwise = weights[0]
    if added == otherwise and weights.count(weights[0]) == len(weights):
        return {added: dict(found)}
    by_weight: dict[int, dict[Place, Ints]] = {}
    where_added, elsewhere = np.array(weights).T
    for place, numbers in found.items():
        each = (where_added if adds(place) else elsewhere)[numbers]
        for weight in distinct(each).tolist():
            by_weight.setdefault(weight, {})[place] = numbers[each == weight]
    return by_weight


def union(parts: Iterable[Mapping[Place, Ints]]) -> dict[Place, Ints]:
    """All rows of each query, ascending; no part has a row of another."""
    found: dict[Place, Ints] = {}
    for part in parts:
        for place, numbers in part.items():
            known = found.get(place)
            found[place] = numbers if known is None else np.sort(np.append(known, numbers))
    return found
