"""Whether this is an interpreter in which the agent can be: asked when it is imported."""

from __future__ import annotations

import sys
from importlib import import_module


def require_main() -> None:
    """Raise ImportError in a sub-interpreter, as `mod_wsgi` makes them.

    It has to be asked before any extension is imported: there some of those that an agent needs
    wait for ever (pyarrow on 3.11), and others end the process (msgspec on 3.12).
    """
    for name in ("_interpreters", "_xxsubinterpreters"):  # as 3.13, and those before, call it
        try:
            interpreters = import_module(name)
            is_main = interpreters.get_current() == interpreters.get_main()
        except (ImportError, AttributeError):
            continue
        if not is_main:
            raise ImportError(
                "publish_agent is for the main interpreter, and this is a sub-interpreter; "
                "mod_wsgi uses the main one with `WSGIApplicationGroup %{GLOBAL}`",
                name="publish_agent",
            )
        return


def require_gil() -> None:
    """Raise ImportError where the GIL is off: all that callers touch relies on it.

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
