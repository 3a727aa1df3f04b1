"""The screen: two Python functions for all subscriptions of a stream, run on the caller's thread.

`offer` is what `publish` hands events to. It throws away what no query can want, in one expression,
the gate, and hands on the rest; where all that is needed of that is a few values, it copies those
at once (`copying.py`), and what of them passes is found out later, by the column.
`sort` gives, for what is left, the positions of the subscriptions that may want it. Subscriptions
are put together in groups (`grouping.py`), whose size does not matter.

Both may let through too much (a background thread verifies), never too little: whatever raises in
them lets everything through. They are built as an `ast`; texts of a query only ever become
constants in it. `mql explain --screen` prints them. What `offer` says, compiled code does where it
can, by a list of looks instead (`capture/native/`).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType

from mql.language.syntax import Property
from publish_agent.capture.event_buffer import Intake, Place, Status
from publish_agent.capture.event_target import EventTarget
from publish_agent.capture.native.binding import Kind, Look, Steps, gate, sampler
from publish_agent.capture.redaction import Redaction
from publish_agent.capture.value_columns import Columns
from publish_agent.screen.code_template import bind, joined, negated, run, statements
from publish_agent.screen.copying import copy_values, needs_of_all
from publish_agent.screen.grouping import put_together
from publish_agent.screen.groups.equality_index import EqualityIndex
from publish_agent.screen.groups.protocol import Group
from publish_agent.screen.interest import Wanted, Wants
from publish_agent.screen.path_code import NAMES, Reader
from publish_agent.screen.publisher import target_code
from publish_agent.screen.taker import Taker

_FEW = 8
"""So many subscriptions, if they have conditions, may each look through all that is copied."""


class Screener(Wants):
    """Makes screens; `agent` are the agent's own properties."""

    def __init__(
        self, redaction: Redaction | None = None, agent: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(redaction or Redaction(), agent or {})

    def screen(self, subscriptions: Sequence[Wanted]) -> Screen:
        """The screen of some subscriptions."""
        return Screen(subscriptions, self._reader)

    def _reader(self, *, direct: bool) -> Reader:
        return Reader(self._redaction, self._agent, direct=direct)


class Screen:
    """A compiled screen: `sort` tells who may want an event, and `taker` asks that.

    `needs` is what is kept of an event that somebody may want, if that is enough for all.
    """

    def __init__(self, subscriptions: Sequence[Wanted], reader: Callable[..., Reader]) -> None:
        self._reader = reader
        self._groups, always = put_together(subscriptions)
        self.always = tuple(always)
        looks_through = not self._groups or len(subscriptions) <= _FEW
        self.needs = needs_of_all(subscriptions) if looks_through else None
        careful = reader(direct=False)
        body = [s for i, group in enumerate(self._groups) for s in group.sort(careful, i)]
        self._sort_code = statements(_SORT, body=[*careful.body, *body])
        self._names: dict[str, object] = {
            "everything": tuple(range(len(subscriptions))),
            "always": self.always,
        }
        for i, group in enumerate(self._groups):
            self._names |= group.names(i)
        names = {**self._names, **careful.names, **NAMES}
        self.sort: Callable[[object], tuple[Place, ...]] = run(self._sort_code, names, "sort")
        self._functions: dict[tuple[bool, bool], tuple[FunctionType, dict[str, object]]] = {}

    @property
    def tests(self) -> bool:
        """Whether some subscription does not want every event."""
        return bool(self._groups)

    @property
    def keeps_order(self) -> bool:
        """Whether what is copied has to stay in order, with what is kept as text behind it."""
        return self.needs is not None and self.needs.in_order

    def join(self, wanted: Wanted, place: Place) -> bool:
        """Take one more in while the screen is in use, if that needs no other code."""
        keys = self._keys(wanted)
        if self.needs is not None or keys is None or not keys.join(wanted, place):
            return False
        scope = self.sort.__globals__
        scope.update(keys.every, everything=(*scope["everything"], place))
        return True

    def leave(self, wanted: Wanted, place: Place) -> bool:
        """Let go of one while the screen is in use, if that needs no other code."""
        keys = self._keys(wanted)
        if keys is None:
            return False
        keys.leave(wanted, place)
        return True

    def way(self, path: Property) -> Steps | None:
        """Where a value is in an event; None if it is not to be read there."""
        return None if path.has_any else self._reader(direct=False).way(path.steps)

    def _keys(self, wanted: Wanted) -> EqualityIndex | None:
        """The group of those that want some value of a property, and nothing that is sorted."""
        if wanted.key is None or (wanted.bound is not None and not wanted.key[0].has_any):
            return None
        groups = (group for group in self._groups if isinstance(group, EqualityIndex))
        return next((group for group in groups if group.path == wanted.key[0]), None)

    def taker(
        self, intake: Intake, columns: Columns | None = None, *, careful: bool = False
    ) -> Taker:
        """What a stream hands its events to; those of which `needs` is enough go to `columns`.

        It is faster where events have all properties that are asked for; `careful` where not.
        """
        quick = self._compiled(intake, columns)
        if quick is not None:
            return Taker(quick, intake.lost)
        if self.keeps_order:
            columns = None  # made in Python, it does not know what was kept otherwise
        form = columns is not None, careful
        if form not in self._functions:
            code, names = self._offer_code(copies=form[0], careful=careful)
            names |= {"ACCEPTED": Status.ACCEPTED}
            self._functions[form] = target_code(code, [*names, *_BLANKS], "offer"), names
        function, names = self._functions[form]
        blanks = names | {"KEEP": intake.keep, "REJECTED": intake.rejected.ticks}
        blanks |= {"FULL": intake.full.add}
        if columns is not None:
            blanks |= {"VALUES": columns.values, "MARK": columns.mark, "TICKS": columns.ticks}
        return Taker(bind(function, blanks), intake.lost)

    def _compiled(self, intake: Intake, columns: Columns | None) -> EventTarget | None:
        """What does the same as `offer`, compiled, and where that is quicker."""
        if columns is None:
            return sampler(intake) if self.always else gate(self._looks(), intake, intake.keep)
        ways = self._ways()
        copy = None if ways is None else columns.copier(ways, intake)
        if copy is None or self.always:
            return copy
        return gate(self._looks(), intake, copy)

    def _ways(self) -> list[Steps] | None:
        """Where the values are that are copied; None if they are not all in the event."""
        assert self.needs is not None
        reader = self._reader(direct=False)
        ways = [reader.way(path.steps) for path in self.needs.paths]
        found = [way for way in ways if way is not None]
        return found if len(found) == len(ways) else None

    def _looks(self) -> list[Look]:
        """The gates of all groups."""
        reader = self._reader(direct=False)
        return [
            look
            for i, group in enumerate(self._groups)
            for look in group.looks(reader) or [Look(Kind.TEST, first=self._test(group, i))]
        ]

    def _test(self, group: Group, i: int) -> Callable[[object], object]:
        """The gate of a group as a function."""
        reader = self._reader(direct=False)
        before, expression = group.gate(reader, i)
        code = statements(_TEST, expression, [*reader.body, *before])
        test: Callable[[object], object]
        test = run(code, {**self._names, **reader.names, **NAMES}, "test")
        return test

    def source(self) -> str:
        """The functions as text, and how compiled code does what the first one does."""
        copies = self.needs is not None and not self.keeps_order
        offer, _ = self._offer_code(copies=copies, careful=False)
        code = "\n\n\n".join(map(ast.unparse, [*offer, *self._sort_code]))
        return self._note() + code

    def _note(self) -> str:
        looks = [] if self.always else self._looks()
        copies = self.needs is not None and self._ways() is not None
        parts = []
        if looks and (copies or any(look.kind is not Kind.TEST for look in looks)):
            parts.append(f"looks at: {'; '.join(map(str, looks))}")
        if self.needs is not None and copies:
            names = ", ".join(".".join(map(str, path.steps)) for path in self.needs.paths)
            parts.append(f"copies: {names or 'nothing, and counts'}")
        return f"# Compiled, `offer` {', and then '.join(parts)}.\n" if parts else ""

    def _offer_code(
        self, *, copies: bool, careful: bool
    ) -> tuple[list[ast.stmt], dict[str, object]]:
        """The code of `offer`, and what its blanks are but for those of an intake."""
        if self.always and not copies:
            return statements(_OFFER, body=[ast.Pass()]), {}
        reader = self._reader(direct=not careful and not copies)  # what is missing is copied, too
        body: list[ast.stmt] = []
        if not self.always:
            gates = [group.gate(reader, i) for i, group in enumerate(self._groups)]
            gate = joined([expression for _, expression in gates], ast.Or())
            body = [statement for some, _ in gates for statement in some]
            body += statements(_REJECT, negated(gate))
        if copies:
            assert self.needs is not None
            body += copy_values(self.needs, reader)
        code = statements(_OFFER, body=[*reader.body, *body])
        return code, {**self._names, **reader.names}


_BLANKS = ("KEEP", "REJECTED", "FULL", "VALUES", "MARK", "TICKS")

_SORT = """
def sort(event):
    if type(event) is not dict:
        return everything
    try:
        found = always
        BODY
        return found
    except BaseException as error:
        pass_on(error)
        return everything
"""

_OFFER = """
def offer(event):
    if type(event) is dict:
        try:
            BODY
        except BaseException as error:
            pass_on(error)
    keep = KEEP
    return keep(event)
"""

_TEST = """
def test(event):
    BODY
    return C
"""

_REJECT = """
if C:
    return next(REJECTED)
"""
