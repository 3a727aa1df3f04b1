"""What is given away: whole, the same each time, and for the platforms that its tag names."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from hatch_build import PLATFORMS
from tests.project.wheels import WrongWheelError, check, make_sdist, make_wheel, unpack

PLATFORM = "manylinux_2_17_x86_64"
PACKAGES = ("mql", "publish_agent", "source_jobs")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A wheel made twice, of two source distributions of this tree."""
    made = []
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"made{number}")
        tree = unpack(make_sdist(folder), folder)
        made.append(make_wheel(tree, folder, PLATFORM))
    return made


def test_a_wheel_keeps_what_its_tag_promises(wheels: list[Path]) -> None:
    check(wheels[0], PLATFORM)
    for other in (*PLATFORMS, "any"):
        renamed = wheels[0].rename(wheels[0].with_name(f"mql-0-py3-none-{other}.whl"))
        if other != PLATFORM:
            with pytest.raises(WrongWheelError):
                check(renamed, other)
        wheels[0] = renamed


def test_it_is_the_same_each_time(wheels: list[Path]) -> None:
    contents = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as packed:
            contents.append({name: packed.read(name) for name in packed.namelist()})
    first, second = contents
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_types_come_with_it_and_tests_do_not(wheels: list[Path]) -> None:
    with zipfile.ZipFile(wheels[0]) as packed:
        names = packed.namelist()
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "examples"))]
