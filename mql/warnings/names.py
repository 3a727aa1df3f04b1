"""Names that no event has: said only where that is known, with what may have been meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mql.language.format import format_property
from mql.language.nearest import nearest_name
from mql.language.paths import AnyElement, Property, Step
from mql.language.quoting import quote
from mql.language.syntax import Prefix, Query
from mql.warnings.profile import SourceProfile, Steps, profiles_of
from mql.warnings.record import QueryWarning, WarningCode, shortened, warning_at
from mql.warnings.uses import Clause, NameUse, is_bare, shown_name

GUESSES_MAX = 3
"""So many names are compared with all others: each takes some milliseconds where there are many."""

_OPERATOR = r"([-+*/%])"


def is_known(use: NameUse, profiles: Sequence[SourceProfile]) -> bool:
    """Whether an event of one of its sources has a name."""
    return any(_has(profile, use) for profile in profiles_of(profiles, use.sources))


def is_lacking(use: NameUse, profiles: Sequence[SourceProfile]) -> bool:
    """Whether it is known of each source that no event has a name."""
    found = profiles_of(profiles, use.sources)
    if {profile.source for profile in found} != set(use.sources):
        return False
    if any(profile.has(other) for other in use.others for profile in found):
        return False
    return all(_lacks(profile, use) for profile in found)


def unknown_names(
    query: Query, uses: Iterable[NameUse], profiles: Sequence[SourceProfile]
) -> Iterator[QueryWarning]:
    """A warning about each name that no event has, where it stands first."""
    guesses = 0
    seen = set[object]()
    for use in uses:
        key = use.name, use.sources
        if key in seen or not is_lacking(use, profiles):
            continue
        seen.add(key)
        found = profiles_of(profiles, use.sources)
        hint = _hint(query, use, found) if guesses < GUESSES_MAX else ""
        guesses += 1
        yield _warning(query, use, found, hint)


def _has(profile: SourceProfile, use: NameUse) -> bool:
    if isinstance(use.name, Prefix):
        return profile.has_start(use.name.start)
    return profile.has(use.name)


def _lacks(profile: SourceProfile, use: NameUse) -> bool:
    if isinstance(use.name, Prefix):
        return profile.concludes() and not profile.has_start(use.name.start)
    return profile.lacks(use.name)


def _warning(query: Query, use: NameUse, found: Sequence[SourceProfile], hint: str) -> QueryWarning:
    events = sum(profile.events for profile in found)
    all_of_them = all(profile.is_complete for profile in found)
    several = len({*query.sources, *(query.join.sources if query.join else ())}) > 1
    of = f" of {' and '.join(f'`{s}`' for s in use.sources)}" if several else ""
    if isinstance(use.written, Prefix):
        what = f"a name that starts with {quote(shortened(use.written.start))}"
    else:
        what = f"`{shown_name(query, use.written)}`"
    if not all_of_them:
        reason = f"none of {events:,} events{of} looked at has {what}"
    elif events == 1:
        reason = f"the one event{of} does not have {what}"
    else:
        reason = f"none of the {events:,} events{of} has {what}"
    return warning_at(
        query.text,
        use.span,
        WarningCode.UNKNOWN_NAME,
        f"{reason}; {hint}" if hint else reason,
        source=use.sources[0] if len(use.sources) == 1 else None,
        service=found[0].service if len(found) == 1 else None,
        of=events,
    )


def _hint(query: Query, use: NameUse, found: Sequence[SourceProfile]) -> str:
    """What may have been meant; empty if nothing is near."""
    in_where = use.clause in {Clause.WHERE, Clause.FILTER}
    paths = [
        steps
        for profile in found
        for steps in profile.fields
        if in_where or AnyElement.ANY not in steps
    ]
    if isinstance(use.name, Prefix):
        keys = dict.fromkeys(str(steps[0]) for steps in paths)
        near = nearest_name(use.name.start, keys)
        return f"did you mean `{shortened(near)}`?" if near else ""
    same = _dotted(use.name.steps)
    for steps in paths:
        if _dotted(steps) == same and steps != use.name.steps:
            return f"it is written `{shortened(_written(use, steps))}`"
    if is_bare(query, use.name) and (spaced := _spaced(same, paths)):
        return f"arithmetic wants white space on both sides: `{spaced}`"
    for source in use.sources:
        inner = same.removeprefix(f"{source}.")
        if inner != same and (inner,) in paths:
            return f"write `{_written(use, (inner,))}`: the source is no part of a name"
    near = _nearest(use, paths)
    return f"did you mean `{shortened(near)}`?" if near else ""


def _nearest(use: NameUse, paths: Sequence[Steps]) -> str | None:
    """The name most like one: beside it, of a key of the same name elsewhere, or with dots."""
    assert isinstance(use.name, Property)
    *around, last = map(_key, use.name.steps)
    beside = {steps[-1]: steps for steps in paths if [*map(_key, steps[:-1])] == around}
    keys = {key: steps for key, steps in beside.items() if isinstance(key, str)}
    folded = str(last).casefold()
    for steps in [*keys.values(), *paths]:
        if _key(steps[-1]) == last or str(steps[-1]).casefold() == folded:
            return _written(use, steps)
    near = nearest_name(last, keys) if isinstance(last, str) else None
    if near is not None:
        return _written(use, keys[near])
    dotted = {_dotted(steps): steps for steps in paths if len(steps) > 1}
    name = _dotted(use.name.steps)
    near = nearest_name(name, dotted) if "." in name and len(use.name.steps) == 1 else None
    return None if near is None else _written(use, dotted[near])


def _key(step: Step) -> str | AnyElement:
    """A step as names have it: what is in one element of a list may be in all."""
    return AnyElement.ANY if isinstance(step, int) else step


def _spaced(name: str, paths: Sequence[Steps]) -> str:
    """A name as arithmetic, if its parts are numbers and names of events; else empty."""
    parts = re.split(_OPERATOR, name)
    values = parts[::2]
    known = {str(steps[0]) for steps in paths}
    named = any(value in known for value in values)
    if len(parts) == 1 or not named or not all(v in known or v.isdecimal() for v in values):
        return ""
    return " ".join(parts)


def _written(use: NameUse, steps: Steps) -> str:
    source = use.written.source if isinstance(use.written, Property) else ""
    return format_property(Property(steps, source=source))


def _dotted(steps: Steps) -> str:
    """The keys of a path, joined with dots."""
    return ".".join(str(step) for step in steps if step is not AnyElement.ANY)
