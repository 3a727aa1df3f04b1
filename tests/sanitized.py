"""Other libraries in place of those that were built; as a plugin of pytest, those of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from mql.events import native as decoder
from mql.sources import search
from publish_agent import native
from tests.sanitizer import DECODER_NAME, LIBRARIES, PUBLISH_NAME


def use(*, publish: Path | None = None, decode: Path | None = None) -> None:
    """Load these from now on: what was loaded at the import of the package is forgotten."""
    native.LIBRARY, decoder.LIBRARY = publish or native.LIBRARY, decode or decoder.LIBRARY
    for cached in (native.library, decoder.library, search.compiled):
        cached.cache_clear()
    for library, path in ((native.library(), publish), (decoder.library(), decode)):
        assert path is None or (library is not None and library._name == str(path)), path


def pytest_configure() -> None:
    """Before any test is imported."""
    folder = Path(os.environ[LIBRARIES])
    use(publish=folder / PUBLISH_NAME, decode=folder / DECODER_NAME)
