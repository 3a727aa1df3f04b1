"""Other libraries in place of those that were built; as a plugin of pytest, those of a folder.

What has been made by one that was loaded before is made again.
"""

from __future__ import annotations

import os
from pathlib import Path

from mql.events import native as decoder
from mql.host import last_signal
from mql.sources import search
from mql.values import json_values as values
from mql.values import plain_json as plain
from publish_agent.capture import encode
from publish_agent.capture.native import binding
from tests.native.sanitizer import (
    DECODER_NAME,
    LAST_SIGNAL_NAME,
    LIBRARIES,
    PUBLISH_NAME,
    WRITER_NAME,
)


def use(
    *, publish: Path | None = None, decode: Path | None = None, write: Path | None = None
) -> None:
    """Load these from now on: what was loaded at the import of the package is forgotten."""
    binding.LIBRARY, decoder.LIBRARY = publish or binding.LIBRARY, decode or decoder.LIBRARY
    plain.LIBRARY = write or plain.LIBRARY
    for cached in (binding.library, decoder.library, search.compiled, plain.library):
        cached.cache_clear()
    for library, path in (
        (binding.library(), publish),
        (decoder.library(), decode),
        (plain.library(), write),
    ):
        assert path is None or (library is not None and library._name == str(path)), path
    values._write = plain.writer(values._write_oddly)
    encode.encode = plain.writer(encode._write_oddly, objects_only=True)
    encode._write_plain = plain.writer(lambda _: b"", objects_only=True)


def use_those_of(folder: Path) -> None:
    """All of a folder."""
    last_signal.LIBRARY = folder / LAST_SIGNAL_NAME
    use(
        publish=folder / PUBLISH_NAME,
        decode=folder / DECODER_NAME,
        write=folder / WRITER_NAME,
    )


def use_those_named() -> None:
    """Those that the environment names, for a process that a test starts."""
    if LIBRARIES in os.environ:
        use_those_of(Path(os.environ[LIBRARIES]))


def pytest_configure() -> None:
    """Before any test is imported."""
    use_those_of(Path(os.environ[LIBRARIES]))
