"""The compiled libraries with sanitizers, and all native tests with those: `make sanitize`.

    python -m tests.native.sanitizer

They are built by gcc, which has sanitizers of addresses and of undefined behaviour. The compiler
that comes with the build takes `-fsanitize=address` too, but has no runtime for it, and finds
nothing; of undefined behaviour it has traps, which the tests use where there is no gcc.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from hatch_build import DECODER, LAST_SIGNAL, PUBLISH, WRITER, compile_library

ROOT = Path(__file__).parents[2]
FLAGS = (
    *("-O1", "-g", "-fno-omit-frame-pointer", "-shared", "-fPIC"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-psabi"),
)
TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=all", "-O1")
"""What the build's own compiler has."""
NO_GCC = "there is no gcc with libasan here (apt-get install gcc), and so no sanitizer of addresses"
LIBRARIES = "MQL_SANITIZED"
"""The variable that names the folder of the libraries to test (`tests/native/sanitized.py`)."""
PUBLISH_NAME, DECODER_NAME, WRITER_NAME = "publish.so", "decoder.so", "writer.so"
LAST_SIGNAL_NAME = "last_signal.so"
SOURCES = {
    PUBLISH_NAME: PUBLISH,
    DECODER_NAME: DECODER,
    WRITER_NAME: WRITER,
    LAST_SIGNAL_NAME: LAST_SIGNAL,
}
TESTS = (
    *(
        "tests/mql/events/test_native.py",
        "tests/mql/events/test_decode.py",
        "tests/mql/sources/test_prefilter.py",
    ),
    *(
        "tests/native/test_arguments.py",
        "tests/native/test_sanitizer.py",
        "tests/fuzz/test_fuzz.py",
    ),
    *(
        "tests/publish_agent/capture/test_compiled.py",
        "tests/publish_agent/capture/test_columns.py",
        "tests/publish_agent/screen/test_where.py",
    ),
    *(
        "tests/publish_agent/capture/test_peeks.py",
        "tests/publish_agent/protocol/test_protocol.py",
        "tests/publish_agent/protocol/test_ledger.py",
    ),
    *(
        "tests/publish_agent/capture/test_encode.py",
        "tests/fuzz/test_hostile.py::test_hostile_events_end_no_process",
        "tests/mql/host/test_last_signal.py",
    ),
)

OF_THE_ALLOCATOR = (
    "tests/publish_agent/capture/test_columns.py::test_memory_of_one_drain_is_there_for_the_next"
)
"""It is about that of glibc, in whose place there is another."""


@cache
def runtime() -> str | None:
    """What has to be loaded before Python, for `LD_PRELOAD`; None where there is no such thing.

    The C++ library is loaded with it: that of addresses looks for its exceptions when it begins.
    """
    if which("gcc") is None:
        return None
    names = ("libasan.so", "libstdc++.so")
    found = [_output("gcc", f"-print-file-name={name}") for name in names]
    return " ".join(found) if all(Path(each).is_absolute() for each in found) else None


def environment() -> Mapping[str, str]:
    """The environment for a process that loads such a library.

    Python takes its memory from where overflows are seen. What leaks is not looked for: at its end
    Python itself leaves a great deal.
    """
    preload = runtime()
    if preload is None:
        return os.environ
    options = "detect_leaks=0:malloc_context_size=8:quarantine_size_mb=64"
    return os.environ | {
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": options,
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }


def build(sources: Sequence[Path], library: Path) -> None:
    """Build a library with all the sanitizers that there are here."""
    if runtime() is None:
        compile_library(sources, library, *TRAPS)
        return
    command = ("gcc", *FLAGS, "-o", str(library), *map(str, sources))
    subprocess.run(command, check=True, cwd=ROOT)


def build_all(folder: Path) -> None:
    """Build each library with them, under its name in a folder."""
    for name, sources in SOURCES.items():
        build(sources, folder / name)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> int:
    """Build all, and run what tests them."""
    if runtime() is None:
        sys.stderr.write(f"Skipped: {NO_GCC}\n")
        return 0
    with TemporaryDirectory() as folder:
        build_all(Path(folder))
        options = (
            "-p",
            "tests.native.sanitized",
            "--deselect",
            OF_THE_ALLOCATOR,
            "--timeout",
            "600",
        )
        command = (sys.executable, "-m", "pytest", *options, *TESTS)
        env = {"MQL_EXAMPLES": "50", **environment(), LIBRARIES: folder}
        return subprocess.run(command, check=False, cwd=ROOT, env=env).returncode


if __name__ == "__main__":
    raise SystemExit(main())
