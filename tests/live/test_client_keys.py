"""Key files: made once, the secret one for its owner alone; anything else is said clearly."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq.auth

from source_jobs.keys import load_pair, load_public, make_keys


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
