"""The names and kinds of some events, counted for warnings about a query.

The paths that the query reads are decoded into columns, and these counted. Only where a path has no
value in any of them the events themselves are looked through, for names whose value is null, and
for those that may have been meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.kinds import kinds_of, mask_of
from mql.columnar.layout import Ints
from mql.columnar.read import doubles_of, strings_of
from mql.events.decode import EventReader
from mql.events.names import NameWalk, values_at
from mql.language.format import format_property
from mql.language.paths import Property
from mql.planner.fields import Fields
from mql.values.json_coercion import INT64_MAX, INT64_MIN
from mql.values.json_values import read_json, read_json_lines
from mql.values.kind import Kind
from mql.warnings.profile import FieldCounts, SourceProfile, Steps

WALKED_MAX = 2_000
"""Events that are walked through for names that may have been meant."""

_NUMBER_TEXT = r"\A[ \t\r\n]*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?[ \t\r\n]*\z"
_BEYOND_INT64 = 2.0**63
_Events = Callable[[], Iterable[object]]


class ProfileBuilder:
    """Counts the events that it is given, as far as a query reads them.

    `numeric` are the paths of which it matters whether their texts are numbers. `known` are names
    that are known to be had by some event, whatever has been counted here.
    """

    def __init__(
        self,
        paths: Iterable[Property],
        prefixes: Iterable[str] = (),
        numeric: Container[Property] = (),
        known: Container[str] = (),
    ) -> None:
        self._paths = {format_property(path): path for path in paths}
        self._prefixes = tuple(prefixes)
        self._numeric = numeric
        self._known = known
        self._reader = EventReader(Fields(tuple(self._paths.values())))
        self._kinds: dict[str, Ints] = {}
        self._number_texts: dict[str, int] = {}
        self._rounded: dict[str, int] = {}
        self._had: dict[Steps, None] = {}
        self._names = NameWalk(path.steps for path in self._paths.values())
        self._walked = 0
        self.events = 0

    def add_lines(self, lines: bytes) -> None:
        """Count events by whole lines of JSON; what is no event is left out."""
        batch = self._reader.from_lines(lines).batch
        self._add(batch, lambda: _read(lines), lambda: _read_exactly(lines))

    def add_rows(self, rows: pa.RecordBatch) -> None:
        """Count rows of a table, of which only the columns are there that the query reads."""
        batch = self._reader.from_table([rows]).batch
        self._add(batch, rows.to_pylist, rows.to_pylist)

    def add_names(self, names: Iterable[Steps]) -> None:
        """Take names that all events have, whatever their values are."""
        self._had.update(dict.fromkeys(names))

    def missing(self) -> dict[Property | str, str]:
        """The paths and prefixes that no event has had so far, each with the key that it lacks."""
        if not self._doubtful():
            return {}
        known = self.profile("", is_complete=False)
        found: dict[Property | str, str] = {
            prefix: prefix for prefix in self._prefixes if not known.has_start(prefix)
        }
        for name, path in self._paths.items():
            step = known.missing_step(path) if self._is_doubtful(name, path) else None
            if isinstance(step, str):
                found[path] = step
        return found

    def is_missing(self, name: Property | str) -> bool:
        """Whether a path or a prefix is still in doubt."""
        if isinstance(name, str):
            return not self._starts(name, self._had)
        return self._is_doubtful(format_property(name), name)

    def find(self, lines: bytes) -> None:
        """Look for what is in doubt in some more lines, which are not counted."""
        for _ in self._find(_read(lines)):
            pass

    def profile(self, source: str, *, is_complete: bool) -> SourceProfile:
        """What has been counted; `is_complete` says whether those are all events of the source."""
        fields = {steps: FieldCounts() for steps in self._had} | self._names.fields
        for name, path in self._paths.items():
            if self._has_values(name):
                counts = enumerate(self._kinds[name].tolist())
                kinds = {Kind(kind): count for kind, count in counts if count}
                texts, rounded = self._number_texts.get(name), self._rounded.get(name, 0)
                fields[path.steps] = FieldCounts(kinds, texts, rounded)
            elif name in self._known:
                fields.setdefault(path.steps, FieldCounts())
        return SourceProfile(source, self.events, is_complete, fields)

    def _add(self, batch: pa.RecordBatch, events: _Events, exact_events: _Events) -> None:
        self.events += batch.num_rows
        beyond = [path for name, path in self._paths.items() if self._count(name, batch)]
        if beyond:
            self._count_rounded(beyond, exact_events())
        if self._doubtful():
            self._look_through(events())

    def _count(self, name: str, batch: pa.RecordBatch) -> bool:
        """Count the values of a path; whether there may be integers of more than 64 bits."""
        column = batch.column(name)
        if pa.types.is_list(column.type):
            column = kernels.flatten(column)
        kinds = kinds_of(column)
        counts = np.bincount(kinds, minlength=len(Kind))
        self._kinds[name] = self._kinds.get(name, 0) + counts
        if counts[Kind.STRING] and self._paths[name] in self._numeric:
            texts = kernels.filter(strings_of(column), kinds == Kind.STRING)
            numbers = mask_of(kernels.match_substring_regex(texts, _NUMBER_TEXT))
            self._number_texts[name] = self._number_texts.get(name, 0) + int(numbers.sum())
        if not counts[Kind.DOUBLE]:
            return False
        return bool((np.abs(doubles_of(column)) >= _BEYOND_INT64).any())

    def _count_rounded(self, paths: Sequence[Property], events: Iterable[object]) -> None:
        for event in events:
            for path in paths:
                number = sum(map(_is_rounded, values_at(event, path.steps)))
                if number:
                    name = format_property(path)
                    self._rounded[name] = self._rounded.get(name, 0) + number

    def _has_values(self, name: str) -> bool:
        kinds = self._kinds.get(name)
        return kinds is not None and bool(kinds[Kind.NULL + 1 :].any())

    def _doubtful(self) -> bool:
        """Whether there is a path or a prefix of which it is not known that events have it."""
        if any(not self._starts(prefix, self._had) for prefix in self._prefixes):
            return True
        return any(self._is_doubtful(name, path) for name, path in self._paths.items())

    def _is_doubtful(self, name: str, path: Property) -> bool:
        return (
            path.steps not in self._had and name not in self._known and not self._has_values(name)
        )

    def _starts(self, prefix: str, names: Iterable[Steps]) -> bool:
        return any(str(steps[0]).startswith(prefix) for steps in names)

    def _look_through(self, events: Iterable[object]) -> None:
        """Find names in events; all, for those that may be meant, while something is in doubt."""
        for event in self._find(events):
            if self._walked < WALKED_MAX:
                self._walked += 1
                self._names.add(event)

    def _find(self, events: Iterable[object]) -> Iterator[object]:
        """Take the names of events that are in doubt; give events after which some still are."""
        for event in events:
            if not isinstance(event, dict):
                continue
            for name, path in self._paths.items():
                if self._is_doubtful(name, path) and any(
                    True for _ in values_at(event, path.steps)
                ):
                    self._had[path.steps] = None
            for prefix in self._prefixes:
                key = next((key for key in event if str(key).startswith(prefix)), None)
                if key is not None:
                    self._had[(str(key),)] = None
            if not self._doubtful():
                return
            yield event


def _read(lines: bytes) -> Iterable[object]:
    """The values of lines of JSON; what is none is left out."""
    number = lines.count(b"\n")
    values = read_json_lines(lines, number)
    return _each(lines, read_json) if values is None else values


def _read_exactly(lines: bytes) -> Iterator[object]:
    """The same, integers as they are written."""
    return _each(lines, json.loads)


def _each(lines: bytes, read: Callable[[bytes], object]) -> Iterator[object]:
    for line in lines.split(b"\n"):
        try:
            yield read(line)
        except (
            ValueError,
            RecursionError,
        ):  # no JSON, or a number of more digits than Python takes
            continue


def _is_rounded(value: object) -> bool:
    """Whether a value is an integer of more than 64 bits that no double is equal to."""
    if type(value) is not int or INT64_MIN <= value <= INT64_MAX:
        return False
    try:
        return int(float(value)) != value
    except OverflowError:
        return False
