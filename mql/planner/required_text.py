"""Text that an event must hold to pass a condition: what to look for before it is decoded.

`and` needs what each side needs, `or` one of what they need, `not` nothing. This file speaks of
values; how a value's text may stand in a line of JSON is told by `mql/sources/json_spelling.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mql.language.format import format_property
from mql.language.quoting import quote
from mql.language.syntax import (
    And,
    Comparator,
    Comparison,
    Condition,
    Contains,
    In,
    Like,
    Literal,
    Matches,
    Or,
    Property,
    TimeWindow,
)
from mql.planner.logical import (
    Filter,
    Join,
    LogicalPlan,
    Sample,
    Scan,
    Step,
    WindowAggregate,
    WindowRows,
)
from mql.planner.regex_literals import AnyOf, either, texts_in


@dataclass(frozen=True, slots=True)
class Implied:
    """The value at a path (one of them, with `[*]`) is a string, or has it in its text."""

    path: Property
    text: str
    whole: bool

    def __str__(self) -> str:
        return f"{format_property(self.path)} {'is' if self.whole else 'has'} {quote(self.text)}"


Needs = tuple[AnyOf[Implied], ...]
"""An event that passes satisfies one of each; nothing is needed of it if there are none."""


def needed_text(plan: LogicalPlan) -> Needs:
    """What an event must hold to matter to a plan; nothing where the others' times matter too."""
    match plan:
        case (Scan(), Filter(conditions), *steps) if not any(map(_looks_at_all, steps)):
            return implied_by(conditions)
        case _:
            return ()


def _looks_at_all(step: Step) -> bool:
    """Whether events that a filter has dropped matter: by their time, or their number."""
    match step:
        case WindowRows(TimeWindow()) | WindowAggregate(TimeWindow()) | Join() | Sample():
            return True
        case _:
            return False


def implied_by(conditions: tuple[Condition, ...]) -> Needs:
    """What an event must hold to satisfy all conditions."""
    needs = (need for condition in conditions for need in _implied(condition))
    return tuple(dict.fromkeys(needs))


def format_needs(needs: Needs) -> str:
    """The needs as text, one a line."""
    return "\n".join(" or ".join(map(str, any_of)) for any_of in needs) or "nothing"


def _implied(condition: Condition) -> Needs:
    match condition:
        case And(conditions):
            return implied_by(conditions)
        case Or(conditions):
            return either([_implied(each) for each in conditions], _length)
        case Comparison(Comparator.EQ, Property() as path, Literal(str() as text)) | Comparison(
            Comparator.EQ, Literal(str() as text), Property() as path
        ):
            return ((Implied(path, text, whole=True),),)
        case In(Property() as path, choices):
            texts = [c.value for c in choices if isinstance(c, Literal) and type(c.value) is str]
            if len(texts) < len(choices):
                return ()
            return (tuple(Implied(path, text, whole=True) for text in texts),)
        case Contains(Property() as path, Literal(str() as text)):
            return _held(path, ((text,),))
        case Matches(Property() as path, pattern):
            return _held(path, texts_in(pattern))
        case Like(Property() as path, pattern):
            return _held(path, tuple((text,) for text in re.split("[%_]", pattern)))
        case _:
            return ()


def _held(path: Property, needs: tuple[AnyOf[str], ...]) -> Needs:
    told = (any_of for any_of in needs if all(any_of))
    return tuple(tuple(Implied(path, text, whole=False) for text in any_of) for any_of in told)


def _length(implied: Implied) -> int:
    return len(implied.text)
