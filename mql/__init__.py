"""MQL, a small SQL for live events: parse, plan and run queries over recorded ones.

>>> import mql
>>> result = mql.run("select count(*) as n where a > 1", {"stream": [{"a": 1}, {"a": 2}]})
>>> result.rows()
[{'n': 1}]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mql.errors import InputError, MQLError, QueryError, RunError

if TYPE_CHECKING:
    from mql.engine import run
    from mql.language.format import format_query
    from mql.language.parser import parse
    from mql.planner.plan import explain, plan
    from mql.result import Result
    from mql.warnings.record import QueryWarning

__version__ = "0.1.0"

_LAZY = {
    "parse": "mql.language.parser",
    "format_query": "mql.language.format",
    "plan": "mql.planner.plan",
    "explain": "mql.planner.plan",
    "run": "mql.engine",
    "Result": "mql.result",
    "QueryWarning": "mql.warnings.record",
}

__all__ = [
    "InputError",
    "MQLError",
    "QueryError",
    "QueryWarning",
    "Result",
    "RunError",
    "__version__",
    "explain",
    "format_query",
    "parse",
    "plan",
    "run",
]


def __getattr__(name: str) -> object:
    """Import a name when it is first used: `mql check` does not pay for the engine."""
    if name not in _LAZY:
        raise AttributeError(f"module 'mql' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
