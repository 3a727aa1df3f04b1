"""Made-up events for benchmarks: seeded, skewed, nested, about 380 bytes of JSON each.

    python -m benchmarks.events build/events.ndjson --count 1000000

The same seed gives the same bytes on every Python and NumPy: only the raw bits of PCG64 are
drawn (NumPy promises that stream, not its distributions) and everything after that is integer
arithmetic over tables. A shorter file is a prefix of a longer one with the same seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import click
import numpy as np
from numpy.typing import NDArray

SEED = 2024
START_MS = 1_700_000_000_000
USERS = 1_000_000

_BLOCK = 8192
_KNOTS = 4096
_USER_STEP = 387_413  # coprime to USERS: scatters the frequent users over all ids
_USER_SHIFT = (123_456 - 12_000 * _USER_STEP) % USERS  # u123456 gets rank 12,000: about 6 in 1M

Ints = NDArray[np.int64]
Draws = NDArray[np.uint64]

_SERVICES = (
    "gateway", "checkout", "catalog", "search", "payments", "accounts",
    "inventory", "shipping", "reviews", "recommend", "notify", "ledger",
)  # fmt: skip
_COUNTRIES = (
    "US", "IN", "BR", "DE", "KR", "JP", "GB", "FR", "ID", "MX",
    "IT", "ES", "CA", "TR", "PL", "NL", "VN", "TH", "PH", "AU",
    "AR", "CO", "EG", "SE", "BE", "CH", "AT", "PT", "CZ", "RO",
    "GR", "DK", "NO", "FI", "IE", "HU", "IL", "ZA", "NG", "KE",
    "SG", "MY", "TW", "HK", "NZ", "CL", "PE", "UA", "SA", "AE",
)  # fmt: skip
_RESOURCES = (
    "orders", "items", "users", "carts", "sessions", "payments", "reviews", "products",
    "invoices", "addresses", "coupons", "refunds", "stores", "brands", "images", "alerts",
    "search", "profiles", "wishlists", "shipments",
)  # fmt: skip
_ACTIONS = (
    "", "/list", "/detail", "/history", "/summary", "/export", "/preview", "/related",
    "/recent", "/validate",
)  # fmt: skip
_METHODS = {"GET": 760, "POST": 150, "PUT": 50, "DELETE": 25, "PATCH": 15}
_STATUSES = {
    200: 820, 201: 50, 204: 30, 301: 10, 304: 30, 400: 12, 401: 10, 403: 5, 404: 15, 429: 2,
    500: 8, 502: 3, 503: 4, 504: 1,
}  # fmt: skip
_PLATFORMS = {
    ("mobile", "Android"): ("14.0", "13.0", "12.1", "11.0"),
    ("mobile", "iOS"): ("17.4.1", "17.2", "16.7.2", "15.8"),
    ("desktop", "Windows"): ("11", "10", "8.1"),
    ("desktop", "macOS"): ("14.3", "13.6.4", "12.7"),
    ("tablet", "iPadOS"): ("17.3", "16.6"),
    ("desktop", "Linux"): ("6.6", "5.15"),
    ("tv", "Tizen"): ("7.0", "6.5"),
}
_TAGS = {
    "region": ("eu-west-1", "us-east-1", "ap-northeast-2", "sa-east-1"),
    "city": ("Seoul", "São Paulo", "München", "Austin", "Osaka"),
    "release": ("2024.03.1", "2024.03.2", "2024.04.0-rc1"),
    "plan": ("free", "team", "enterprise"),
    "channel": ("web", "app", "partner", "email"),
    "cache": ("hit", "miss", "stale"),
    "shard": ("01", "02", "03", "04", "05", "06", "07", "08"),
}
_AB_TAGS = (("ab_test", "button-a"), ("ab_test", "button-b"))
# Weight in a thousand; text before and after a request id. Ten in a thousand match
# /.*ERROR.*timeout.*/, two of them over a line break; some hold only half of it, or reversed.
_MESSAGES = (
    (420, "INFO request ", " completed by pool main, response sent"),
    (280, "INFO request ", " served from cache"),
    (120, "DEBUG request ", " queued behind 3 others"),
    (50, "INFO request ", ' rendered with template "summary"'),
    (30, "INFO session ", " renewed, kept at C:\\data\\s"),
    (40, "WARN request ", " slow: 3 retries before the upstream answered"),
    (25, "WARN timeout of request ", " was close, later ERROR avoided"),
    (25, "ERROR request ", " refused: the card issuer declined it"),
    (8, "ERROR request ", " failed: upstream timeout after 3000 ms"),
    (2, "ERROR request ", " failed\n  caused by: read timeout\n  at pool.main"),
)


@dataclass(frozen=True, slots=True)
class _Tables:
    """Every piece of JSON text an event is put together from."""

    origins: list[str]
    countries: list[str]
    targets: list[str]
    methods: list[str]
    statuses: list[str]
    before: list[str]
    after: list[str]
    devices: list[str]
    tags: list[str]
    ab_tags: list[str]


class _Dice:
    """Whole numbers from the raw bits of PCG64."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def draws(self) -> Draws:
        """One block of 64-bit draws."""
        return self._bits.random_raw(_BLOCK)

    def below(self, limit: int) -> Ints:
        """Uniform in 0 .. limit - 1."""
        return (self.draws() % np.uint64(limit)).astype(np.int64)

    def weighted(self, cumulated: Draws) -> Ints:
        """Indices with the probabilities of cumulated whole weights."""
        drawn = self.draws() % cumulated[-1]
        indices: Ints = np.searchsorted(cumulated, drawn, side="right").astype(np.int64)
        return indices

    def cubed(self, limit: int) -> Ints:
        """Skewed to zero: `limit * x**3` for a uniform x, in fixed point."""
        half = np.uint64(32)
        drawn = self.draws() >> half
        cube = (((drawn * drawn) >> half) * drawn) >> half
        return ((cube * np.uint64(limit)) >> half).astype(np.int64)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _cumulated(weights: Sequence[int]) -> Draws:
    return np.cumsum(np.array(weights, dtype=np.uint64), dtype=np.uint64)


