"""What the HTTP server may be told: where, who may come in, and how much it takes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from source_jobs.security.addresses import is_local

DEFAULT_PORT = 7768


@dataclass(frozen=True, slots=True)
class Limits:
    """At each of these something is refused or given up, counted, and said to the asker.

    `queries` may run at once for all callers together, with `readers` streams open between them,
    `readers_each` of a token.
    Of each query `replay_pieces` and `replay_bytes` of its answer are kept for those who come
    again or are slow, for `replay_s`, and of all queries `replays_bytes`. One that nobody reads
    ends after `idle_s`. It is forgotten as long after its end, or when `queries` more have ended.

    At most `connections` requests are answered at once, streams among them, or fewer where there
    are fewer file descriptors. A request has `request_s` for its headers and as long for its body,
    of at most `body_bytes`. A reader that takes nothing of what waits for it is given up after
    `unread_s`. A stream that has nothing to say says so every `heartbeat_s`.

    A caller without a token may ask `queries_each` at once and send `per_minute` requests. At most
    `callers` have a connection of their own to the source job; those who ask nothing give theirs
    up for others.
    """

    queries: int = 200
    readers: int = 1_000
    readers_each: int = 250
    connections: int = 1_500
    callers: int = 100
    request_s: float = 10.0
    unread_s: float = 60.0
    replay_pieces: int = 10_000
    replay_bytes: int = 8 << 20
    replay_s: float = 300.0
    replays_bytes: int = 256 << 20
    idle_s: float = 60.0
    body_bytes: int = 128 << 10
    heartbeat_s: float = 5.0
    queries_each: int = 50
    per_minute: int = 6_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen and whom to let in.

    `tokens` is the file of `mql token`; without it nobody is asked for one. `cors` are the origins
    whose pages may call the API, `names` further host names by which this server is known.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tokens: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    cors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    audit: Path | None = None
    insecure: bool = False
    limits: Limits = Limits()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can come here."""
        return is_local(f"tcp://{self.bracketed}:{self.port}")

    @property
    def bracketed(self) -> str:
        """The host as it stands in an address.

        >>> Settings(host="::1").bracketed
        '[::1]'
        """
        return f"[{self.host}]" if ":" in self.host else self.host

    def check(self) -> None:
        """Raise ValueError if anybody might come in who should not, or the parts do not fit."""
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("TLS needs both files: --tls-cert and --tls-key")
        for origin in self.cors:
            if not _is_origin(origin):
                raise ValueError(f"{origin!r} is no origin such as https://ops.example.org")
        if self.insecure or self.is_local:
            return
        if self.tokens is None:
            raise ValueError(
                f"{self.bracketed}:{self.port} can be reached from other machines, and without"
                " tokens anybody there could ask for events; listen at 127.0.0.1, or make tokens"
                " with `mql token create` and name their file with --tokens, or, in a network"
                " where you trust everybody, say --insecure"
            )
        if self.certificate is None:
            raise ValueError(
                f"{self.bracketed}:{self.port} can be reached from other machines, and without TLS"
                " tokens and events would cross the network for all to read; give --tls-cert and"
                " --tls-key, or, behind a proxy that does TLS, say --insecure"
            )


def read_address(text: str) -> tuple[str, int]:
    """Host and port: `7768`, `0.0.0.0:7768`, `[::1]:7768`. Raises ValueError.

    >>> read_address("7768"), read_address("[::]:80"), read_address("0.0.0.0:*")
    (('127.0.0.1', 7768), ('::', 80), ('0.0.0.0', 0))
    """
    host, _, port = text.rpartition(":")
    host = host.strip("[]") if host else "127.0.0.1"
    host = "0.0.0.0" if host == "*" else host  # noqa: S104 - refused later without tokens
    number = "0" if port == "*" else port
    if not (number.isascii() and number.isdigit() and int(number) < 1 << 16):
        raise ValueError(f"{text!r} is no address such as 7768 or 0.0.0.0:7768")
    return host, int(number)


def _is_origin(text: str) -> bool:
    scheme, separator, rest = text.partition("://")
    return scheme in {"http", "https"} and bool(separator) and bool(rest) and "/" not in rest
