"""Fixtures of the agent's tests."""

from __future__ import annotations

import pytest

from publish_agent import native


@pytest.fixture(params=["compiled", "in Python"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `publish` does is compiled, and then made in Python, as where that was not built."""
    if request.param == "compiled":
        assert native.library() is not None, "the build did not compile publish_agent/publish.c"
    else:
        monkeypatch.setattr(native, "library", lambda: None)
