"""The build's own step: compiles what is written in C.

Zig's C compiler comes as a wheel, so this needs nothing but Python. The results call nothing of
Python, or only its stable ABI: they serve every version of it on a platform. `MQL_WHEEL` names
another platform than that of the machine, or `any`: then nothing is compiled, and Python does it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DECODER = (Path("mql", "events", "columns.c"), Path("mql", "events", "search.c"))
NATIVE = Path("publish_agent", "capture", "native")
PUBLISH = tuple(NATIVE / f"{name}.c" for name in ("publish", "copy", "raised"))
WRITER = (Path("mql", "values", "plain.c"),)
LAST_SIGNAL = (Path("mql", "host", "last_signal.c"),)
LIBRARIES = {
    Path("mql", "host", "_compiled.so"): LAST_SIGNAL,
    Path("mql", "values", "_compiled.so"): WRITER,
    Path("mql", "events", "_compiled.so"): DECODER,
    NATIVE / "_compiled.so": PUBLISH,
}
FLAGS = ("-O3", "-s", "-shared", "-fPIC", "-mcpu=baseline", "-Wall", "-Wextra", "-Werror")
PLATFORMS = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "macosx_11_0_x86_64": "x86_64-macos.11.0",
}
"""What the compiler calls the platforms that wheels are made for."""
ANYWHERE = "any"
MACOS = ("-Wl,-undefined,dynamic_lookup",)
"""Python is there once it is loaded."""


COMMAND = Path("cli")
_IMPORT = re.compile(r"^(\s*(?:from|import) )cli\b", re.MULTILINE)


class Compile(BuildHookInterface[Any]):
    """Compiles before a wheel is made, or the project is installed in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say for which platform the wheel is. Raises KeyError for an unknown one."""
        root = Path(self.root)
        if version == "standard":
            build_data["force_include"] |= move_command(root, root / "build" / "command")
        platform = os.environ.get("MQL_WHEEL")
        if platform == ANYWHERE:
            build_data["tag"] = "py3-none-any"
            return
        target = () if platform is None else ("-target", PLATFORMS[platform])
        for library, sources in LIBRARIES.items():
            compile_library([root / source for source in sources], root / library, *target)
            build_data["artifacts"].append(str(library))
        build_data["pure_python"] = False
        here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform or here}"


def move_command(root: Path, there: Path) -> dict[str, str]:
    """Write the command as a part of `mql`; gives where each file goes in the wheel."""
    places = {}
    for source in sorted((root / COMMAND).rglob("*.py")):
        name = source.relative_to(root)
        made = there / name
        made.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        made.write_text(_IMPORT.sub(r"\1mql.cli", text), encoding="utf-8")
        places[str(made)] = Path("mql", name).as_posix()
    return places


def compile_library(sources: Sequence[Path], library: Path, *flags: str) -> None:
    """Compile C files into a shared library. Raises CalledProcessError; the compiler says why."""
    is_macos = "macos" in "".join(flags) or ("-target" not in flags and sys.platform == "darwin")
    flags = (*(MACOS if is_macos else ()), *flags)
    command = (sys.executable, "-m", "ziglang", "cc", *FLAGS, *flags)
    subprocess.run((*command, "-o", str(library), *map(str, sources)), check=True)  # noqa: S603
