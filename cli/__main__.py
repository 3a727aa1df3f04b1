"""`python -m cli`, and what the installed command `mql` runs."""

from __future__ import annotations

import gc


def start() -> None:
    """Run the command. Importing makes many objects and no garbage, so none is looked for."""
    gc.disable()
    from cli.main import main  # noqa: PLC0415 - after the line above

    main(prog_name="mql")


if __name__ == "__main__":
    start()
