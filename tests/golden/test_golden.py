"""Golden texts: what each rule does to a plan, each operator to events, each mistake to the asker,
which text a query needs of an event, and what is warned of.

A file under `tests/golden/` begins with a sentence that says what is true, and holds one or more
cases, separated by lines of `----`. A case has sections, each a line `name:` and what belongs to
it. Some are given and the others follow from them:

    rules/       query                                          →  before, after
    operators/   query, events (or events NAME), settings       →  plan, rows, counted
    errors/      query (or live query)                          →  error
    needs/       query                                          →  needed, searched
    warnings/    query, perhaps events (or events NAME)         →  warnings

`python tests/golden/test_golden.py --update` writes what follows anew. Read the difference before
you keep it: the rows have to be right by the language, not by the engine.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import mql  # noqa: E402
from mql.exec import build  # noqa: E402
from mql.exec.build import Context, build_step  # noqa: E402
from mql.planner.bind import bind  # noqa: E402
from mql.planner.logical import LogicalPlan, format_plan  # noqa: E402
from mql.planner.required_text import format_needs, needed_text  # noqa: E402
from mql.planner.rules import RULES, optimize  # noqa: E402
from mql.sources.json_spelling import Clause, ValueOf, clauses_of, escape_of  # noqa: E402
from mql.warnings.judge import find_warnings  # noqa: E402
from mql.warnings.record import WarningCode  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
RULE_FILES = sorted(GOLDEN.glob("rules/*.txt"))
OPERATOR_FILES = sorted(GOLDEN.glob("operators/*.txt"))
ERROR_FILES = sorted(GOLDEN.glob("errors/*.txt"))
NEEDS_FILES = sorted(GOLDEN.glob("needs/*.txt"))
WARNING_FILES = sorted(GOLDEN.glob("warnings/*.txt"))

SETTINGS = ("time", "start_ms", "end_ms", "lateness_ms", "seed")
COUNTS = ("late", "without_time", "sampled_out")
COMPUTED = frozenset(
    "before after plan rows counted error needed searched warnings".split()  # noqa: SIM905
)
SEPARATOR = "----\n"
UNCHANGED = "unchanged"
"""What follows where a rule does not fire."""

Sections = dict[str, str]
Events = list[tuple[int, dict[str, object]]]

_HEADER = re.compile(r"^([a-z]+(?: \w+)?):$", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", RULE_FILES, ids=name_of)
def test_a_rule_rewrites_a_plan_as_its_file_shows(path: Path) -> None:
    check(path, what_a_rule_does)


@pytest.mark.parametrize("path", OPERATOR_FILES, ids=name_of)
def test_an_operator_answers_as_its_file_shows(path: Path) -> None:
    check(path, what_operators_do)


@pytest.mark.parametrize("path", ERROR_FILES, ids=name_of)
def test_a_mistake_is_explained_as_its_file_shows(path: Path) -> None:
    check(path, what_is_said)


@pytest.mark.parametrize("path", NEEDS_FILES, ids=name_of)
def test_a_query_needs_the_text_that_its_file_shows(path: Path) -> None:
    check(path, what_is_needed)


@pytest.mark.parametrize("path", WARNING_FILES, ids=name_of)
def test_a_query_is_warned_of_as_its_file_shows(path: Path) -> None:
    check(path, what_is_warned_of)


def test_each_kind_of_warning_is_shown() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in WARNING_FILES)
    assert all(re.search(rf"^{code} ", shown, re.MULTILINE) for code in WarningCode)


def test_each_rule_has_a_file_in_which_it_fires() -> None:
    assert [path.stem for path in RULE_FILES] == sorted(rule.__name__ for rule in RULES)
    for path in RULE_FILES:
        assert any(sections(text)["after"] != UNCHANGED for text in cases(path)), path.stem


def test_each_operator_has_a_file() -> None:
    operators = {name for name in vars(build) if name.endswith("Operator")} - {"Operator"}
    shown = {name for path in OPERATOR_FILES for name in operators_in(path)}
    assert shown == operators


@pytest.mark.parametrize(
    ("query", "misleading"),
    [
        ("select * where a ==~ 'x.*'", "never closed"),
        ("select s.* from s", "arithmetic"),
        ("select a, from s", "e['from']"),
        ("select a from s, where b", "e['where']"),
        ("select distinct a from s", "e['distinct']"),
        ("select a where b in (select c from t)", "e['select']"),
        ("select a as my name from s", "sample`?"),
        ("select median(a) from s", "min`?"),
        ("select a ~ b", "`asc`"),
        ("select count(*) from s group by 1", "hint: count(*)"),
    ],
)
def test_a_hint_does_not_lead_astray(query: str, misleading: str) -> None:
    assert misleading not in what_is_said("", {"query": query})["error"]


@pytest.mark.parametrize(
    "query",
    [
        "select count(1) from s",
        "select sum(distinct -0.5) from s",
        "select count(*) from s group by 1",
        "select * from a join b 5 seconds on 1",
        "select a from 5",
        "select a as 5 from s",
    ],
)
def test_a_number_is_never_a_name(query: str) -> None:
    assert "number" in what_is_said("", {"query": query})["error"]


def test_places_are_no_part_of_what_a_query_says() -> None:
    one = mql.parse("select a from s window 1 group by b order by a")
    other = mql.parse("select a  from s  order by a  group by b  window 1")

    assert one.clause_spans != other.clause_spans
    assert (one, hash(one), repr(one)) == (other, hash(other), repr(other))
    assert mql.format_query(one) == mql.format_query(other)


def check(path: Path, follows: Callable[[str, Sections], Sections]) -> None:
    """A golden file is right if writing it anew changes nothing."""
    assert path.read_text(encoding="utf-8") == renewed(path, follows)


def what_a_rule_does(name: str, given: Sections) -> Sections:
    """The plan that the rules before this one make, and what this one makes of it."""
    before = bind(mql.parse(given["query"]))
    for rule in RULES:
        after = rule(before)
        if rule.__name__ == name:
            same = after == before
            return {
                "before": format_plan(before),
                "after": UNCHANGED if same else format_plan(after),
            }
        before = after
    raise AssertionError(f"there is no rule {name}")


def what_operators_do(_: str, given: Sections) -> Sections:
    """The plan that runs, and the windows and rows that come out, with or without the rules."""
    rows, counted = answer(given, optimized=True)
    assert answer(given, optimized=False) == (rows, counted), "the rules change the answer"
    made = {"plan": format_plan(plan_of(given)), "rows": rows}
    return made | ({"counted": counted} if counted else {})


def what_is_said(_: str, given: Sections) -> Sections:
    """The message of a refused query."""
    live = "live query" in given
    with pytest.raises(mql.QueryError) as refusal:
        mql.plan(given["live query" if live else "query"], live=live)
    return {"error": str(refusal.value)}


def what_is_needed(_: str, given: Sections) -> Sections:
    """What an event's values must hold, and the bytes that its line must hold for that."""
    needs = needed_text(plan_of(given))
    clauses = clauses_of(needs)
    lines = [_searched(clause) for clause in clauses]
    escape = [f"(or {escape_of(clauses).decode()})"] if clauses else []
    return {"needed": format_needs(needs), "searched": "\n".join(lines + escape) or "nothing"}


