"""Other libraries in place of those that were built; as a plugin of pytest, those of a folder.

What has been made by one that was loaded before is made again.
"""

from __future__ import annotations

import os
from pathlib import Path

from mql import plain, values
from mql.events import native as decoder
from mql.sources import search
from publish_agent import encode, native
from tests.sanitizer import DECODER_NAME, LIBRARIES, PUBLISH_NAME, WRITER_NAME


def use(
    *, publish: Path | None = None, decode: Path | None = None, write: Path | None = None
) -> None:
    """Load these from now on: what was loaded at the import of the package is forgotten."""
    native.LIBRARY, decoder.LIBRARY = publish or native.LIBRARY, decode or decoder.LIBRARY
    plain.LIBRARY = write or plain.LIBRARY
    for cached in (native.library, decoder.library, search.compiled, plain.library):
        cached.cache_clear()
    for library, path in (
        (native.library(), publish),
        (decoder.library(), decode),
        (plain.library(), write),
    ):
        assert path is None or (library is not None and library._name == str(path)), path
    values._write = plain.writer(values._write_oddly)
    encode.encode = plain.writer(encode._write_oddly, objects_only=True)
    encode._write_plain = plain.writer(lambda _: b"", objects_only=True)


def use_those_of(folder: Path) -> None:
    """All three of a folder."""
    use(
        publish=folder / PUBLISH_NAME,
        decode=folder / DECODER_NAME,
        write=folder / WRITER_NAME,
    )


def pytest_configure() -> None:
    """Before any test is imported."""
    use_those_of(Path(os.environ[LIBRARIES]))
