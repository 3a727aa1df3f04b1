"""The hint for a live query that names no stream: the streams that there are."""

from __future__ import annotations

from collections.abc import Sequence

from mql.errors import UnnamedStreamError
from mql.language.format import format_stream

STREAMS_MAX = 10
"""Names in the hint; further ones are a number."""
_CHARACTERS_MAX = 80
"""A longer name is counted, and not shown."""

UNKNOWN = "add `from` and a stream; no source job has told which there are: see `mql streams`"
"""The hint where nobody is connected."""


def with_streams(
    error: UnnamedStreamError, streams: Sequence[str], more: int = 0
) -> UnnamedStreamError:
    """The error with a hint that names the streams, in their order, as a query writes them.

    There are `more` beside them.

    >>> from mql.errors import Span
    >>> error = UnnamedStreamError("no stream", "select a", Span(8, 9))
    >>> with_streams(error, ["logins", "shop orders"], 1_200).hint
    "add `from` and one of logins, 'shop orders' and 1,200 more"
    >>> with_streams(error, ["logins"]).hint
    'add `from logins`'
    """
    shown = [format_stream(name) for name in streams if len(name) <= _CHARACTERS_MAX][:STREAMS_MAX]
    more += len(streams) - len(shown)
    if not shown and not more:
        return error.with_hint("no agent offers a stream at this moment")
    if not shown:
        return error.with_hint(f"add `from` and a stream; `mql streams` shows all {more:,}")
    if len(shown) == 1 and not more:
        return error.with_hint(f"add `from {shown[0]}`")
    listed = ", ".join(shown) + (f" and {more:,} more" if more else "")
    return error.with_hint(f"add `from` and one of {listed}")
