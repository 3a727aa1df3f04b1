"""Reading the `sample` clause: its short form, and the JSON with single quotes allowed."""

from __future__ import annotations

import json
import re

from mql.language.quoting import unquote
from mql.language.syntax import RandomSample, RateSample, SampleClause, StickySample

DEFAULT_FACTOR = 10_000
_STRATEGIES = ("RANDOM", "STICKY", "RPS")
_KEYS = {
    "RANDOM": {"strategy", "threshold", "factor", "extrapolate"},
    "STICKY": {"strategy", "keys", "salt", "threshold", "factor", "extrapolate"},
    "RPS": {"strategy", "threshold"},
}
_STRING = re.compile(r"'((?:\\.|[^'\\])*)'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)


def read_percent(text: str) -> RandomSample:
    """`2.5%`. Raises ValueError over 100%.

    >>> read_percent("2.5%")
    RandomSample(threshold=25, factor=1000, extrapolate=False)
    """
    whole, _, decimals = text.rstrip("% \t\r\n").partition(".")
    threshold, factor = int(whole + decimals or "0"), 100 * 10 ** len(decimals)
    if threshold > factor:
        raise ValueError(f"a sample is at most 100%, not {text}")
    return RandomSample(threshold, factor)


def read_sample(text: str) -> SampleClause:
    """A sample object. Raises ValueError with a message for the asker.

    >>> read_sample("{'strategy': 'RPS', 'threshold': 10}")
    RateSample(threshold=10)
    """
    try:
        settings = json.loads(_STRING.sub(_double_quoted, text))
    except (ValueError, RecursionError):
        example = "{'strategy': 'RANDOM', 'threshold': 200}"
        raise ValueError(f"a sample is an object such as {example}") from None
    strategy = str(settings.get("strategy", "")).upper()
    if strategy not in _STRATEGIES:
        raise ValueError(f"the strategy is one of {', '.join(_STRATEGIES)}")
    unknown = set(settings) - _KEYS[strategy]
    if unknown:
        known = ", ".join(sorted(_KEYS[strategy]))
        raise ValueError(f"{strategy} does not know {min(unknown)!r}; it takes {known}")
    threshold = _whole(settings, "threshold", None)
    extrapolate = settings.get("extrapolate", False)
    if not isinstance(extrapolate, bool):
        raise ValueError("extrapolate is true or false")  # noqa: TRY004 - a query is wrong
    if strategy == "RPS":
        return RateSample(threshold)
    factor = _whole(settings, "factor", DEFAULT_FACTOR)
    if factor == 0:
        raise ValueError("the factor is at least 1")
    if strategy == "RANDOM":
        return RandomSample(threshold, factor, extrapolate)
    keys = settings.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise ValueError("STICKY needs keys, a list of property names such as ['user_id']")
    return StickySample(tuple(keys), _whole(settings, "salt", 0), threshold, factor, extrapolate)


def _whole(settings: dict[str, object], key: str, default: int | None) -> int:
    value = settings.get(key, default)
    if value is None:
        raise ValueError(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"{key} is a whole number from 0 up, not {value!r}")
    return value


def _double_quoted(match: re.Match[str]) -> str:
    single = match[1]
    if single is None:
        return match[0]
    return json.dumps(unquote(single))
