"""Key files: made once, the secret one for its owner alone; anything else is said clearly."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq.auth

from publish_agent.runtime.keys import read_keys
from source_jobs.security.allow_list import AllowList
from source_jobs.security.keys import load_pair, load_public, make_keys


def test_keys_are_files_as_zmq_reads_them(tmp_path: Path) -> None:
    public, secret = make_keys("job", tmp_path / "keys")
    assert (public.name, secret.name) == ("job.key", "job.key_secret")
    assert zmq.auth.load_certificate(public) == (load_public(public), None)
    pair = load_pair(secret)
    assert zmq.auth.load_certificate(secret) == (pair.public, pair.secret)
    assert zmq.curve_public(pair.secret) == pair.public == load_public(public)
    assert load_public(pair.public.decode()) == pair.public
    assert zmq.auth.load_certificates(tmp_path / "keys") == {pair.public: True}


def test_the_secret_is_its_owners_alone(tmp_path: Path) -> None:
    public, secret = make_keys("job", tmp_path)
    assert secret.stat().st_mode & 0o077 == 0
    assert public.stat().st_mode & 0o444 == 0o444
    pair = load_pair(secret)
    assert pair.secret not in public.read_bytes()
    assert pair.secret.decode() not in repr(pair)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    public, _ = make_keys("job", tmp_path)
    before = public.read_bytes()
    with pytest.raises(ValueError, match="is there already"):
        make_keys("job", tmp_path)
    assert public.read_bytes() == before


@pytest.mark.parametrize("name", ["", "../job", "a/b", "-x", ".key"])
def test_a_name_is_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a key"):
        make_keys(name, tmp_path)


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    public, _ = make_keys("job", tmp_path)
    with pytest.raises(ValueError, match="holds a public key only"):
        load_pair(public)
    with pytest.raises(ValueError, match="cannot read the key"):
        load_pair(tmp_path / "nothing")
    wrong = tmp_path / "wrong"
    wrong.write_text("hello")
    with pytest.raises(ValueError, match="wrong holds no key"):
        load_public(wrong)
    wrong.write_text('public-key = "short"\n')
    with pytest.raises(ValueError, match="not a key of 40"):
        load_public(wrong)
    with pytest.raises(ValueError, match="not a key of 40"):
        load_public("~" * 40)


def unfit(secret: Path, why: str) -> None:
    """Neither a client or source job nor an agent takes a secret file."""
    with pytest.raises(ValueError, match=why):
        load_pair(secret)
    with pytest.raises(ValueError, match=why):
        read_keys(str(secret), load_public(secret.with_suffix(".key")).decode())


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660, 0o620, 0o777])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    _, secret = make_keys("job", tmp_path)
    secret.chmod(mode)
    unfit(secret, "chmod 600")
    secret.chmod(0o600)
    load_pair(secret)
    secret.chmod(0o400)
    load_pair(secret)


def test_the_group_of_a_file_may_read_it_where_it_is_roots_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As files are that a platform mounts into a container for a group."""
    _, secret = make_keys("job", tmp_path)
    secret.chmod(0o440)
    about = secret.stat()
    for owner in (0, 1_000):
        told = os.stat_result((*about[:4], owner, *about[5:]))
        monkeypatch.setattr(os, "fstat", lambda _descriptor, told=told: told)
        if owner:
            unfit(secret, "mode 440")
        else:
            assert stat.S_IMODE(secret.stat().st_mode) == 0o440
            load_pair(secret)


def test_a_public_half_that_is_not_that_of_the_secret_is_refused(tmp_path: Path) -> None:
    _, secret = make_keys("job", tmp_path)
    _, other = make_keys("other", tmp_path)
    theirs = load_pair(other).public.decode()
    secret.write_text(secret.read_text().replace(load_pair(secret).public.decode(), theirs))
    unfit(secret, "not that of its secret one")


def strange(path: Path, kind: str) -> None:
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 40)
        case "device":
            path.symlink_to("/dev/zero")
        case "terminal":
            path.symlink_to("/dev/tty")
        case _:
            path.symlink_to(path.parent / "nothing")


STRANGE = ["pipe", "folder", "huge", "device", "terminal", "nothing"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_file_among_the_keys_stops_nobody(tmp_path: Path, kind: str) -> None:
    """A pipe kept a source job waiting for ever, as it started or while it ran."""
    first, _ = make_keys("first", tmp_path)
    strange(tmp_path / "a.key", kind)
    allowed = AllowList(tmp_path)
    assert allowed.keys == {load_public(first)}
    second, _ = make_keys("second", tmp_path)
    strange(tmp_path / "b.key", kind)
    assert not allowed.refresh()
    assert allowed.keys == {load_public(first), load_public(second)}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_file_is_no_key(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.key_secret"
    strange(path, kind)
    with pytest.raises(ValueError, match=r"a\.key_secret"):
        load_pair(path)
    with pytest.raises(ValueError, match=r"a\.key_secret"):
        read_keys(str(path), "~")


def test_of_many_refused_keys_the_log_has_few_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = AllowList(tmp_path)
    for number in range(5_000):
        for _ in range(2):
            assert not allowed.callback("agent", f"{number:040}".encode())
        allowed.tell()
    assert len(caplog.records) == 101
    assert caplog.messages[0] == f"refused by key: {0:040} is not in {tmp_path}"
