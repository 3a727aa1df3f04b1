"""Whoever makes many connections by one key shuts out nobody else."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mql.wire.messages import Alive, Welcome
from source_jobs.client.client import connect
from source_jobs.security.allow_list import AllowList
from source_jobs.security.key_shares import Crowd, connections_max
from tests.hostile.peers import CONNECT, Keys, Raw, hello
from tests.hostile.test_keys import heard_by_agent
from tests.live.support import until

pytestmark = pytest.mark.timeout(60)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing can be opened meanwhile; what is open stays so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_allow_list_that_cannot_be_opened_for_want_of_descriptors_stays_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """1,500 connections by one key had everybody shut out, where there were 1,024 descriptors."""
    keys = Keys(tmp_path)
    keys.make("person", keys.clients)
    allowed = AllowList(keys.clients)
    before = allowed.keys
    keys.make("other", keys.clients)
    with no_descriptors():
        assert not any(allowed.refresh() for _ in range(3))
    assert allowed.keys == before
    assert caplog.text.count("stays as it was") == 1
    assert not allowed.refresh()
    assert len(allowed.keys) == len(before) + 1
    keys.revoke("person", keys.clients)
    assert allowed.refresh()


def test_no_key_has_more_connections_than_are_free_and_its_oldest_make_room(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    service = keys.make("service", keys.agents)
    greedy, person = (keys.make(name, keys.clients) for name in ("greedy", "person"))
    with keys.serve() as job, ExitStack() as opened:
        job._crowd.most = 64  # 16 of them are kept for strangers
        made = [opened.enter_context(Raw(job.clients_address, greedy, keys.job)) for _ in range(60)]
        for raw in made:
            raw.say(Alive())
            time.sleep(0.005)
        until(lambda: job._crowd.turned_away >= 30)
        assert max(map(len, job._crowd._by_key.values())) <= 24
        made[-1].say(CONNECT)
        assert made[-1].hears(1.0), "the newest connection of the key is served"
        agent = opened.enter_context(Raw(job.agents_address, service, keys.job))
        agent.say(hello("a"))
        assert any(isinstance(m, Welcome) for m in heard_by_agent(agent, 2))
        with connect(job.clients_address, key=person, server_key=keys.own / "job.key"):
            assert len(job._crowd._by_key) == 3


def test_there_is_a_share_for_strangers_and_for_what_the_process_has_open_itself() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        crowd = Crowd()
        assert connections_max() == 924
        assert 2 * crowd.strangers_max < 924 // 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
