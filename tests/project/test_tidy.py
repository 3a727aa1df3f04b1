"""The project stays tidy: small folders, and one name for one class."""

from __future__ import annotations

from pathlib import Path

from tests.project.tidy import (
    MODULES_MAX,
    SHARED_NAMES,
    crowded,
    files,
    report,
    shared_class_names,
)


def test_no_folder_has_more_modules_than_are_found_at_a_glance() -> None:
    assert not crowded(files())


def test_a_module_too_many_is_found() -> None:
    folder = [Path("mql", f"m{number}.py") for number in range(MODULES_MAX)]
    assert not crowded([*folder, Path("mql", "__init__.py")])
    assert crowded([*folder, Path("mql", "another.py")]) == {Path("mql"): MODULES_MAX + 1}


def test_no_class_has_a_new_name_that_another_package_has() -> None:
    known = SHARED_NAMES.read_text(encoding="utf-8").split()
    assert shared_class_names() == known, (
        "a new name is shared: choose another one; or one is shared no longer: "
        "`python -m tests.project.tidy --update`"
    )


def test_sizes_are_reported() -> None:
    lines = list(report())
    assert sum("the largest:" in line for line in lines) == 2
    assert any("mql/" in line for line in lines)
