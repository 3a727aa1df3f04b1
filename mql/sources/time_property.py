"""Which property is the time of recorded events, and what to say where that is not known."""

from __future__ import annotations

from collections.abc import Sequence

from mql.errors import InputError, QueryError
from mql.events.decode import recognize_time
from mql.events.reader import TimeProperty
from mql.language.format import format_property
from mql.language.parser import parse
from mql.language.syntax import Property, Query, TimeWindow
from mql.sources.python_events import EventSource
from mql.sources.source import Source

_YEAR_1985_S, _YEAR_2128_S = 5e8, 5e9


def find_time(
    query: Query, sources: Sequence[tuple[str, Source]], time: str | None
) -> TimeProperty | None:
    """Where events have their time from. Raises InputError where that is needed and unknown."""
    if time is not None:
        path = _time_path(time)
        for _, source in sources:
            unit = recognize_time(path, source.first_events())
            if unit is not None:
                return TimeProperty(path, unit)
        if not any(source.first_events() for _, source in sources):
            return None
        hint = _candidates(sources)
        raise InputError(f"`{time}` holds no time in the first events{hint}")
    needs_time = isinstance(query.window, TimeWindow) or query.join is not None
    if not needs_time:
        return None
    for _, source in sources:
        untimed = not source.arrives and not (isinstance(source, EventSource) and source.has_times)
        if untimed and source.first_events():
            what = "a window of time" if query.join is None else "a join"
            reason = f"{what} over recorded events needs to know which property is the time"
            raise InputError(f"{reason}{_candidates(sources)}")
    return None


def _time_path(time: str) -> Property:
    """The time property as a user writes it: `ts`, or `e['a']['ts']`."""
    try:
        value = parse(f"select {time}").items[0].value
    except QueryError:
        value = None
    return value if isinstance(value, Property) else Property((time,))


def _candidates(sources: Sequence[tuple[str, Source]]) -> str:
    """The properties of the first events that hold times."""
    events = [event for _, source in sources for event in source.first_events()]
    keys = dict.fromkeys(key for event in events for key in event)
    found = []
    for key in keys:
        unit = recognize_time(Property((str(key),)), events)
        if unit is not None and _plausible(events, key, unit.name):
            found.append(f"`{format_property(Property((str(key),)))}` ({unit.description})")
    return (
        f"; these look like one: {', '.join(found)}" if found else "; none of them looks like one"
    )


def _plausible(events: Sequence[dict[str, object]], key: str, unit: str) -> bool:
    """Whether numbers of seconds are recent enough to be meant as a time."""
    if unit != "s":
        return True
    values = [event.get(key) for event in events]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return bool(numbers) and all(_YEAR_1985_S < v < _YEAR_2128_S for v in numbers)
