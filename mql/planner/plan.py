"""The whole way from text to a query's plan, in one call; and the same as text."""

from __future__ import annotations

from mql.errors import QueryError, Span
from mql.language.format import format_query
from mql.language.parser import parse
from mql.language.syntax import Query
from mql.planner.bind import bind
from mql.planner.logical import LogicalPlan, format_plan
from mql.planner.rules import columns_of, optimize
from mql.planner.split import QueryPlan, split

MAX_LIVE_COLUMNS = 500
"""A live query that reads more properties, or makes more columns of them, is refused.

Each costs every service some microseconds a batch, and batches are many and small.
"""


def plan(query: str | Query, *, live: bool = False, optimized: bool = True) -> QueryPlan:
    """Plan a query. Raises QueryError.

    `live` refuses what would never answer on a stream without an end, or would cost the services
    much; `optimized=False` leaves all rules out, which changes the cost and never the answer.
    """
    tree = parse(query) if isinstance(query, str) else query
    bound = bind(tree, live=live)
    made = split(optimize(bound) if optimized else bound)
    values = sum(len(output.values) for output in columns_of(made.steps))
    columns = max(len(made.agent.reads.paths), values)
    if live and columns > MAX_LIVE_COLUMNS:
        reason = f"the query has {columns:,} columns; live at most {MAX_LIVE_COLUMNS} are taken"
        raise QueryError(reason, tree.text, Span(0, 0), "`select *` sends whole events")
    return made


def explain(query: str | Query, *, rules: bool = False) -> str:
    """The four values of a query as text; with `rules`, each rewrite too. Raises QueryError."""
    tree = parse(query) if isinstance(query, str) else query
    bound = bind(tree)
    fired: list[str] = []

    def observe(name: str, before: LogicalPlan, after: LogicalPlan) -> None:
        fired.append(f"rule {name}\n{_difference(before, after)}")

    optimized = optimize(bound, observe)
    parts = [
        f"query\n  {format_query(tree)}",
        f"logical plan\n{_indent(format_plan(bound))}",
        *(fired if rules else []),
        f"optimized plan\n{_indent(format_plan(optimized))}",
        str(split(optimized)),
    ]
    return "\n\n".join(parts) + "\n"


def _difference(before: LogicalPlan, after: LogicalPlan) -> str:
    gone = [
        f"  - {line}"
        for line in format_plan(tuple(s for s in before if s not in after)).split("\n")
    ]
    new = [
        f"  + {line}"
        for line in format_plan(tuple(s for s in after if s not in before)).split("\n")
    ]
    return "\n".join(line for line in gone + new if len(line) > len("  - "))


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
