"""The rewrites that make a plan cheaper and never change its answer.

`RULES` is applied in order, once. Each rule is a plain function from plan to plan, tested by
`tests/golden/rules/<name>.txt`. After each one `optimize` checks that the answer's columns are
the ones they were, and names the rule if not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mql.language.syntax import (
    And,
    Comparator,
    Comparison,
    Condition,
    Constant,
    In,
    Literal,
    Not,
    Or,
    Property,
    Value,
)
from mql.language.traverse import properties_in
from mql.planner.condition_cost import condition_cost_ns
from mql.planner.logical import (
    Filter,
    Having,
    Limit,
    LogicalPlan,
    Nothing,
    Output,
    RollUp,
    Select,
    Sort,
    Step,
    TopN,
    WholeInput,
    WindowAggregate,
    WindowRows,
)

Rule = Callable[[LogicalPlan], LogicalPlan]
Observer = Callable[[str, LogicalPlan, LogicalPlan], None]


def fold_constants(plan: LogicalPlan) -> LogicalPlan:
    """`true and x` is x, `false and x` is false, `not true` is false, and so on."""
    return _rewrite_conditions(plan, _fold)


def remove_double_negation(plan: LogicalPlan) -> LogicalPlan:
    """`not not x` is x; `not a == 1` is `a != 1`, unless `[*]` makes that another question."""
    return _rewrite_conditions(plan, _without_negation)


def flatten_conditions(plan: LogicalPlan) -> LogicalPlan:
    """`(a and b) and c` is `a and b and c`; the same for `or`."""
    return _rewrite_conditions(plan, _flatten)


def merge_equalities(plan: LogicalPlan) -> LogicalPlan:
    """`a == 1 or a == 2` is `a in (1, 2)`, one look-up instead of two comparisons."""
    return _rewrite_conditions(plan, _merge_equalities)


def split_conjunctions(plan: LogicalPlan) -> LogicalPlan:
    """A filter's `a and b` becomes two conditions, so that b sees only what a let through."""

    def split(step: Step) -> Step:
        if not isinstance(step, Filter):
            return step
        parts: list[Condition] = []
        for condition in step.conditions:
            parts.extend(condition.conditions if isinstance(condition, And) else [condition])
        return Filter(tuple(dict.fromkeys(parts)))

    return tuple(map(split, plan))


def remove_constant_filters(plan: LogicalPlan) -> LogicalPlan:
    """A filter that is always true goes; one that is never true becomes `nothing`."""
    steps: list[Step] = []
    for step in plan:
        if not isinstance(step, Filter):
            steps.append(step)
        elif Constant(value=False) in step.conditions:
            steps.append(Nothing())
        else:
            rest = tuple(c for c in step.conditions if c != Constant(value=True))
            steps += [Filter(rest)] if rest else []
    return tuple(steps)


def order_conditions_by_cost(plan: LogicalPlan) -> LogicalPlan:
    """Cheap conditions first: a comparison before a substring, that before a regex or `[*]`."""

    def order(step: Step) -> Step:
        if not isinstance(step, Filter):
            return step
        return Filter(tuple(sorted(step.conditions, key=condition_cost_ns)))

    return tuple(map(order, plan))


def fuse_sort_and_limit(plan: LogicalPlan) -> LogicalPlan:
    """`order by … limit n` of a window keeps n rows instead of sorting all and cutting."""
    one_window = any(
        isinstance(step, WindowRows | WindowAggregate) and isinstance(step.window, WholeInput)
        for step in plan
    )
    steps: list[Step] = []
    for step in plan:
        last = steps[-1] if steps else None
        sorts_all = isinstance(last, Sort) and not last.within_groups
        if sorts_all and isinstance(step, Limit) and (step.per_window or one_window):
            assert isinstance(last, Sort)
            steps[-1] = TopN(last.keys, step.count)
        else:
            steps.append(step)
    return tuple(steps)


def forget_losers(plan: LogicalPlan) -> LogicalPlan:
    """Rows of the whole input that only the first n of leave: the others need not be held."""
    steps: list[Step] = []
    for step in plan:
        last = steps[-1] if steps else None
        match last, step:
            case WindowRows(WholeInput(), ()), TopN():
                steps[-1] = replace(last, top=step)
        steps.append(step)
    return tuple(steps)


RULES: tuple[Rule, ...] = (
    # Conditions first become small: each of these may make work for the next.
    fold_constants,
    remove_double_negation,
    flatten_conditions,
    merge_equalities,
    # Then filters take them apart, lose what is constant, and put them in order.
    split_conjunctions,
    remove_constant_filters,
    order_conditions_by_cost,
    # Last, what is about more than one step.
    fuse_sort_and_limit,
    forget_losers,
)


