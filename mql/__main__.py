"""`python -m mql`, and what the installed command `mql` runs.

A wheel has the command inside this package, so that no top-level name `cli` is taken from anybody;
the source tree has it beside.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_EXTRA = frozenset({"click", "rich", "plotext"})
"""What the extra `cli` installs."""


def start() -> None:
    """Run the command. Exits with a hint where its extra is not installed."""
    name = "mql.cli"
    if find_spec(name) is None:
        name = "cli"
        sys.path.insert(0, str(Path(__file__).parents[1]))  # another `cli` may be on the path
    try:
        import_module(f"{name}.__main__").start()
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in _EXTRA:
            raise
        sys.exit(f"mql: the command needs {missing}\nhint: pip install 'mql-live[cli]'")


if __name__ == "__main__":
    start()
