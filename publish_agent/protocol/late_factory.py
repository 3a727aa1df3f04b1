"""The factory of what runs queries, imported with an agent's first subscription.

A service that nobody asks never pays for pyarrow, NumPy and lark: 50 MB, and a quarter of a second
of a processor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from publish_agent.capture.redaction import Redaction
from publish_agent.drain.tools import Tools

if TYPE_CHECKING:
    from publish_agent.drain.query_factory import QueryFactory

Load = Callable[[], "type[QueryFactory]"]
"""Imports the factory. Raises TooLateError, or whatever the modules raise that it imports."""


class TooLateError(ImportError):
    """Nothing is imported any more, for the agent is being closed."""


def load_factory() -> type[QueryFactory]:
    """The factory's class."""
    from publish_agent.drain.query_factory import QueryFactory  # noqa: PLC0415 - see above

    return QueryFactory


class LateFactory:
    """An agent's factory, made when it is first asked for."""

    def __init__(self, tools: Tools, rules: Redaction, seed: int, load: Load) -> None:
        self._tools = tools
        self._rules = rules
        self._seed = seed
        self._load = load
        self._made: QueryFactory | None = None

    @property
    def is_made(self) -> bool:
        """Whether `get` imports nothing any more."""
        return self._made is not None

    def get(self) -> QueryFactory:
        """The factory. Raises what `load` raises."""
        if self._made is None:
            self._made = self._load()(self._tools, self._rules, self._seed)
        return self._made
