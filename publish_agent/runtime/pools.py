"""Pools whose children end by `os._exit`, and say so before: there an agent says goodbye, too."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from mql.host.greenlets import is_patched

_NAME = "mql-agent"


def say_before_exit(goodbye: Callable[[], None]) -> None:
    """Have a function called before a child of Celery's ends, if Celery is there. Never raises.

    Its signals have a lock, so this is for a thread of ours. Pools of greenlets have no children.
    """
    with contextlib.suppress(Exception):  # it is another Celery than any that is known
        ending = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
        if ending is not None and not is_patched():
            ending.connect(_Goodbye(goodbye), weak=False, dispatch_uid=_NAME)


class _Goodbye:
    """Calls a function, whatever Celery tells of the child."""

    def __init__(self, goodbye: Callable[[], None]) -> None:
        self._goodbye = goodbye

    def __call__(self, **_: object) -> None:
        self._goodbye()