def optimize(plan: LogicalPlan, observe: Observer | None = None) -> LogicalPlan:
    """Apply all rules in order; `observe` is told the name, before and after of each that fired."""
    for rule in RULES:
        rewritten = rule(plan)
        if rewritten == plan:
            continue
        assert columns_of(rewritten) == columns_of(plan), f"{rule.__name__} changed the columns"
        if observe:
            observe(rule.__name__, plan, rewritten)
        plan = rewritten
    return plan


def columns_of(plan: LogicalPlan) -> tuple[Output, ...]:
    """The columns that the answer's rows are made of."""
    for step in reversed(plan):
        if isinstance(step, Select | RollUp):
            return step.outputs
    return ()


def _rewrite_conditions(
    plan: LogicalPlan, rewrite: Callable[[Condition], Condition]
) -> LogicalPlan:
    def change(step: Step) -> Step:
        match step:
            case Filter(conditions):
                return Filter(tuple(rewrite(c) for c in conditions))
            case Having(condition):
                return Having(rewrite(condition))
            case _:
                return step

    return tuple(map(change, plan))


def _fold(condition: Condition) -> Condition:
    match condition:
        case Not(inner):
            inner = _fold(inner)
            return Constant(not inner.value) if isinstance(inner, Constant) else Not(inner)
        case And(conditions):
            return _fold_junction(conditions, And, neutral=True)
        case Or(conditions):
            return _fold_junction(conditions, Or, neutral=False)
        case _:
            return condition


def _fold_junction(
    conditions: tuple[Condition, ...], kind: type[And | Or], *, neutral: bool
) -> Condition:
    folded = [_fold(c) for c in conditions]
    if Constant(not neutral) in folded:
        return Constant(not neutral)
    rest = [c for c in folded if not isinstance(c, Constant)]
    if not rest:
        return Constant(neutral)
    return rest[0] if len(rest) == 1 else kind(tuple(rest))


def _without_negation(condition: Condition) -> Condition:
    match condition:
        case Not(Not(inner)):
            return _without_negation(inner)
        case Not(Comparison(Comparator.EQ, left, right)) if not _has_any(left, right):
            return Comparison(Comparator.NE, left, right)
        case Not(Comparison(Comparator.NE, left, right)) if not _has_any(left, right):
            return Comparison(Comparator.EQ, left, right)
        case Not(inner):
            return Not(_without_negation(inner))
        case And(conditions):
            return And(tuple(map(_without_negation, conditions)))
        case Or(conditions):
            return Or(tuple(map(_without_negation, conditions)))
        case _:
            return condition


def _has_any(*values: Value) -> bool:
    return any(p.has_any for value in values for p in properties_in(value))


def _flatten(condition: Condition) -> Condition:
    match condition:
        case And(conditions):
            return And(tuple(_inline(map(_flatten, conditions), And)))
        case Or(conditions):
            return Or(tuple(_inline(map(_flatten, conditions), Or)))
        case Not(inner):
            return Not(_flatten(inner))
        case _:
            return condition


def _inline(conditions: map[Condition], kind: type[And | Or]) -> list[Condition]:
    out: list[Condition] = []
    for condition in conditions:
        if isinstance(condition, kind):
            out.extend(condition.conditions)
        else:
            out.append(condition)
    return out


def _merge_equalities(condition: Condition) -> Condition:
    match condition:
        case Or(conditions):
            return _merge_or(tuple(map(_merge_equalities, conditions)))
        case And(conditions):
            return And(tuple(map(_merge_equalities, conditions)))
        case Not(inner):
            return Not(_merge_equalities(inner))
        case _:
            return condition


def _merge_or(conditions: tuple[Condition, ...]) -> Condition:
    merged: dict[Property | int, Condition] = {}
    wanted: dict[Property, dict[Value, None]] = {}
    for number, condition in enumerate(conditions):
        choices = _choices(condition)
        if choices is None:
            merged[number] = condition
        else:
            property_, values = choices
            merged.setdefault(property_, condition)
            wanted.setdefault(property_, {}).update(dict.fromkeys(values))
    for path, among in wanted.items():
        if _choices(merged[path]) != (path, tuple(among)):
            merged[path] = In(path, tuple(among))
    return next(iter(merged.values())) if len(merged) == 1 else Or(tuple(merged.values()))


def _choices(condition: Condition) -> tuple[Property, tuple[Value, ...]] | None:
    """The property and the literals of `a == 1` or `a in (1, 2)`."""
    match condition:
        case Comparison(Comparator.EQ, Property() as left, Literal() as right) if not left.has_any:
            return left, (right,)
        case In(Property() as left, choices) if not left.has_any:
            return (left, choices) if all(isinstance(c, Literal) for c in choices) else None
        case _:
            return None
