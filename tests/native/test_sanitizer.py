"""The sanitizers find what they are there for, in each kind of memory that the libraries touch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hatch_build import PUBLISH
from tests.native import sanitizer

CALL = """
import ctypes, sys
planted = getattr(ctypes.PyDLL(sys.argv[1]), sys.argv[2])
planted.argtypes, planted.restype = (ctypes.py_object,), None
items = []
items += ["gone" * 20 + str(id(items)), items.clear]
planted(eval(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sanitizer.runtime() is None:
        pytest.skip(sanitizer.NO_GCC)
    made = tmp_path_factory.mktemp("planted") / "planted.so"
    sanitizer.build([*PUBLISH, Path(__file__).with_name("planted.c")], made)
    return made


@pytest.mark.parametrize(
    ("function", "argument", "report"),
    [
        ("overflow_array", "24", "heap-buffer-overflow"),
        ("overflow_object", "b'text' * 9", "heap-buffer-overflow"),
        ("use_after_free", "items", "heap-use-after-free"),
        ("overflow_integer", "2**62", "signed integer overflow"),
    ],
)
def test_a_planted_mistake_is_found(
    library: Path, function: str, argument: str, report: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(library), function, argument],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=sanitizer.environment(),
    )
    assert done.returncode != 0, "nothing was found"
    assert report in done.stderr
    assert "planted.c" in done.stderr
