"""Tokens: who is let in, with what, and how they are kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from source_jobs.api.auth.rate_limit import RateLimiter
from source_jobs.api.auth.token_file import TokenFile
from source_jobs.api.auth.tokens import MOST, Scope, Token, TokenBook, caller_of, digest
from tests.source_jobs.api.support import add_token


def token(name: str = "ada", **more: object) -> Token:
    return Token(name, digest(f"mql_{name}"), **more)  # type: ignore[arg-type]


def test_a_secret_finds_its_token_and_nothing_else_does() -> None:
    book = TokenBook((token("ada"), token("bob")))
    assert book.find("mql_bob", 0) == token("bob")
    for wrong in ("", "mql_bo", "mql_bob ", digest("mql_bob"), "mql_\udcff"):
        assert book.find(wrong, 0) is None


def test_a_token_is_good_until_it_expires() -> None:
    book = TokenBook((token(expires_ms=1_000),))
    assert book.find("mql_ada", 999)
    assert book.find("mql_ada", 1_000) is None


def test_admin_holds_all_scopes_and_patterns_name_streams() -> None:
    caller = caller_of(token(scopes=(Scope.ADMIN,), streams=("req*", "pay")))
    assert all(map(caller.may, Scope))
    assert [caller.may_read(s) for s in ("requests", "pay", "payments")] == [True, True, False]
    assert not caller_of(token(scopes=(Scope.TRACE,))).may(Scope.QUERY)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "ada"])
def test_a_name_is_refused_that_is_none_or_taken(name: str) -> None:
    with pytest.raises(ValueError, match=r"no name|already"):
        TokenBook((token("ada"),)).with_token(token(name))


def test_there_are_not_too_many_tokens() -> None:
    book = TokenBook(tuple(token(f"t{i}") for i in range(MOST)))
    with pytest.raises(ValueError, match="as many as one file takes"):
        book.with_token(token())


def test_the_file_holds_hashes_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tokens.json"
    secret = add_token(path, "ada", "query")
    assert secret not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [t.name for t in TokenFile(path).load().tokens] == ["ada"]


def test_a_change_of_the_file_is_seen_and_a_broken_file_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    secret = add_token(path, "ada", "query")
    tokens = TokenFile(path)
    assert tokens.current().find(secret, 0)
    TokenFile(path).change(lambda book: book.without("ada"))
    assert tokens.current().find(secret, 0) is None
    add_token(path, "ada", "query")
    assert tokens.current().find(secret, 0)
    path.write_text("{", encoding="utf-8")
    assert tokens.current() == TokenBook()
    path.unlink()
    assert tokens.current() == TokenBook()
    with pytest.raises(ValueError, match="cannot read"):
        tokens.load()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": [{"name": "a", "sha256": "", "scopes": ["root"]}]}))
    with pytest.raises(ValueError, match="no file of tokens"):
        TokenFile(path).load()
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.json"]


def test_requests_pass_at_their_pace() -> None:
    limiter = RateLimiter()
    waits = [limiter.wait_s("ada", 60, 100.0) for _ in range(12)]
    assert waits == [0.0] * 10 + [1.0, 1.0]
    assert limiter.wait_s("bob", 60, 100.0) == 0.0
    assert limiter.wait_s("ada", 60, 101.5) == 0.0
    assert limiter.wait_s("ada", 60, 101.5) == pytest.approx(0.5)


def test_callers_who_come_no_more_are_forgotten() -> None:
    limiter = RateLimiter()
    for number in range(5_000):
        limiter.wait_s(f"caller {number}", 60, float(number))
    assert len(limiter._buckets) <= 2_001
