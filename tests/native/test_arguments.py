"""What Python and the compiled code both hold is compared, and wrong arguments are refused."""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile, copytree

import pytest

from hatch_build import LIBRARIES, compile_library
from mql.events import native as decoder
from mql.host.compiled import agrees, constants_of
from mql.sources import search
from mql.values import plain_json as plain
from publish_agent.capture.native import binding
from publish_agent.capture.value_columns import _PATTERNS
from tests.native import sanitizer

TABLES: Mapping[str, Mapping[str, int]] = {
    **binding.CONSTANTS,
    "constants_of_columns": decoder.CONSTANTS,
    "constants_of_search": search.CONSTANTS,
    "constants_of_plain": plain.CONSTANTS,
}

USE = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s")
from mql.events.native import LIBRARY, NativeDecoder
from mql.sources.search import compiled
from mql.values.json_values import write_json
from publish_agent import Status
from publish_agent.stream import Stream
publish = Stream("s").publish
assert Stream("t").publish({}) is publish({}) is Status.SKIPPED
assert write_json({"a": [1, object]}).startswith('{"a":[1,')
assert NativeDecoder.of([("a",)]) is NativeDecoder.of([("b",)]) is compiled() is None
print(LIBRARY, publish)
"""


def loaded(table: str) -> ctypes.CDLL:
    found: ctypes.CDLL | None = search.compiled()
    if table in binding.CONSTANTS:
        found = binding.library()
    elif table == "constants_of_plain":
        found = plain.library()
    assert found is not None
    return found


@pytest.mark.parametrize("table", TABLES)
def test_all_that_a_library_says_is_compared(table: str) -> None:
    assert constants_of(loaded(table), table) == TABLES[table]


@pytest.mark.parametrize(
    ("table", "name"), [(t, name) for t, names in TABLES.items() for name in names]
)
def test_one_other_number_and_a_library_is_not_used(
    table: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = {**TABLES[table], name: TABLES[table][name] + 1}
    caplog.set_level(logging.WARNING)
    library = loaded(table)
    assert not agrees(library, table, expected)
    (record,) = caplog.records
    assert f"{name} is {TABLES[table][name]} and not {expected[name]}" in record.getMessage()
    assert record.getMessage().startswith(f"{library._name} is not used")


def test_patterns_are_as_long_as_compiled_code_reads_them() -> None:
    assert {len(pattern) for pattern in _PATTERNS.values()} == {binding.PATTERN}


def test_an_older_library_is_named_in_one_line_and_its_work_done_in_python(tmp_path: Path) -> None:
    """As after a change of both that was not followed by a build."""
    source, library = tmp_path / "old.c", tmp_path / "old.so"
    source.write_text("int make_publish(void) { return 0; }\n")
    compile_library([source], library)
    for package in ("mql", "publish_agent"):
        copytree(sanitizer.ROOT / package, tmp_path / package)
    for built in LIBRARIES:
        copyfile(library, tmp_path / built)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/mql/events/_compiled.so <function ")
    lines = done.stderr.splitlines()
    assert len(lines) == 3, lines
    for table, package in (
        ("publish: READS_OBJECTS", "publish_agent/capture/native"),
        ("columns: NOTHING", "mql/events"),
        ("plain: READS_OBJECTS", "mql/values"),
    ):
        (line,) = [line for line in lines if table in line]
        assert line.startswith(f"WARNING {tmp_path}/{package}/_compiled.so "), line


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    """In a process of its own, which what is not refused may end, with all sanitizers there are."""
    sanitizer.build_all(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.native.native_arguments", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=sanitizer.environment(),
    )
    assert done.returncode == 0, done.stderr
    to_publish, to_write = map(int, done.stdout.split())
    assert to_publish > 1_500
    assert to_write > 100


@pytest.mark.parametrize("number", [binding.MAX_FIELDS + 1, 100])
def test_more_columns_than_there_is_room_for_are_refused(number: int) -> None:
    assert binding.columns((False,) * binding.MAX_FIELDS) is not None
    with pytest.raises(ValueError, match="MAX_FIELDS"):
        binding.columns((False,) * number)
