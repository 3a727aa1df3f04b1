"""What keeps the project tidy: small folders, one name for one class; and how large its parts are.

python -m tests.project.tidy            the largest files and functions
python -m tests.project.tidy --update   write down the class names that packages share today
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mql", "publish_agent", "source_jobs", "cli")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "examples")
MODULES_MAX = 18
"""Python modules in a folder, `__init__.py` not counted."""

SHARED_NAMES = Path(__file__).with_name("shared_class_names.txt")
"""Class names that several packages have: the list gets shorter only."""

_LARGEST = 12


@cache
def files() -> tuple[Path, ...]:
    """All Python files of the project, relative to it."""
    found = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    return tuple(sorted(file.relative_to(ROOT) for file in found))


@cache
def tree(file: Path) -> ast.Module:
    """A file's syntax."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def crowded(names: Sequence[Path]) -> dict[Path, int]:
    """Folders with more modules than are found at a glance."""
    modules = Counter(name.parent for name in names if name.name != "__init__.py")
    return {folder: number for folder, number in modules.items() if number > MODULES_MAX}


def shared_class_names() -> list[str]:
    """Names that classes of two or more packages have; what begins with `_` is its file's own."""
    owners: dict[str, set[str]] = defaultdict(set)
    for file in files():
        if file.parts[0] in PACKAGES:
            for node in tree(file).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    owners[node.name].add(file.parts[0])
    return sorted(name for name, packages in owners.items() if len(packages) > 1)


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file, by name, and their lines."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{file}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


def report() -> Iterator[str]:
    """The largest files and functions of the packages, as lines of text."""
    ours = [file for file in files() if file.parts[0] in PACKAGES]
    sizes = {str(file): len((ROOT / file).read_text("utf-8").splitlines()) for file in ours}
    lines = {name: size for file in ours for name, size in functions(file)}
    for title, found in (("files", sizes), ("functions", lines)):
        yield f"{len(found)} {title}, {sum(found.values())} lines; the largest:"
        for name, size in Counter(found).most_common(_LARGEST):
            yield f"{size:6} {name}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        SHARED_NAMES.write_text("\n".join(shared_class_names()) + "\n", encoding="utf-8")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        sys.stdout.writelines(f"{line}\n" for line in report())
