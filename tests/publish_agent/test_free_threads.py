"""A Python without the GIL is refused; one that could be without it, and is not, is served."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

import pytest

IMPORTS = "import publish_agent"
PUBLISHES = """
import zmq
sys.version = sys.version.replace(" (", " experimental free-threading build (", 1)
from publish_agent.agent import Agent
stream = Agent("checkout", "tcp://127.0.0.1:1").stream("s")
assert type(stream.publish).__name__ == "function", stream.publish
assert stream.publish({}).name == "SKIPPED"
assert stream.skipped() == 1
"""


def run(program: str, gil: str) -> subprocess.CompletedProcess[str]:
    """Run a program where an expression says whether the GIL is on."""
    program = f"import sys\nsys._is_gil_enabled = lambda: {gil}\n{program}"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )


def test_without_the_gil_the_import_says_why_it_fails_and_what_to_do() -> None:
    done = run(IMPORTS, "False")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: publish_agent counts events without a lock")
    assert "PYTHON_GIL=1" in last


def test_with_the_gil_on_a_build_that_may_be_without_it_works_in_python() -> None:
    done = run(PUBLISHES, "True")
    assert done.returncode == 0, done.stderr


def test_an_extension_that_turns_the_gil_on_has_done_so_before_it_is_asked() -> None:
    done = run(IMPORTS, "{'zmq', 'msgspec'} <= sys.modules.keys()")
    assert done.returncode == 0, done.stderr


def test_what_shares_nothing_but_by_locks_and_queues_is_not_refused() -> None:
    done = run("import mql, source_jobs.client, source_jobs.job", "False")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="it has a GIL always")
@pytest.mark.parametrize("gil", ["0", "1"])
def test_a_free_threaded_build_is_served_with_its_gil_on(gil: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHON_GIL": gil},
    )
    assert (done.returncode == 0) is (gil == "1"), done.stderr


def test_a_sub_interpreter_is_told_why_it_cannot_have_an_agent() -> None:
    """The name of the module that makes one has changed twice; what it runs says what it got."""
    program = """
import sys
try:
    import _interpreters as made
except ImportError:
    import _xxsubinterpreters as made
number = made.create()
code = "try:\\n import publish_agent\\nexcept ImportError as e:\\n print(e, flush=True)"
made.run_string(number, "import sys; sys.path[:] = " + repr(sys.path) + "\\n" + code)
made.destroy(number)
import publish_agent
print("here")
"""
    done = run(program, "True")
    assert done.returncode == 0, done.stderr
    assert "WSGIApplicationGroup" in done.stdout
    assert done.stdout.endswith("here\n")