def what_is_warned_of(_: str, given: Sections) -> Sections:
    """The warnings of a query's text, or of a run over all of some events; `none` if there is none.

    Each has its code, the part of the query that it is about, and its message. Below stand whose
    events they are, of how many looked at, and counts.
    """
    tree = mql.parse(given["query"])
    mql.plan(tree)
    warnings = find_warnings(tree)
    if inputs := inputs_of(given):
        result = mql.run(tree, inputs, **json.loads(given.get("settings", "{}")))
        result.rows()
        warnings = result.warnings
    return {"warnings": "\n".join(map(partial(_warned, tree.text), warnings)) or "none"}


def _warned(text: str, warning: mql.QueryWarning) -> str:
    about = text[warning.start : warning.end]
    counts = json.dumps(dict(warning.counts)) if warning.counts else ""
    of = "" if warning.of is None else f"of {warning.of}"
    more = ", ".join(filter(None, (warning.source, of, counts)))
    assert warning.service is None
    lines = [f"{warning.code} {about}", f"  {warning.message}", *([f"  {more}"] if more else [])]
    return "\n".join(lines)


def _searched(clause: Clause) -> str:
    if isinstance(clause, ValueOf):
        values = " or ".join(f'"{value.decode()}"' for value in clause.values)
        return f"{clause.key.decode()} before {values}"
    return " or ".join(text.decode() for text in clause)


