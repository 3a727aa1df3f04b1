"""Who is let in: by token, by the host that was asked, by the page that asks. Pure.

Programs on other machines need a token. Pages of other sites need to be named: a browser sends
their requests from inside, with `Origin` or `Sec-Fetch-Site` to tell. And a server for this machine
alone answers to the names of this machine alone, since a stranger's name may be made to point here
(DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from source_jobs.api.auth.tokens import Caller, Scope, TokenBook, caller_of
from source_jobs.api.errors import refuse
from source_jobs.api.settings import Limits, Settings

_BEARER = "bearer "
PROTOCOL = "mql"
_PROTOCOL_TOKEN = "mql.token."  # noqa: S105 - what stands before one
"""The subprotocol in which a browser's WebSocket, which has no headers, brings a token."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = ("/healthz", "/readyz")


@dataclass(frozen=True, slots=True)
class Access:
    """The door's rules."""

    settings: Settings

    def check_place(self, path: str, headers: Mapping[str, str]) -> None:
        """Raise Refusal for another site's page, and for a name that is not ours."""
        host = headers.get("host", "")
        if path in OPEN_PATHS:
            return
        if self.settings.is_local and not self._is_known(_name_of(host)):
            raise refuse(403, f"this server is not {_shown(host)}; ask 127.0.0.1 or localhost")
        if self.is_foreign(headers) and not (_is_visit(headers) and _is_page(path)):
            raise refuse(403, "pages of other sites may not ask; name theirs with --cors")

    def is_foreign(self, headers: Mapping[str, str]) -> bool:
        """Whether a page of another site, that is not on the list, makes the request."""
        origin = headers.get("origin")
        if origin is not None:
            if origin in self.settings.cors:
                return False
            return origin.partition("://")[2].lower() != headers.get("host", "").lower()
        return headers.get("sec-fetch-site", "none") in {"cross-site", "same-site"}

    def caller(
        self,
        headers: Mapping[str, str],
        tokens: Callable[[], TokenBook],
        now_ms: int,
    ) -> Caller:
        """Who asks. Raises Refusal if a token is needed and there is none that is good."""
        if self.settings.tokens is None:
            return anybody(self.settings.limits)
        secret = secret_of(headers)
        if secret is None:
            raise refuse(401, "a token is needed: Authorization: Bearer mql_…", _CHALLENGE)
        token = tokens().find(secret, now_ms)
        if token is None:
            raise refuse(401, "this token is not known, or no longer", _CHALLENGE)
        return caller_of(token)

    def _is_known(self, name: str) -> bool:
        return name in _LOCAL_NAMES or name in self.settings.names


_CHALLENGE = {"www-authenticate": 'Bearer realm="mql"'}


def anybody(limits: Limits) -> Caller:
    """Who comes where no tokens are asked for."""
    return Caller("anybody", frozenset(Scope), ("*",), limits.queries_each, limits.per_minute)


def secret_of(headers: Mapping[str, str]) -> str | None:
    """The secret that a request brings; never in its address, which ends up in logs."""
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    for each in headers.get("sec-websocket-protocol", "").split(","):
        if each.strip().startswith(_PROTOCOL_TOKEN):
            return each.strip().removeprefix(_PROTOCOL_TOKEN)
    return None


def require(caller: Caller, *scopes: Scope) -> None:
    """Raise Refusal unless the caller has one of the scopes."""
    if not any(caller.may(scope) for scope in scopes):
        wanted = " or ".join(scopes)
        raise refuse(403, f"the token {caller.name!r} lacks the scope {wanted}")


def require_streams(caller: Caller, streams: tuple[str, ...]) -> None:
    """Raise Refusal if the caller may not see one of the streams."""
    for stream in streams:
        if not caller.may_read(stream):
            raise refuse(403, f"the token {caller.name!r} may not read the stream {stream!r}")


def _is_visit(headers: Mapping[str, str]) -> bool:
    """A person follows a link to here."""
    return headers.get("sec-fetch-mode") == "navigate" and "origin" not in headers


def _is_page(path: str) -> bool:
    return not path.startswith(("/api", "/metrics"))


def _name_of(host: str) -> str:
    """The name in a `Host`, without the port.

    >>> _name_of("localhost:7768"), _name_of("[::1]:7768")
    ('localhost', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _shown(host: str) -> str:
    return repr(host[:100])
