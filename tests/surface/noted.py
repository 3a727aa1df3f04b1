"""What is noted of a run: keys by their places, exit codes, and names of metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.surface import inside
from tests.surface.record import keys_of

OWN = frozenset({"tags", "event", "counts"})
"""Under these the keys of a service, of a query, or of a warning's code stand."""

COMPLETENESS = frozenset({"completeness", "_ledger", "_ledger_total"})
"""Under these the same keys stand everywhere, if they are known yet."""

COST = "cost"
"""Under this the keys of `QueryCost` stand, as soon as an agent has told them."""

LATER = frozenset({"gap", "heartbeat"})
"""Events that come where the machine stalls; those of formats are shown without a server."""

ROWS = "select path, status from requests where status >= 500"
WINDOWS = "select count(*) as n from requests window 0.2"
TRACED = "requests.user=u1"
LIMIT_S = 30


@dataclass
class Seen:
    """Keys by what has them, exit codes by what was done, and metrics."""

    outputs: dict[str, set[str]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    responses: dict[str, set[str]] = field(default_factory=dict)
    events: dict[str, set[str]] = field(default_factory=dict)
    metrics: dict[str, set[str]] = field(default_factory=dict)
    agent_metrics: dict[str, set[str]] = field(default_factory=dict)
    logged: dict[str, set[str]] = field(default_factory=dict)


def keys_in(value: object) -> set[str]:
    """The keys of a JSON value; every completeness in it has those that all of them have."""
    _check(value)
    return keys_of(value, OWN | COMPLETENESS | {COST})


def _check(value: object) -> None:
    match value:
        case {"exactness": _}:
            known = inside.as_data(inside.Completeness(0, 1000))
            assert isinstance(value, dict)
            assert value.keys() == known.keys(), "a completeness with other keys"
        case dict():
            for key, inner in value.items():
                if key == COST and inner is not None:
                    fields = inside.messages.QueryCost.__struct_fields__
                    assert set(inner) <= set(fields), "a cost with other keys"
                _check(inner)
        case list():
            for inner in value:
                _check(inner)


def note_metrics(into: dict[str, set[str]], families: object) -> None:
    """The names of samples, with the names of their labels; values of those that have few."""
    for family in families:  # type: ignore[attr-defined]
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            names = ", ".join(sorted(sample.labels))
            noted = into.setdefault(f"{sample.name}{{{names}}} {family.type}", set())
            noted |= {
                f"{key}={value}"
                for key, value in sample.labels.items()
                if key in {"cause", "fate", "le"}
            }
