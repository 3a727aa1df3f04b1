"""How much generated tests try, and the order of the tests: files that take long come first.

So none of these is left for the end. Workers that share files take them in this order
(`--no-loadscope-reorder`). Arguments of pytest that overlap set no order.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from hypothesis import settings

# An example may take long where other processes have the machine.
settings.register_profile(
    "here", max_examples=int(os.environ.get("MQL_EXAMPLES", "50")), deadline=None
)
settings.load_profile("here")

HERE = Path(__file__).parent
LONGEST = (
    *("simulator/test_simulator.py", "simulator/test_defects.py", "project/test_docs.py"),
    *("hostile", "mql/test_robustness.py", "cli", "publish_agent/screen", "live", "page", "faults"),
    *("fuzz", "publish_agent/capture/test_compiled.py", "mql/test_streaming.py"),
    *("oracle/test_conformance.py", "mql/sources/test_prefilter.py", "source_jobs/sources"),
    *("beside", "mql/host/test_native_threads.py", "source_jobs/api", "surface"),
)
"""Files and folders, by what they took in processor time and in waiting."""


_DATA = resource.getrlimit(resource.RLIMIT_DATA)


def pytest_runtest_teardown() -> None:
    """Give back the memory that `mql run` denies itself, for it may have run in this process."""
    resource.setrlimit(resource.RLIMIT_DATA, _DATA)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; all others stay as they are."""
    items.sort(key=lambda item: _place(item.path))


def _place(file: Path) -> int:
    return next(
        (place for place, name in enumerate(LONGEST) if file.is_relative_to(HERE / name)),
        len(LONGEST),
    )
