"""What is installed is what was locked; `make audit` asks whether that is known to be bad."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+?)(?: ; (?P<marker>.+))?")


def locked() -> list[tuple[str, list[str]]]:
    """The entries of the lock: their first line, and their hashes."""
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(" --hash=") for line in text.splitlines() if line.strip()]
    return [(first.strip(), [h.strip() for h in hashes]) for first, *hashes in lines]


def test_everything_is_pinned_by_version_and_by_hash() -> None:
    entries = locked()
    assert len(entries) > 20
    for first, hashes in entries:
        assert _PINNED.fullmatch(first), first
        assert hashes, first
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), first


def test_every_dependency_is_locked_at_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    pins = {canonicalize_name(m["name"]): m["version"] for m in map(pinned, locked()) if m}
    for text in wanted:
        requirement = Requirement(text)
        found = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(found), text


@pytest.mark.parametrize("entry", locked(), ids=lambda entry: entry[0].split("==")[0])
def test_what_is_installed_is_what_is_locked(entry: tuple[str, list[str]]) -> None:
    found = pinned(entry)
    assert found
    if found["marker"] and not Marker(found["marker"]).evaluate():
        return
    try:
        assert version(found["name"]) == found["version"]
    except PackageNotFoundError:
        pytest.fail(f"{found['name']} is locked and not installed")


def pinned(entry: tuple[str, list[str]]) -> re.Match[str] | None:
    return _PINNED.fullmatch(entry[0])