def _zipf(count: int) -> Draws:
    return _cumulated([10**9 // rank for rank in range(1, count + 1)])


def _latency_knots() -> Ints:
    """Quantiles of a lognormal latency (median 40 ms, sigma 1), in whole microseconds."""
    normal = NormalDist()
    tail = 1e-6
    at = [min(max(knot / _KNOTS, tail), 1 - tail) for knot in range(_KNOTS + 1)]
    return np.array([round(40_000 * math.exp(normal.inv_cdf(p))) for p in at], dtype=np.int64)


def _device_texts() -> list[str]:
    return [
        _json({"type": kind, "os": {"name": name, "version": version}})
        for (kind, name), versions in _PLATFORMS.items()
        for version in versions
    ]


def _tag_texts(pool: Sequence[tuple[str, str]], head: Sequence[tuple[str, str]]) -> list[str]:
    """Lists of one to four tags; those with a head hold one of its tags, somewhere."""
    texts = []
    for number in range(1024):
        size = 1 + number % 4
        chosen = [pool[(number * 7 + step * 11) % len(pool)] for step in range(size)]
        if head:
            chosen[number // 4 % size] = head[number % len(head)]
        texts.append(_json([{"k": key, "v": value} for key, value in chosen]))
    return texts


def _tables() -> _Tables:
    pool = [(key, value) for key, values in _TAGS.items() for value in values]
    return _Tables(
        origins=[
            f'"service":"{service}","node":"{service[:3]}-{node:02d}"'
            for service in _SERVICES
            for node in range(1, 17)
        ],
        countries=list(_COUNTRIES),
        targets=[f"/api/v2/{name}{action}" for action in _ACTIONS for name in _RESOURCES],
        methods=list(_METHODS),
        statuses=[str(status) for status in _STATUSES],
        before=[_json(before)[1:-1] for _, before, _ in _MESSAGES],
        after=[_json(after)[1:-1] for _, _, after in _MESSAGES],
        devices=_device_texts(),
        tags=_tag_texts(pool, ()),
        ab_tags=_tag_texts(pool, _AB_TAGS),
    )


def _listed(numbers: Ints) -> list[int]:
    listed: list[int] = numbers.tolist()
    return listed


def _texts(table: Sequence[str], indices: Ints) -> list[str]:
    return [table[index] for index in indices.tolist()]


class _Generator:
    """Makes blocks of events; the clock runs on from one block to the next."""

    def __init__(self, seed: int) -> None:
        self._dice = _Dice(seed)
        self._tables = _tables()
        self._now = START_MS
        self._services = _zipf(len(_SERVICES))
        self._countries = _zipf(len(_COUNTRIES))
        self._targets = _zipf(len(self._tables.targets))
        self._methods = _cumulated(list(_METHODS.values()))
        self._statuses = _cumulated(list(_STATUSES.values()))
        self._messages = _cumulated([weight for weight, _, _ in _MESSAGES])
        self._knots = _latency_knots()

    def block(self) -> list[str]:
        """The next block of events, one line each."""
        return [
            f'{{"ts":{ts},{origin},"country":"{country}","user_id":"u{user}",'
            f'"path":"{path}","method":"{method}","status":{status},'
            f'"latency_ms":{latency / 1000},"bytes":{size},"msg":"{msg}",'
            f'"device":{device},"tags":{tags}}}\n'
            for (
                ts, origin, country, user, path, method, status, latency, size, msg, device, tags,
            ) in zip(
                self._times(), self._origins(), self._country(), self._users(), self._paths(),
                self._method(), self._status(), self._latencies(), self._sizes(), self._msgs(),
                self._devices(), self._tag_lists(), strict=True,
            )
        ]  # fmt: skip

    def _times(self) -> list[int]:
        """Gaps of 0, 1, 1 or 2 ms: 1,000 events a second."""
        bits = self._dice.below(4)
        times = self._now + np.cumsum((bits & 1) + (bits >> 1))
        self._now = int(times[-1])
        return _listed(times)

    def _origins(self) -> list[str]:
        nodes = self._dice.below(16)
        return _texts(self._tables.origins, self._dice.weighted(self._services) * 16 + nodes)

    def _country(self) -> list[str]:
        return _texts(self._tables.countries, self._dice.weighted(self._countries))

    def _users(self) -> list[int]:
        ranks = self._dice.cubed(USERS)
        return _listed((ranks * _USER_STEP + _USER_SHIFT) % USERS)

    def _paths(self) -> list[str]:
        return _texts(self._tables.targets, self._dice.weighted(self._targets))

    def _method(self) -> list[str]:
        return _texts(self._tables.methods, self._dice.weighted(self._methods))

    def _status(self) -> list[str]:
        return _texts(self._tables.statuses, self._dice.weighted(self._statuses))

    def _latencies(self) -> list[int]:
        """In microseconds: between two neighbouring quantiles."""
        knot = self._dice.below(_KNOTS)
        part = self._dice.below(1 << 16)
        low = self._knots[knot]
        return _listed(low + ((self._knots[knot + 1] - low) * part >> 16))

    def _sizes(self) -> list[int]:
        return _listed(self._dice.cubed(200_000) + 64)

    def _msgs(self) -> list[str]:
        kinds = self._dice.weighted(self._messages).tolist()
        requests = self._dice.below(1 << 32).tolist()
        before, after = self._tables.before, self._tables.after
        return [
            f"{before[kind]}{request:08x}{after[kind]}"
            for kind, request in zip(kinds, requests, strict=True)
        ]

    def _devices(self) -> list[str]:
        return _texts(self._tables.devices, self._dice.below(len(self._tables.devices)))

    def _tag_lists(self) -> list[str]:
        """One in a hundred holds the key ab_test."""
        plain, tested = self._tables.tags, self._tables.ab_tags
        hundredth = self._dice.below(100).tolist()
        chosen = self._dice.below(len(plain)).tolist()
        return [
            tested[index] if part == 0 else plain[index]
            for part, index in zip(hundredth, chosen, strict=True)
        ]


def lines(count: int, seed: int = SEED) -> Iterator[str]:
    """Yield `count` events as lines of compact JSON, each with its line break."""
    generator = _Generator(seed)
    for start in range(0, count, _BLOCK):
        yield from generator.block()[: count - start]


def write(path: Path, count: int, seed: int = SEED) -> int:
    """Write `count` events to a file and return its size in bytes."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines(count, seed))
    return path.stat().st_size


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--count", default=1_000_000, show_default=True, type=click.IntRange(min=0))
@click.option("--seed", default=SEED, show_default=True, type=click.IntRange(min=0))
def main(path: Path, count: int, seed: int) -> None:
    """Write made-up events to PATH, one JSON object a line."""
    size = write(path, count, seed)
    click.echo(f"{path}: {count:,} events, {size:,} bytes", err=True)


if __name__ == "__main__":
    main()
