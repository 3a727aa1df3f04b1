"""No package goes in circles; rooms, floors and arrows are counted as `structure.py` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.structure import PACKAGES, ROOT, structure

HOUSE = {
    "__init__.py": "from house.roof import tiles",
    "roof.py": "import house.attic.box\nfrom house import cellar",
    "attic/__init__.py": "",
    "attic/box.py": "if True:\n    from house.attic.lid import lid\n    from house import stairs",
    "attic/lid.py": "import json\nfrom housekeeping import roof",
    "stairs.py": "from house.landing import rest",
    "landing.py": "from house.stairs import down\nfrom house.cellar import light",
    "cellar.py": "",
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, text in HOUSE.items():
        file = tmp_path / "house" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path / "house"


def test_a_package_has_rooms_and_arrows_between_them(house: Path) -> None:
    assert structure(house).arrows == {
        "roof": {"attic", "cellar"},
        "attic": {"stairs"},
        "stairs": {"landing"},
        "landing": {"stairs", "cellar"},
        "cellar": set(),
    }


def test_a_circle_is_one_floor(house: Path) -> None:
    found = structure(house)
    assert found.circles == [{"stairs", "landing"}]
    assert found.number_of_arrows == 6
    assert found.floors == 4


def test_a_package_in_a_package_has_rooms_of_its_own(house: Path) -> None:
    assert structure(house / "attic").arrows == {"box": {"lid"}, "lid": set()}


@pytest.mark.parametrize("name", PACKAGES)
def test_no_package_goes_in_circles(name: str) -> None:
    found = structure(ROOT / name)
    assert len(found.arrows) > 5
    assert not found.circles
