"""The Makefile follows the tree: after an edit of any C file the project is built again."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_is_made_again_after_an_edit_of_any_c_file() -> None:
    rule = re.search(
        r"^\$\(READY\):.*\$\(wildcard ([^)]*)\)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert rule
    followed = {path for pattern in rule[1].split() for path in ROOT.glob(pattern)}
    written = {path for name in ("mql", "publish_agent") for path in (ROOT / name).rglob("*.[ch]")}
    assert followed == written
    assert len(written) > 5
