"""Count the rooms, floors and arrows of the packages: how much there is to hold in one's head.

    python -m tests.project.structure [--root FOLDER] [PACKAGE …]

A room is a folder of a package, or a module beside the folders. An arrow leads from a room to
another one that it imports from, also where only a type is imported. Floors are the rooms of the
longest chain of arrows, where rooms that form a circle count as one. FOLDER holds the packages:
another checkout, for a comparison.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("publish_agent", "source_jobs", "source_jobs/api", "mql", "cli")

Arrows = Mapping[str, frozenset[str]]
"""The rooms that each room imports from."""


@dataclass(frozen=True)
class Structure:
    """The rooms of a package, and what each imports from. A group is a room, or a circle."""

    arrows: Arrows
    groups: tuple[frozenset[str], ...]

    @property
    def number_of_arrows(self) -> int:
        return sum(map(len, self.arrows.values()))

    @property
    def circles(self) -> list[frozenset[str]]:
        return [group for group in self.groups if len(group) > 1]

    @property
    def floors(self) -> int:
        """The groups come with those that they import from before them."""
        heights: dict[str, int] = {}
        for group in self.groups:
            below = {other for room in group for other in self.arrows[room]} - group
            height = 1 + max((heights[other] for other in below), default=0)
            heights |= dict.fromkeys(group, height)
        return max(heights.values(), default=0)


def structure(package: Path) -> Structure:
    """Read all modules of a package. The package's own `__init__.py` is no room."""
    rooms: dict[str, set[str]] = {}
    for file in sorted(package.rglob("*.py")):
        room = room_of(file.relative_to(package).parts)
        if room:
            found = {to for name in imported(file) if (to := resolve(package, name))}
            rooms.setdefault(room, set()).update(found - {room})
    arrows = {room: frozenset(found & rooms.keys()) for room, found in rooms.items()}
    return Structure(arrows, tuple(groups_of(arrows)))


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a path in its package; empty for the package itself."""
    return parts[0].removesuffix(".py").replace("__init__", "") if parts else ""


def resolve(package: Path, name: str) -> str:
    """The room of a package that a dotted name leads into; empty for one elsewhere."""
    inside = name.removeprefix(f"{dotted(package)}.")
    first = inside.split(".")[0]
    is_room = (package / first).is_dir() or (package / f"{first}.py").is_file()
    return first if inside != name and is_room else ""


def dotted(package: Path) -> str:
    """The name of a package, with those of the packages around it."""
    outer = package.parent
    return f"{dotted(outer)}.{package.name}" if (outer / "__init__.py").exists() else package.name


def imported(file: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def groups_of(arrows: Arrows) -> Iterator[frozenset[str]]:
    """Rooms that lead to one another, each group after those it imports from."""
    reached = {room: frozenset(reach(arrows, room)) for room in arrows}
    groups = {frozenset(r for r in near if room in reached[r]) for room, near in reached.items()}
    yield from sorted(groups, key=lambda group: (len(reached[min(group)]), min(group)))


def reach(arrows: Arrows, start: str) -> Iterable[str]:
    """The rooms that a room leads to, itself among them."""
    seen, waiting = {start}, [start]
    while waiting:
        more = arrows[waiting.pop()] - seen
        seen |= more
        waiting += more
    return seen


def main() -> int:
    """Print the table, and the circles that there are."""
    parser = argparse.ArgumentParser(prog="python -m tests.project.structure")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    options = parser.parse_args()
    sys.stdout.write("| package | rooms | floors | arrows |\n|---|---|---|---|\n")
    for name in options.packages:
        found = structure(options.root.resolve() / name)
        counts = f"{len(found.arrows)} | {found.floors} | {found.number_of_arrows}"
        sys.stdout.write(f"| `{name}` | {counts} |\n")
        for circle in found.circles:
            sys.stdout.write(f"a circle: {', '.join(sorted(circle))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
