"""The whole way from text to a query's plan, in one call; and the same as text."""

from __future__ import annotations

from mql.format import format_query
from mql.parser import parse
from mql.planner.bind import bind
from mql.planner.logical import LogicalPlan, format_plan
from mql.planner.rules import optimize
from mql.planner.split import QueryPlan, split
from mql.syntax import Query


def plan(query: str | Query, *, live: bool = False, optimized: bool = True) -> QueryPlan:
    """Plan a query. Raises QueryError.

    `live` refuses what would never answer on a stream without an end; `optimized=False` leaves
    all rules out, which changes the cost and never the answer.
    """
    tree = parse(query) if isinstance(query, str) else query
    bound = bind(tree, live=live)
    return split(optimize(bound) if optimized else bound)


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
