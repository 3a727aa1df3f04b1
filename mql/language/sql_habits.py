"""What people try who know SQL, and how MQL says it: hints for what the grammar does not take."""

from __future__ import annotations

import re
from typing import NamedTuple


class _Habit(NamedTuple):
    """What stands where the grammar ends, what just before it, and how MQL says that."""

    at: str
    hint: str
    before: str = ""


_HABITS = (
    _Habit("'", r"a quote inside a text is written \', as in 'it\'s'", r"'[^']*'"),
    _Habit('"', r"a quote inside a text is written \", as in \"a \\\"b\\\"\"", r'"[^"]*"'),
    _Habit("[0-9]", "the first rows are `limit 10`, at the end of the query", r"\bselect\s+top"),
    _Habit(r"escape\b", "`like` knows no escape: ==+ 'a%' asks for a text, ==~ /a%.*/ for a regex"),
    _Habit(r"offset\b|fetch\b", "rows are counted from the first: `limit 10` takes ten"),
    _Habit(r"over\b", "windows are of time or of a number of events: `window 10s`, `window |100|`"),
    _Habit("when\\b", "if(CONDITION, a, b) is that", r"\bcase(?:\s+\S+)?"),
    _Habit(r"ilike\b", "`lower(a) like 'x%'` is that"),
    _Habit(r"rlike\b|regexp\b|similar\b|~", "`a ==~ /regex/` asks whether the whole value matches"),
    _Habit(r"distinct\b", "`==` and `!=` compare null too", r"\bis(?:\s+not)?"),
    _Habit("::", "number(a) and text(a) convert"),
    _Habit(r"as\b", "number(a) and text(a) convert", r"\bcast\s*\([^()]*"),
    _Habit(r"(?:union|except|intersect)\b", "`from a, b` merges two streams"),
    _Habit(
        r"(?:left|right|full|inner|outer|cross|natural)\b",
        "a join pairs events that are near in time: `from a join b 5s on k`",
    ),
    _Habit(r"within\b", "percentile(a, 99.9) is that"),
    _Habit(r"show\b|describe\b", "`mql streams` lists the streams, and what is in their events"),
    _Habit(
        r"(?:insert|update|delete|create|drop|alter|with)\b",
        "a query asks and changes nothing: select LIST from STREAM where CONDITION",
    ),
)

_SHOWN = 100
"""So many characters of what stands there are looked at."""

FUNCTIONS = {
    **dict.fromkeys(("median",), "p50(a)"),
    **dict.fromkeys(("mean",), "avg(a)"),
    **dict.fromkeys(("stdev", "std", "stddev_samp"), "stddev(a)"),
    **dict.fromkeys(("collect", "array_agg", "group_concat", "string_agg"), "list(a)"),
    **dict.fromkeys(("any_value", "any"), "first(a)"),
    **dict.fromkeys(("now", "current_timestamp", "getdate"), "tick()"),
    **dict.fromkeys(("count_distinct", "approx_count_distinct", "uniq"), "count(distinct a)"),
    **dict.fromkeys(("countif", "count_if"), "count(*) filter (where a > 1)"),
    **dict.fromkeys(("sumif", "sum_if"), "sum(a) filter (where a > 1)"),
    **dict.fromkeys(
        ("quantile", "percentile_cont", "percentile_disc", "approx_percentile"), "percentile(a, 99)"
    ),
    **dict.fromkeys(("len", "char_length", "character_length", "size", "strlen"), "length(a)"),
    **dict.fromkeys(("substr", "mid", "left", "slice"), "substring(a, 1, 3)"),
    **dict.fromkeys(("ifnull", "nvl", "isnull"), "coalesce(a, b)"),
    **dict.fromkeys(("nullif",), "if(a == b, null, a)"),
    **dict.fromkeys(("iff", "iif"), "if(CONDITION, a, b)"),
    **dict.fromkeys(("lcase", "tolower"), "lower(a)"),
    **dict.fromkeys(("ucase", "toupper"), "upper(a)"),
    **dict.fromkeys(("strip", "btrim"), "trim(a)"),
    **dict.fromkeys(("ceiling",), "ceil(a)"),
    **dict.fromkeys(("cast", "int", "integer", "float", "double", "to_number"), "number(a)"),
    **dict.fromkeys(("str", "string", "to_string", "to_char", "varchar"), "text(a)"),
    **dict.fromkeys(("regexp_extract", "regexp_substr", "parse"), "extract(a, /regex/)"),
    **dict.fromkeys(("regexp_like", "regexp_matches", "match"), "a ==~ /regex/"),
    **dict.fromkeys(("contains", "instr", "position", "strpos"), "a ==+ 'text'"),
    **dict.fromkeys(("mod",), "a % b"),
    **dict.fromkeys(("date_trunc", "time_bucket", "bucket"), "time() - time() % 60000"),
    **dict.fromkeys(("timestamp", "ts"), "time()"),
}
"""Functions of other languages, and how MQL says them."""


def hint_for(text: str, start: int) -> str:
    """A hint for what stands at a place, if people try it who know SQL; else empty.

    >>> hint_for("select top 10 a", 11)
    'the first rows are `limit 10`, at the end of the query'
    """
    before = text[max(start - 200, 0) : start]
    flags = re.IGNORECASE | re.DOTALL
    for habit in _HABITS:
        if not re.match(habit.at, text[start : start + _SHOWN], flags):
            continue
        if not habit.before or re.search(rf"(?:{habit.before})\s*\Z", before, flags):
            return habit.hint
    return ""
