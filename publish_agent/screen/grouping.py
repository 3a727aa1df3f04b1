"""Which group each subscription of a screen is in, so that their number does not matter.

1. Those without a condition are always in.
2. `property == literal` (or `in`) among the conditions: an `EqualityIndex`. What else such a one
   asks is then tested, or looked up, if it is a threshold (`KeyedThresholds`).
3. `property > number` and the like: `Thresholds`.
4. Texts that have to be in a property: `Substrings`.
5. The conditions of the others: `Residual`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mql.language.syntax import Condition
from publish_agent.capture.event_buffer import Place
from publish_agent.screen.groups.equality_index import EqualityIndex
from publish_agent.screen.groups.protocol import Group
from publish_agent.screen.groups.residual import Residual
from publish_agent.screen.groups.substrings import Substrings, needed_texts
from publish_agent.screen.groups.thresholds import KeyedThresholds, Thresholds
from publish_agent.screen.interest import Wanted

MAX_TESTS = 500
"""Distinct conditions that are tested inline; subscriptions beyond get every event."""


def put_together(subscriptions: Sequence[Wanted]) -> tuple[list[Group], list[Place]]:
    """The groups, and those who want every event."""
    groups: dict[object, Any] = {}
    tested: set[Condition] = set()
    always: list[Place] = []
    for place, wanted in enumerate(subscriptions):
        key, bound, condition = wanted.key, wanted.bound, wanted.condition
        if key is not None and bound is not None and not key[0].has_any:
            kind = key[0], bound.path, bound.is_least
            groups.setdefault(kind, KeyedThresholds(key[0], bound)).add(wanted, place)
        elif key is not None:
            groups.setdefault(key[0], EqualityIndex(key[0])).add(wanted, place)
        elif bound is not None:
            ways = bound.path, bound.is_least, bound.reads_texts
            groups.setdefault(ways, Thresholds(bound)).add(wanted, place)
        elif condition is None or (condition not in tested and len(tested) >= MAX_TESTS):
            always.append(place)
        else:
            tested.add(condition)
            path, texts = needed_texts(condition)
            if path is not None:
                groups.setdefault((path,), Substrings(path)).add(condition, texts, place)
            else:
                groups.setdefault(None, Residual()).add(condition, place)
    return [*groups.values()], always
