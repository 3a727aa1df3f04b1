"""Links of the documents lead to files and headings that exist, and so do paths in code.

A path is a word in backticks, or in a fenced block, that begins with a folder of the project. That
of a module or a C file may leave out folders at its beginning. `*` stands for any characters,
`{a,b}` for each of two, and `<…>` for whatever a reader puts there. Where a file moves, the pages
follow.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = ("vendor", "build", "node_modules")
"""Folders with pages of others."""

FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*\n((?:.*\n)*?) *\2`*~*$", re.MULTILINE)
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(
    r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|^ {0,3}\[[^\]]+\]:\s*(\S+)", re.MULTILINE
)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
BETWEEN = re.compile(r"[\s|'\"()\[\]▶◀]+")
NAME = re.compile(r"[\w*{},/]+\.(py|c|h|lark|js)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def tracked(root: Path) -> list[Path]:
    """The project's files, below one another; without git, whatever is there."""
    command = ("git", "-C", str(root), "ls-files", "-z")
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        files = [root / name for name in listed.stdout.split("\0") if name]
        return [file for file in files if file.exists()]
    hidden = (file for file in sorted(root.rglob("*")) if file.is_file())
    return [file for file in hidden if not any(p.startswith(".") for p in file.parts)]


def pages_of(root: Path) -> list[Path]:
    pages = (file for file in tracked(root) if file.suffix == ".md")
    return [page for page in pages if not set(SKIPPED) & set(page.parts)]


def prose_of(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def links_of(text: str) -> Iterator[str]:
    """Links to other pages of the project, and to headings."""
    for match in LINK.finditer(CODE.sub("", prose_of(text))):
        target = match[1] or match[2]
        if not ELSEWHERE.match(target):
            yield target.strip("<>")


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    anchors = set()
    for match in HEADING.finditer(prose_of(text)):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1])
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        anchors.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return anchors


def paths_of(text: str, folders: frozenset[str]) -> Iterator[str]:
    """The paths that a page has in code, one for each choice in braces."""
    blocks = [match[3] for match in FENCE.finditer(text)]
    spans = [match[2] for match in CODE.finditer(prose_of(text))]
    code = re.sub(r"<[^>\n]*>", "*", " ".join(blocks + spans))
    for word in BETWEEN.split(code):
        path = word.partition("::")[0].rstrip(".,:;")
        if NAME.fullmatch(path) or is_whole(path, folders):
            yield from expand(path)


def is_whole(path: str, folders: frozenset[str]) -> bool:
    """Whether a path begins with one of the project's folders."""
    return "/" in path and path.partition("/")[0] in folders


def expand(path: str) -> Iterator[str]:
    """`a/{b,c}.py` is `a/b.py` and `a/c.py`."""
    match = re.search(r"\{([^{}]*)\}", path)
    if match is None:
        yield path
        return
    for choice in match[1].split(","):
        yield from expand(path[: match.start()] + choice + path[match.end() :])


@cache
def places(root: Path) -> frozenset[str]:
    """All files, and all folders, these with a slash at their end."""
    files = [file.relative_to(root) for file in tracked(root)]
    folders = {f"{folder}/" for file in files for folder in file.parents if folder.name}
    return frozenset(map(str, files)) | folders


@cache
def folders_of(root: Path) -> frozenset[str]:
    return frozenset(place.partition("/")[0] for place in places(root) if "/" in place)


@cache
def ends(root: Path) -> frozenset[str]:
    """All files, by the ends of their paths."""
    parts = [place.split("/") for place in places(root)]
    return frozenset("/".join(each[i:]) for each in parts for i in range(len(each)))


def is_there(path: str, root: Path) -> bool:
    """Whether there is a file or folder of this path."""
    known = places(root) if is_whole(path, folders_of(root)) else ends(root)
    if "*" not in path:
        return path in known or f"{path.rstrip('/')}/" in known
    pattern = re.compile(re.escape(path).replace(r"\*", "[^/]*"))
    return any(map(pattern.fullmatch, known))


def broken(page: Path, root: Path) -> list[str]:
    """The links, headings and paths of a page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    links = [f"link {link}" for link in links_of(text) if not leads(link, page, root)]
    paths = paths_of(text, folders_of(root))
    return links + [f"path {path}" for path in paths if not is_there(path, root)]


def leads(link: str, page: Path, root: Path) -> bool:
    """Whether a link of a page leads to a file or folder and, if it names one, to a heading."""
    name, _, anchor = link.partition("#")
    to = (page.parent / name).resolve() if name else page
    if to != root and not (to.is_relative_to(root) and is_there(f"{to.relative_to(root)}", root)):
        return False
    return not anchor or to.suffix != ".md" or anchor in anchors_of(to.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages_of(ROOT), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_of_a_page_lead_somewhere(page: Path) -> None:
    assert broken(page, ROOT) == []


PAGE = """
# The `first` house, and more
## Rooms
## Rooms
[one](#the-first-house-and-more) [two](other.md#rooms-1) [three](doors/) [four](https://x.y/z)
[five](#cellar) [six](gone.md) [seven](other.md#rooms-2) [eight](../outside.md)
`doors/front.py` `inner/front.py` `doors/*.py` `doors/{front,back}.py`
`front.py` `python -m x doors/front.py::y`
`doors/side.py` `side.py` `front/door.py` `house/doors/front.py`
`doors/*.c` `doors/{front,side}.py` `elsewhere/side.txt` `doors`
```
# No heading
doors/attic/<its name>.py ──▶ doors/back.py, doors/lost.py
```
[nine]: doors/none.md "A title"
"""
LOST = """
link #cellar, link gone.md, link other.md#rooms-2, link ../outside.md, link doors/none.md,
path doors/attic/*.py, path doors/lost.py, path doors/side.py, path side.py, path front/door.py,
path house/doors/front.py, path doors/*.c, path doors/side.py
"""


def test_lost_links_and_paths_are_found(tmp_path: Path) -> None:
    (tmp_path / "doors" / "inner").mkdir(parents=True)
    for name in ("doors/front.py", "doors/back.py", "doors/inner/front.py"):
        (tmp_path / name).touch()
    for name in ("page.md", "other.md"):
        (tmp_path / name).write_text(PAGE, encoding="utf-8")
    assert broken(tmp_path / "page.md", tmp_path) == re.split(r",\s+", LOST.strip())
