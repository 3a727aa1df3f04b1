"""Makes a source distribution, and of that a wheel for each platform.

    python -m tests.project.wheels FOLDER

A wheel's compiled code must want nothing of its system but what the tag promises; `auditwheel`,
where it is there, has to agree.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hatch_build import ANYWHERE, PLATFORMS

ROOT = Path(__file__).parents[2]
MACHINES = {"x86_64": 62, "aarch64": 183, "arm64": 0x0100000C}
"""The numbers of processors in ELF and, of Apple's, in Mach-O."""
LIBRARIES = {"many": {"libc.so.6"}, "musl": {"libc.so"}}
"""What the compiled code may be linked with: musl's loader is its `libc.so`."""
_ELF, _MACH_O = b"\x7fELF", 0xFEEDFACF
_DYNAMIC, _NEEDED, _STRINGS = 6, 1, 5
_MACH_O_X86 = 0x01000007
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")


class WrongWheelError(Exception):
    """A wheel that does not keep what its tag says."""


def make_sdist(folder: Path, root: Path = ROOT) -> Path:
    """The source distribution of a tree."""
    return folder / _build(root, folder, "sdist", None)


def unpack(sdist: Path, folder: Path) -> Path:
    """A tree of what is in a source distribution."""
    with tarfile.open(sdist) as packed:
        packed.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


def make_wheel(tree: Path, folder: Path, platform: str) -> Path:
    """The wheel of a tree for a platform."""
    return folder / _build(tree, folder, "wheel", platform)


def _build(root: Path, folder: Path, target: str, platform: str | None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "MQL_WHEEL"}
    if platform is not None:
        environment["MQL_WHEEL"] = platform
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise WrongWheelError(done.stderr)
    return Path((done.stdout + done.stderr).split()[-1]).name


def check(wheel: Path, platform: str) -> None:
    """Raise WrongWheelError if what is compiled in a wheel is not for its platform alone."""
    if not wheel.name.endswith(f"-py3-none-{platform}.whl"):
        raise WrongWheelError(f"{wheel.name} is not named after {platform}")
    with zipfile.ZipFile(wheel) as packed:
        compiled = {name: packed.read(name) for name in packed.namelist() if name.endswith(".so")}
    if bool(compiled) == (platform == ANYWHERE):
        raise WrongWheelError(f"{wheel.name} has {len(compiled)} compiled files")
    for name, content in compiled.items():
        _check_library(f"{wheel.name}: {name}", content, platform)


def _check_library(name: str, content: bytes, platform: str) -> None:
    machine = platform.rpartition("_")[2] if "x86_64" not in platform else "x86_64"
    if platform.startswith("macosx"):
        magic, processor = struct.unpack_from("<II", content)
        wanted = _MACH_O_X86 if machine == "x86_64" else MACHINES[machine]
        if (magic, processor) != (_MACH_O, wanted):
            raise WrongWheelError(f"{name} is not for {platform}")
        return
    if content[:4] != _ELF or struct.unpack_from("<H", content, 18)[0] != MACHINES[machine]:
        raise WrongWheelError(f"{name} is not for {platform}")
    libraries = set(needed(content))
    if not libraries <= LIBRARIES[platform[:4]]:
        raise WrongWheelError(f"{name} wants {libraries}")
    newest = max((int(a), int(b)) for a, b in _GLIBC.findall(content) or [(0, 0)])
    if newest > (2, 17):
        raise WrongWheelError(f"{name} wants glibc {newest}")


def needed(content: bytes) -> Iterator[str]:
    """The libraries that an ELF file of 64 bits wants."""
    table, size, number = (struct.unpack_from(f, content, at)[0] for f, at in
                           (("<Q", 40), ("<H", 58), ("<H", 60)))  # fmt: skip
    sections = [struct.unpack_from("<IIQQQQIIQQ", content, table + size * i) for i in range(number)]
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind == _DYNAMIC:
            strings = sections[link][4]
            for at in range(offset, offset + length, 16):
                tag, value = struct.unpack_from("<QQ", content, at)
                if tag == _NEEDED:
                    end = content.index(b"\0", strings + value)
                    yield content[strings + value : end].decode()


def _audit(wheel: Path, platform: str) -> str:
    """What auditwheel says of it: it only knows the libraries of its own machine's system."""
    program = Path(sys.executable).with_name("auditwheel")
    if not program.exists() or not platform.startswith("manylinux"):
        return "-"
    done = subprocess.run([program, "show", wheel], capture_output=True, text=True, check=False)
    if f'"{platform}"' not in done.stdout:
        raise WrongWheelError(f"auditwheel says of {wheel.name}: {done.stdout}{done.stderr}")
    return "agrees"


def main(folder: Path) -> None:
    """Make all of them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sdist = make_sdist(folder)
    sys.stdout.write(f"{sdist.name}  {sdist.stat().st_size:,} bytes\n")
    with tempfile.TemporaryDirectory() as temporary:
        for platform in (*PLATFORMS, ANYWHERE):
            tree = unpack(sdist, Path(temporary, platform))
            wheel = make_wheel(tree, folder, platform)
            check(wheel, platform)
            audit = _audit(wheel, platform)
            sys.stdout.write(f"{wheel.name}  {wheel.stat().st_size:,} bytes  auditwheel: {audit}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
