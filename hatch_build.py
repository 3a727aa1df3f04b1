"""The build's own step: compiles `mql/events/columns.c`.

Zig's C compiler comes as a wheel, so this needs nothing but Python. The result does not call
Python: one file serves every version of it on a platform.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("mql", "events", "columns.c")
LIBRARY = Path("mql", "events", "_columns.so")
FLAGS = ("-O3", "-shared", "-fPIC", "-mcpu=baseline", "-Wall", "-Wextra", "-Werror")


class CompileColumns(BuildHookInterface[Any]):
    """Compiles before a wheel is made, or the project is installed in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and say for which platform the wheel is."""
        root = Path(self.root)
        compile_columns(root / SOURCE, root / LIBRARY)
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def compile_columns(source: Path, library: Path, *flags: str) -> None:
    """Compile the C file. Raises CalledProcessError; the compiler says why."""
    command = (sys.executable, "-m", "ziglang", "cc", *FLAGS, *flags)
    subprocess.run((*command, "-o", str(library), str(source)), check=True)  # noqa: S603
