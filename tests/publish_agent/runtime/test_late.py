"""Who may import what runs queries: which children of a fork, and who is about to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from mql.wire.messages import Accept, Goodbye, Subscribe
from publish_agent import Agent
from publish_agent.drain.query_factory import QueryFactory
from publish_agent.protocol.late_factory import TooLateError
from publish_agent.runtime import worker
from publish_agent.runtime.late_imports import LateImports
from tests.publish_agent.router import ALL, Router


def test_a_child_whose_fork_has_not_waited_imports_unless_its_parent_did_so() -> None:
    """A fork in C, of which Python hears afterwards: uWSGI with `--py-call-osafterfork`."""
    late = LateImports()
    late.after_fork_in_child()
    late.load()
    late._turn.acquire()  # by a thread that the child has not
    late.after_fork_in_child()
    with pytest.raises(ImportError, match="was forked while"):
        late.load()


def test_no_step_of_the_import_begins_once_it_is_over() -> None:
    """That is no failure: whoever asks later has it."""
    late, looks = LateImports(), iter([False, True])
    with pytest.raises(TooLateError):
        late.load(lambda: next(looks))
    assert late.load().__name__ == "QueryFactory"


@pytest.mark.parametrize("reason", ["closed", "dying"])
def test_who_ends_in_the_middle_of_the_import_says_what_was_unseen(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    imports, ends, late = threading.Event(), threading.Event(), LateImports()

    def load(is_over: Callable[[], bool]) -> type[QueryFactory]:
        imports.set()
        assert ends.wait(20)
        return late.load(is_over)

    monkeypatch.setattr(worker, "LATE_IMPORTS", SimpleNamespace(load=load))
    router = Router()
    agent = Agent("checkout", router.address)
    try:
        requests = agent.stream("requests")
        for number in range(20):
            requests.publish({"n": number})
        router.run(router.peers)
        (peer,) = router.peers().values()
        router.send(peer, Subscribe(1, 0, "requests", ALL, 1_000))
        router.run(imports.is_set)
        if reason == "dying":
            monkeypatch.setattr(worker, "is_dying", lambda: True)
        else:
            agent._end()
        ends.set()
        router.run(lambda: router.of(Goodbye))
        (accept,) = router.of(Accept)
        assert isinstance(accept, Accept)
        assert accept.unseen == 20
    finally:
        ends.set()
        agent.close()
        router.close()
