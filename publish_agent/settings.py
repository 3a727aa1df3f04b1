"""What an agent is told: by arguments, else by `MQL_*` variables, else by defaults.

What makes no sense is a ValueError here, when the agent is made, and nowhere later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from publish_agent.capture.redaction import redaction

DEFAULT_SOURCE_JOB = "tcp://127.0.0.1:7766"
BUFFER_EVENTS = 65_536
BUFFER_BYTES = 16 * 1024 * 1024
CPU_SHARE = 0.05
"""Of a core, beyond what the screen takes."""
MEMORY = 64 * 1024 * 1024
BYTES_PER_S = 10_000_000
LEAST_MEMORY = 1024 * 1024

_ADDRESS = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+):(?P<port>\d{1,5})")
_LONGEST_HOST, _LONGEST_LABEL = 253, 63
"""Of a name, and of a part of it, by RFC 1035."""
_LONGEST = 200
_MOST_TAGS = 100
_LEAST = {"buffer_events": 1, "buffer_bytes": 1, "memory": LEAST_MEMORY, "bytes_per_s": 1}
_MOST = 1 << 50
_SMALLEST = 0.001
_NUMBERS: tuple[tuple[str, str, type[int | float]], ...] = (
    ("cpu_share", "MQL_CPU_SHARE", float),
    ("memory", "MQL_MEMORY", int),
    ("bytes_per_s", "MQL_BYTES_PER_S", int),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an agent, checked.

    `cpu_share` (of a core), `memory` (bytes) and `bytes_per_s` are its budget.
    """

    service: str
    source_jobs: tuple[str, ...] = (DEFAULT_SOURCE_JOB,)
    host: str = ""
    version: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    redact: tuple[str, ...] = ()
    buffer_events: int = BUFFER_EVENTS
    buffer_bytes: int = BUFFER_BYTES
    cpu_share: float = CPU_SHARE
    memory: int = MEMORY
    bytes_per_s: int = BYTES_PER_S
    key: str | None = None
    server_key: str | None = None
    disabled: bool = False

    def __post_init__(self) -> None:
        if not self.service:
            raise ValueError("an agent has a service: Agent(service=…) or MQL_SERVICE")
        for what in ("service", "host", "version"):
            _check_text(what, getattr(self, what))
        if len(self.tags) > _MOST_TAGS:
            raise ValueError(f"{len(self.tags)} tags; {_MOST_TAGS} are allowed")
        for key, value in self.tags.items():
            _check_text("a tag's name", key)
            _check_text(f"tag {key!r}", value)
        if not self.source_jobs:
            raise ValueError(f"no source jobs; an address is such as {DEFAULT_SOURCE_JOB}")
        for address in self.source_jobs:
            split_address(address)
        for what, least in _LEAST.items():
            value = getattr(self, what)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or not least <= value <= _MOST:
                raise ValueError(
                    f"{what} is a whole number from {least:,} to {_MOST:,}, not {value!r}"
                )
        share: object = self.cpu_share
        if not isinstance(share, int | float) or isinstance(share, bool) or not share >= _SMALLEST:
            raise ValueError(f"cpu_share is a part of a core such as 0.05, not {share!r}")
        if bool(self.key) != bool(self.server_key):
            raise ValueError(
                "key and server_key go together: the agent's own, and the source job's public one"
            )
        redaction(self.redact)


def read_settings(
    environment: Mapping[str, str],
    *,
    service: str | None,
    source_jobs: str | Iterable[str] | None,
    host: str,
    version: str | None,
    tags: Mapping[str, str] | None,
    redact: Iterable[str] | None,
    **others: object,
) -> Settings:
    """The settings from arguments (None: not given) and the environment. Raises ValueError."""
    jobs = [source_jobs] if isinstance(source_jobs, str) else source_jobs
    if isinstance(redact, str):
        raise ValueError("redact is a list of rules, not one text")  # noqa: TRY004 - a setting
    if not isinstance(tags, Mapping | None):
        raise ValueError(f"tags are names and values, not {_cut(tags)}")  # noqa: TRY004 - a setting
    tags = _tags(environment.get("MQL_TAGS", "")) | dict(tags or {})
    jobs = _words(environment.get("MQL_SOURCE_JOBS", DEFAULT_SOURCE_JOB)) if jobs is None else jobs
    rules = _words(environment.get("MQL_REDACT", "")) if redact is None else redact
    known = {name: value for name, value in others.items() if value is not None}
    for name, variable in (("key", "MQL_KEY"), ("server_key", "MQL_SERVER_KEY")):
        known.setdefault(name, environment.get(variable) or None)
    for name, variable, kind in _NUMBERS:
        if environment.get(variable):
            known.setdefault(name, _number(variable, environment[variable], kind))
    return Settings(
        service=environment.get("MQL_SERVICE", "") if service is None else service,
        source_jobs=tuple(dict.fromkeys(_texts("source_jobs", jobs))),
        host=host,
        version=environment.get("MQL_VERSION", "") if version is None else version,
        tags=MappingProxyType(tags),
        redact=_texts("redact", rules),
        disabled=environment.get("MQL_DISABLED", "").lower() in ("1", "true", "yes", "on"),
        **known,  # type: ignore[arg-type]
    )


def split_address(address: str) -> tuple[str, int]:
    """The host and port of `tcp://host:port`. Raises ValueError."""
    match = _ADDRESS.fullmatch(address)
    is_port = match is not None and 0 < int(match["port"]) <= 65_535  # noqa: PLR2004 - the last
    if match is None or not is_port or not _is_host(match["host"]):
        raise ValueError(f"{_cut(address)} is no address such as {DEFAULT_SOURCE_JOB}")
    return match["host"].strip("[]"), int(match["port"])


def _is_host(host: str) -> bool:
    """Whether a machine may be called so."""
    labels = host.removesuffix(".").split(".")
    fit = all(0 < len(label) <= _LONGEST_LABEL for label in labels)
    return host.startswith("[") or (len(host) <= _LONGEST_HOST and fit)


def _cut(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _texts(what: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, Iterable):
        raise ValueError(f"{what} is a list of texts, not {_cut(values)}")  # noqa: TRY004 - a setting
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{what} is a list of texts, not of {_cut(text)}")  # noqa: TRY004
    return texts


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(variable: str, text: str, kind: type[int | float]) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{variable}: {text!r} is no number") from None


def _tags(text: str) -> dict[str, str]:
    tags = {}
    for word in _words(text):
        key, equals, value = word.partition("=")
        if not key.strip() or not equals:
            raise ValueError(f"MQL_TAGS: {word!r} is no name=value, as in zone=eu-1,tier=web")
        tags[key.strip()] = value.strip()
    return tags


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError(f"{what} is a text of at most {_LONGEST} characters, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is no valid Unicode: {value!r}") from None
