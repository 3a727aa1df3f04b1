"""`python -m cli`, and what the installed command `mql` runs."""

from __future__ import annotations

import gc
import os


def start() -> None:
    """Run the command, and spare it what it has no use for.

    Importing makes many objects and no garbage, so none is looked for, at the end neither. And
    numpy's linear algebra, which no query needs, would start a thread for each core.
    """
    gc.disable()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from cli.main import main  # noqa: PLC0415 - after the lines above

    try:
        main(prog_name="mql")
    finally:
        gc.freeze()


if __name__ == "__main__":
    start()
