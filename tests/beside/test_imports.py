"""What is installed beside us is not imported, neither where a host runs us nor where we run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.processes import source_job, start, stop
from mql.wire.messages import Refuse, Subscribe
from tests.publish_agent.router import Router

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
NOT_OURS = ["pandas", "polars", "duckdb", "scipy", "matplotlib", "numba", "dask"]
IMPORTING = re.compile(
    r"\.(to_numpy|to_pandas|from_pandas|value_lengths)\(|np\.unique\((?!.*return_)|np\.(isin|median)\("
)
"""Arrow's methods that import pandas or `pyarrow.compute`, and NumPy's that import `numpy.ma`."""
WRONG = [
    "selct * from requests",
    "select cuont(*) from requests window 1",
    "select * from requests where path ==~ /(?=a)/",
    "select * from requests where path ==~ /(/",
    "select * from requests window 1 2 3",
]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of modules that say so here, and then cannot be imported: a user's own, or broken ones."""
    said = tmp_path / "imported"
    folder = tmp_path / "modules"
    folder.mkdir()
    code = (
        "import traceback\n"
        f"with open({str(said)!r}, 'a') as file:\n"
        "    traceback.print_stack(file=file)\n"
        "print('a module of the user')\n"
        "raise RuntimeError('it is broken')\n"
    )
    for name in NOT_OURS:
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield said
    assert not said.exists(), said.read_text(encoding="utf-8")


def imports_of(service: subprocess.Popen[str]) -> list[object]:
    """End a service; what it imported, but for what runs queries, which comes with the first."""
    assert service.stdin is not None
    assert service.stdout is not None
    service.stdin.close()
    found: list[dict[str, object]] = json.loads(service.stdout.readline())
    assert service.wait(LIMIT_S) == 0
    late = [each for each in found if each["is_late"]]
    assert late
    assert len({each["thread"] for each in late}) == 1
    assert not {str(each["module"]).partition(".")[0] for each in late} & {*NOT_OURS}
    return [each for each in found if not each["is_late"]]


@pytest.mark.alone  # where nobody has processor time, all that comes is late
def test_no_process_of_a_live_query_imports_it_and_the_agent_only_what_runs_queries(
    imported: Path,
) -> None:
    assert not imported.exists()
    with source_job() as job:
        port = job.agents.rpartition(":")[2]
        addresses = f"tcp://localhost:{port}", "tcp://there.is.none.invalid:1"
        service = start("tests.beside.service", *addresses)
        client = start("tests.beside.asking", job.clients)
        try:
            assert client.stdout is not None
            counts = json.loads(client.stdout.readline())
            found = imports_of(service)
        finally:
            stop(client)
            stop(service)
    assert not [question for question, rows in counts.items() if not rows]
    assert not found


def test_an_agent_imports_no_more_for_a_source_job_that_makes_no_sense() -> None:
    router = Router()
    service = start("tests.beside.service", router.address)
    try:
        router.run(router.peers, LIMIT_S)
        (peer,) = router.peers().values()
        for number, text in enumerate(WRONG):
            router.send(peer, Subscribe(number, 0, "requests", text, 1000))
        router.run(lambda: len(router.of(Refuse)) == len(WRONG))
        for frames in ([b"?"], [b"\xc1" * 50, b"?"], [b""] * 3):
            router.socket.send_multipart([peer, *frames])
        router.subscribe(len(WRONG), "select * from requests", peer)
        assert not imports_of(service)
    finally:
        stop(service)
        router.close()


def test_no_way_to_read_or_write_recorded_events_imports_it(imported: Path, tmp_path: Path) -> None:
    assert not imported.exists()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.beside.running", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")


def test_no_code_calls_what_imports_other_modules() -> None:
    """The linter refuses functions; of methods it does not know whose they are."""
    calls = [
        f"{path.relative_to(ROOT)}: {call.group()}"
        for package in ("mql", "publish_agent", "source_jobs", "cli")
        for path in (ROOT / package).rglob("*.py")
        for call in IMPORTING.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not calls
