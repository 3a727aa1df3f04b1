"""Whether the host only loads its application yet, and forks later, in C: as uWSGI does.

Python hears of such a fork too late, or never. A thread that runs before it is not there in the
workers, and the process that loads lets none run while it waits for them.
"""

from __future__ import annotations

import os
import sys

_IMPORTED_BY = os.getpid()


def is_loading() -> bool:
    """Whether this is uWSGI before it forks. Its mules and spoolers are no workers, but forks."""
    worker_id = getattr(sys.modules.get("uwsgi"), "worker_id", None)
    return worker_id is not None and os.getpid() == _IMPORTED_BY and not worker_id()
