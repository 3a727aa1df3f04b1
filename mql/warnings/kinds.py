"""Fields whose values are not all of the kind that a query compares them with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from mql.language.syntax import Prefix, Property, Query
from mql.values.kind import Kind
from mql.warnings.comparisons import (
    BOOLEAN,
    NUMBER,
    TEXT,
    FieldComparison,
    kinds_of_value,
)
from mql.warnings.profile import FieldCounts, SourceProfile
from mql.warnings.record import QueryWarning, WarningCode, warning_at
from mql.warnings.text import TextFindings
from mql.warnings.uses import NameUse, shown_name

_NAMES = {
    Kind.BOOL: BOOLEAN,
    Kind.INT: NUMBER,
    Kind.DOUBLE: NUMBER,
    Kind.STRING: TEXT,
    Kind.LIST: "list",
    Kind.OBJECT: "object",
}
_IN_WORDS = {
    BOOLEAN: "true or false",
    NUMBER: "a number",
    TEXT: "text",
    "list": "a list",
    "object": "an object",
}


def mixed_kinds(
    query: Query, findings: TextFindings, profiles: Sequence[SourceProfile]
) -> Iterator[QueryWarning]:
    """A warning for each field, source and service, where it is first compared with a kind.

    A field that the query compares with several kinds, or converts, may well have them.
    """
    uses = (use for use in findings.uses if isinstance(use.written, Property))
    sources = {use.written: use.sources for use in uses}

    def kinds_of(other: Property) -> frozenset[str] | None:
        found = (
            p.counts(Property(other.steps)) for p in profiles if p.source in sources.get(other, ())
        )
        kinds = frozenset(
            name for counts in found if counts is not None for name in _by_name(counts)
        )
        return kinds if len(kinds) == 1 else None

    fields: dict[Property, tuple[FieldComparison, set[str]]] = {}
    for comparison in findings.comparisons:
        found = [kinds_of_value(other, kinds_of) for other in comparison.others]
        wanted = {kind for kinds in found for kind in kinds or ()}
        if wanted and None not in found and comparison.field not in findings.converted:
            fields.setdefault(comparison.field, (comparison, set()))[1].update(wanted)
    for profile in profiles:
        for field, (comparison, kinds) in fields.items():
            if len(kinds) == 1 and profile.source in sources.get(field, ()):
                yield from _judge(query, comparison, kinds, profile)


def rounded_integers(
    query: Query, findings: TextFindings, profiles: Sequence[SourceProfile]
) -> Iterator[QueryWarning]:
    """A warning for each field and source in which integers have more than 64 bits."""
    for profile in profiles:
        seen = set[Property]()
        for use in findings.uses:
            if isinstance(use.name, Prefix) or profile.source not in use.sources:
                continue
            counts = profile.counts(use.name)
            if counts is None or not counts.rounded or use.name in seen:
                continue
            seen.add(use.name)
            written = shown_name(query, _written(use))
            many = f"in {counts.rounded:,} of {_looked_at(use.name, counts, profile)}"
            reason = f"`{written}` is an integer of more than 64 bits {many}"
            yield warning_at(
                query.text,
                use.span,
                WarningCode.ROUNDED_INTEGER,
                f"{reason}, and is rounded; as text it would be exact",
                source=profile.source,
                service=profile.service,
                counts={"rounded": counts.rounded},
                of=_of(use.name, counts, profile),
            )


def _judge(
    query: Query,
    comparison: FieldComparison,
    wanted: AbstractSet[str],
    profile: SourceProfile,
) -> Iterator[QueryWarning]:
    path = Property(comparison.field.steps)
    counts = profile.counts(path)
    by_name = {} if counts is None else _by_name(counts)
    others = {name: count for name, count in by_name.items() if name not in wanted}
    if counts is None or not others:
        return
    written = shown_name(query, comparison.field)
    parts = [f"{_IN_WORDS[name]} in {count:,}" for name, count in others.items()]
    result = "true" if comparison.result else "false"
    messages = [
        f"`{written}` is {' and '.join(parts)} of {_looked_at(path, counts, profile)}",
        f"`{comparison.test}` is {result} there",
    ]
    if not path.has_any and (reader := _reader(wanted, others, counts)):
        messages.append(f"`{reader}({written})` reads it")
    yield warning_at(
        query.text,
        comparison.span,
        WarningCode.MIXED_KINDS,
        "; ".join(messages),
        source=profile.source,
        service=profile.service,
        counts=by_name,
        of=_of(path, counts, profile),
    )


def _reader(wanted: AbstractSet[str], others: Mapping[str, int], counts: FieldCounts) -> str:
    """The function that makes a value of the wanted kind of one of another, if one does."""
    if wanted == {NUMBER} and TEXT in others and counts.number_texts != 0:
        return "number"
    return "text" if wanted == {TEXT} and {NUMBER, BOOLEAN} & others.keys() else ""


def _by_name(counts: FieldCounts) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind, count in counts.kinds.items():
        if count and kind is not Kind.NULL:
            found[_NAMES[kind]] = found.get(_NAMES[kind], 0) + count
    return found


def _of(path: Property, counts: FieldCounts, profile: SourceProfile) -> int:
    return sum(counts.kinds.values()) if path.has_any else profile.events


def _looked_at(path: Property, counts: FieldCounts, profile: SourceProfile) -> str:
    """`1,000 events looked at`, or `all 12 events`."""
    number = _of(path, counts, profile)
    what = "element" if path.has_any else "event"
    what = what if number == 1 else f"{what}s"
    service = f" of `{profile.service}`" if profile.service else ""
    return f"{number:,} {what}{service} looked at"


def _written(use: NameUse) -> Property:
    assert isinstance(use.written, Property)
    return use.written