def answer(given: Sections, *, optimized: bool) -> tuple[str, str]:
    settings = json.loads(given.get("settings", "{}"))
    assert set(settings) <= set(SETTINGS)
    result = mql.run(given["query"], inputs_of(given), optimized=optimized, **settings)
    lines: list[str] = []
    for window in result:
        if result.has_windows:
            bounds = "" if window.start_ms is None else f" {window.start_ms} to {window.end_ms}"
            lines.append(f"window{bounds}")
        lines += [json.dumps(row, ensure_ascii=False) for row in window.rows()]
    counters = result.statistics.counters
    counts = {name: getattr(counters, name) for name in COUNTS}
    counted = [f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count]
    return "\n".join(lines), "\n".join(counted)


def inputs_of(given: Sections) -> dict[str, Events]:
    """The events of a case, by the names of their sources."""
    return {
        header.removeprefix("events").strip() or "stream": events_of(text)
        for header, text in given.items()
        if header.split()[0] == "events"
    }


def events_of(text: str) -> Events:
    return [(time, event) for time, event in map(json.loads, text.splitlines())]


def plan_of(given: Sections) -> LogicalPlan:
    return optimize(bind(mql.parse(given["query"])))


def operators_in(path: Path) -> set[str]:
    """The classes of the operators that a file's plans are built of."""
    context = Context(now_ms=lambda: 0)
    plans = [plan_of(sections(text)) for text in cases(path)]
    return {
        type(operator).__name__
        for plan in plans
        for step in plan
        for operator in build_step(step, plan, context)
    }


def cases(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split(SEPARATOR)


def sections(text: str) -> Sections:
    """The sections of a case. What stands before the first one is for the reader."""
    _, *parts = _HEADER.split(text)
    return {header: body.strip("\n") for header, body in zip(parts[::2], parts[1::2], strict=True)}


def renewed(path: Path, follows: Callable[[str, Sections], Sections]) -> str:
    """The text of a file with what follows from each of its cases computed anew."""
    return SEPARATOR.join(_renewed(text, path.stem, follows) for text in cases(path))


def _renewed(text: str, name: str, follows: Callable[[str, Sections], Sections]) -> str:
    intro = _HEADER.split(text)[0].strip("\n")
    given = {header: body for header, body in sections(text).items() if header not in COMPUTED}
    parts = [f"{header}:\n{body}" for header, body in (given | follows(name, given)).items()]
    return "\n\n".join([*([intro] if intro else []), *parts]).rstrip("\n") + "\n"


def update() -> None:
    """Write every golden file anew."""
    for files, follows in (
        (RULE_FILES, what_a_rule_does),
        (OPERATOR_FILES, what_operators_do),
        (ERROR_FILES, what_is_said),
        (NEEDS_FILES, what_is_needed),
        (WARNING_FILES, what_is_warned_of),
    ):
        for path in files:
            path.write_text(renewed(path, follows), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("usage: python tests/golden/test_golden.py --update")
    update()
