"""Whether one thread of Python runs at a time, on which all that callers touch relies."""

from __future__ import annotations

import sys


def require_gil() -> None:
    """Raise ImportError where the GIL is off.

    It has to be asked once all extensions are imported that an agent needs: one that does not know
    of free threads turns the GIL on, for good.
    """
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    if is_enabled is not None and not is_enabled():
        raise ImportError(
            "publish_agent counts events without a lock, which is right only with the GIL, and "
            "this free-threaded Python runs without it: turn it on with PYTHON_GIL=1 (or "
            "-X gil=1), or use a Python that has one",
            name="publish_agent",
        )
