"""Tokens: who may ask what. Pure; `token_file.py` keeps them.

A token is a name for a random secret of 256 bits, of which only the SHA-256 is kept: so much
randomness cannot be guessed from its hash, which a slow hash would only make dear to check.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

import msgspec

PREFIX = "mql_"
"""What secrets begin with, so that people and scanners of leaks know one."""

_NAME = re.compile(r"[\w.@-]{1,64}")
MOST = 1_000


class Scope(StrEnum):
    """What a caller may do. `trace` follows values through streams, without free queries."""

    QUERY = "query"
    TRACE = "trace"
    ADMIN = "admin"


class Token(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One token. `streams` are patterns with `*`; times in ms since 1970.

    `queries` may run at once, and `per_minute` requests come.
    """

    name: str
    sha256: str
    scopes: tuple[Scope, ...] = (Scope.QUERY, Scope.TRACE)
    streams: tuple[str, ...] = ("*",)
    queries: int = 10
    per_minute: int = 600
    created_ms: int = 0
    expires_ms: int | None = None

    def is_good(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_ms is None or self.expires_ms > now_ms


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks, and what they may. `identity` is that of a token, or empty."""

    name: str
    scopes: frozenset[Scope]
    streams: tuple[str, ...]
    queries: int
    per_minute: int
    identity: str = ""

    def may(self, scope: Scope) -> bool:
        """Whether the caller has a scope; `admin` holds all others."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_read(self, stream: str) -> bool:
        """Whether the caller may see events of a stream."""
        return any(fnmatch.fnmatchcase(stream, pattern) for pattern in self.streams)


class TokenBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All tokens there are."""

    tokens: tuple[Token, ...] = ()

    def find(self, secret: str, now_ms: int) -> Token | None:
        """The token of a secret, unless it has expired. Takes as long whatever the secret is."""
        wanted = digest(secret)
        found: Token | None = None
        for token in self.tokens:
            if hmac.compare_digest(token.sha256, wanted):
                found = token
        return found if found is not None and found.is_good(now_ms) else None

    def caller(self, identity: str, now_ms: int) -> Caller | None:
        """Who comes with a token as it is now; None if it was revoked or has expired."""
        found = next((token for token in self.tokens if token.sha256 == identity), None)
        return caller_of(found) if found is not None and found.is_good(now_ms) else None

    def with_token(self, token: Token) -> TokenBook:
        """One more. Raises ValueError if its name is none, or taken, or there are too many."""
        if not _NAME.fullmatch(token.name):
            raise ValueError(f"{token.name!r} is no name: letters, digits and .@-_, 64 at most")
        if any(each.name == token.name for each in self.tokens):
            raise ValueError(f"there is a token {token.name!r} already; revoke it first")
        if len(self.tokens) >= MOST:
            raise ValueError(f"there are {MOST:,} tokens, as many as one file takes")
        if min(token.queries, token.per_minute) < 1:
            raise ValueError("a limit is at least 1")
        return TokenBook((*self.tokens, token))

    def without(self, name: str) -> TokenBook:
        """All but one. Raises ValueError if there is none of that name."""
        rest = tuple(token for token in self.tokens if token.name != name)
        if len(rest) == len(self.tokens):
            raise ValueError(f"there is no token {name!r}")
        return TokenBook(rest)


def digest(secret: str) -> str:
    """The SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def caller_of(token: Token) -> Caller:
    """Who comes with a token."""
    limits = token.queries, token.per_minute
    return Caller(token.name, frozenset(token.scopes), token.streams, *limits, token.sha256)
