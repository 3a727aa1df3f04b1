"""A wheel has three packages, the command inside one of them, and takes no name of a user's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mql import __version__

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mql", "publish_agent", "source_jobs")
BUILT = (*PACKAGES, "cli", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
IMPORT_ALL = """
import importlib, pkgutil, mql.cli
names = [each.name for each in pkgutil.walk_packages(mql.cli.__path__, "mql.cli.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
WITHOUT = """
import sys
sys.modules[NAME] = None
from mql.__main__ import start
start()
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy: to build compiles in place, where other tests have it loaded."""
    copy = tmp_path_factory.mktemp("source")
    for name in BUILT:
        source = ROOT / name
        if source.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(source, copy / name, ignore=unwanted)
        else:
            shutil.copy(source, copy / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (made,) = (copy / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", target, wheel], check=True, capture_output=True)
    return target


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> dict[str, str]:
    """A user has a package `cli` of their own, before all else on the path."""
    own = tmp_path / "own" / "cli"
    own.mkdir(parents=True)
    (own / "__init__.py").write_text("raise SystemExit('the cli of somebody else')\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(own.parent), str(installed)])}


def run(command: list[object], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env=env, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_a_wheel_has_three_packages_that_are_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    commands = [path.relative_to(ROOT) for path in (ROOT / "cli").rglob("*.py")]
    assert {f"mql/{path.as_posix()}" for path in commands} <= set(names)


def test_the_command_runs_beside_a_package_cli_of_a_user(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    done = run([installed / "bin" / "mql", "--version"], environment, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout
    (tmp_path / "events.ndjson").write_text('{"a": 1}\n{"a": 2}\n')
    query = [sys.executable, "-m", "mql", "run", "select a where a > 1", "events.ndjson"]
    done = run(query, environment, tmp_path)
    assert (done.returncode, done.stdout) == (0, '{"a":2}\n')
    done = run([sys.executable, "-c", IMPORT_ALL], environment, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 30


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("click", ["--help"]),
        ("rich", ["run", "select a", "events.ndjson", "--output", "table"]),
        ("plotext", ["run", "select sum(a) window 10", "events.ndjson", "--plot"]),
    ],
)
def test_without_its_extra_the_command_says_what_to_install(
    environment: dict[str, str], tmp_path: Path, missing: str, arguments: list[str]
) -> None:
    (tmp_path / "events.ndjson").write_text('{"a": 1}\n')
    without = [sys.executable, "-c", WITHOUT.replace("NAME", repr(missing)), *arguments]
    done = run(without, environment, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"mql: the command needs {missing}",
        "hint: pip install 'mql-live[cli]'",
    ]


def test_in_the_source_tree_the_command_is_the_one_beside_the_library(
    environment: dict[str, str],
) -> None:
    own = environment["PYTHONPATH"].split(os.pathsep)[0]
    path = os.pathsep.join([own, str(ROOT)])
    done = run(
        [sys.executable, "-m", "mql", "--version"], environment | {"PYTHONPATH": path}, Path(own)
    )
    assert (done.returncode, done.stderr) == (0, "")
