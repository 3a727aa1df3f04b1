"""The build's own step: compiles what is written in C.

Zig's C compiler comes as a wheel, so this needs nothing but Python. The results call nothing of
Python, or only its stable ABI: they serve every version of it on a platform.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DECODER = (Path("mql", "events", "columns.c"), Path("mql", "events", "search.c"))
PUBLISH = tuple(Path("publish_agent", f"{name}.c") for name in ("publish", "copy", "raised"))
WRITER = (Path("mql", "plain.c"),)
LIBRARIES = {
    Path("mql", "_compiled.so"): WRITER,
    Path("mql", "events", "_compiled.so"): DECODER,
    Path("publish_agent", "_compiled.so"): PUBLISH,
}
FLAGS = ("-O3", "-shared", "-fPIC", "-mcpu=baseline", "-Wall", "-Wextra", "-Werror")
MACOS = ("-Wl,-undefined,dynamic_lookup",)
"""Python is there once it is loaded."""


class Compile(BuildHookInterface[Any]):
    """Compiles before a wheel is made, or the project is installed in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and say for which platform the wheel is."""
        root = Path(self.root)
        for library, sources in LIBRARIES.items():
            compile_library([root / source for source in sources], root / library)
            build_data["artifacts"].append(str(library))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def compile_library(sources: Sequence[Path], library: Path, *flags: str) -> None:
    """Compile C files into a shared library. Raises CalledProcessError; the compiler says why."""
    flags = (*(MACOS if sys.platform == "darwin" else ()), *flags)
    command = (sys.executable, "-m", "ziglang", "cc", *FLAGS, *flags)
    subprocess.run((*command, "-o", str(library), *map(str, sources)), check=True)  # noqa: S603
