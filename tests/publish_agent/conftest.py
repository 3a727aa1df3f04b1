"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from publish_agent.capture.native import binding
from tests.publish_agent.router import Router


@pytest.fixture(params=["compiled", "in Python"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `publish` does is compiled, and then made in Python, as where that was not built."""
    if request.param == "compiled":
        assert binding.library() is not None, (
            "the build did not compile publish_agent/capture/native/publish.c"
        )
    else:
        monkeypatch.setattr(binding, "library", lambda: None)


@pytest.fixture
def router() -> Iterator[Router]:
    """A source job's end of an agent's connection."""
    made = Router()
    yield made
    made.close()
