"""Python without pandas, though it is installed: for a folder at the head of `PYTHONPATH`.

Each process imports this module as it starts, and so do those that it starts in turn. Collected as
one of the tests it hides nothing.
"""

from __future__ import annotations

import sys

_HIDDEN = "pandas"


class _Hider:
    """A finder that stands before all others."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == _HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Hider)  # type: ignore[arg-type]
