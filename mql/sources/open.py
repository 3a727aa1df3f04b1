"""What a program or a user gives as input, opened as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import pyarrow as pa

from mql.sources.ndjson import LineSource
from mql.sources.python_events import EventSource
from mql.sources.source import Source
from mql.sources.tables import SUFFIXES, TableSource


class ArrowStream(Protocol):
    """Anything that hands out Arrow: a pyarrow, polars or pandas table, a DuckDB result."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule interface."""


Input = str | os.PathLike[str] | bytes | BinaryIO | ArrowStream | Iterable[object]
"""A path, NDJSON as bytes or from a binary stream, Arrow, dicts, or (ms, dict) pairs."""


def open_source(given: Input) -> Source:
    """Open an input. Raises InputError where it cannot be read, TypeError where it is none."""
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        is_table = path.suffix.lower() in SUFFIXES
        return TableSource.open(path) if is_table else LineSource.open(path)
    if isinstance(given, bytes | bytearray | memoryview):
        return LineSource(BytesIO(given), "the input")
    if isinstance(given, pa.RecordBatch):
        return TableSource([given])
    if isinstance(given, pa.Table):
        return TableSource(given)
    if hasattr(given, "__arrow_c_stream__"):
        return TableSource(pa.RecordBatchReader.from_stream(given))
    if hasattr(given, "read"):
        return LineSource(cast("BinaryIO", given), str(getattr(given, "name", "the input")))
    if hasattr(given, "__iter__"):
        return _open_iterable(given)
    kind = type(given).__name__
    raise TypeError(f"an input is a path, bytes, a stream, Arrow or events, not {kind}")


def _open_iterable(given: Iterable[object]) -> Source:
    events = iter(given)
    first = next(events, None)
    if first is None:
        return EventSource(())
    if isinstance(first, pa.RecordBatch):
        return TableSource(chain([first], events))
    if not isinstance(first, dict | tuple):
        raise TypeError(f"an event is a dict or a pair (ms, dict), not {type(first).__name__}")
    return EventSource(chain([first], events))
