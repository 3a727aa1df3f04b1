"""What must never leave a service: keys by name or pattern at any depth, and paths.

A rule is a name (`password`), a pattern (`*token*`; both in any case), or a path as MQL writes it
(`e['card']['number']`, `e['items'][*]['secret']`). The key and its value are gone before a query
can see or test them.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from mql.errors import QueryError
from mql.language.paths import AnyElement, Property, Step
from mql.values.object_fields import Fields

_WILD = re.compile(r"[*?]")
_PLAIN = re.compile(r"[ !#-\[\]-~]+")
"""ASCII that stands in JSON text as it is."""
_STEP = re.compile(r"""\[(?:'([ !#-&(-\[\]-~]+)'|"([ !#-&(-\[\]-~]+)"|\*)\]""")
_PLAIN_PATH = re.compile(rf"""e(?!\[\*)(?:{_STEP.pattern})+""")
"""A path whose steps are keys without escapes, and `[*]`: it can be read without the parser."""

_read = msgspec.json.decode
_write = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Redaction:
    """The rules, ready for use."""

    rules: tuple[str, ...] = ()
    _names: re.Pattern[str] | None = field(default=None, repr=False)
    _paths: tuple[tuple[Step, ...], ...] = field(default=(), repr=False)
    _hints: tuple[bytes, ...] = field(default=(), repr=False)

    def hides(self, steps: Sequence[Step]) -> bool:
        """Whether what a path leads to is always gone."""
        if self._names and any(isinstance(s, str) and self._names.match(s) for s in steps):
            return True
        return any(_leads_into(path, steps) for path in self._paths)

    def apply(self, data: bytes) -> bytes:
        """The JSON text of an event without what the rules name."""
        if self._hints:
            lower = data.lower()
            for hint in self._hints:
                if hint in lower:
                    break
            else:
                return data
        return _write(self.without(_read(data)))

    def without(self, event: object) -> object:
        """An event that was read from its JSON text, or is as if it were, without the same.

        `Fields` become lists, with None for what is gone.
        """
        return self._without(event, self._paths)

    def _without(self, value: object, paths: tuple[tuple[Step, ...], ...]) -> object:
        if isinstance(value, dict):
            names = self._names
            left = {
                key: self._without(inner, _below(paths, key))
                if inner.__class__ in _NESTED
                else inner
                for key, inner in value.items()
                if not (names and names.match(key)) and not _ends(paths, key)
            }
            return [left.get(key) for key in value] if value.__class__ is Fields else left
        if isinstance(value, list):
            below = _below(paths, None)
            return [
                None if _ends(paths, None) else self._without(element, below) for element in value
            ]
        return value


_NESTED = (dict, list, Fields)


def redaction(rules: Iterable[str]) -> Redaction:
    """Read rules. Raises ValueError for one that is none."""
    rules = tuple(dict.fromkeys(rule.strip() for rule in rules))
    paths = [_path(rule) for rule in rules if rule.startswith("e[")]
    names = [rule for rule in rules if not rule.startswith("e[")]
    if not all(rules):
        raise ValueError("a redaction rule is a key, a pattern or a path, not empty")
    patterns = [fnmatch.translate(name) for name in names]
    regex = re.compile("|".join(patterns), re.IGNORECASE | re.ASCII) if patterns else None
    hints = [_hint(max(_WILD.split(name), key=len)) for name in names if "[" not in name]
    hints += [_hint(next((s for s in reversed(path) if isinstance(s, str)), "")) for path in paths]
    known = b"" not in hints and len(hints) == len(rules)
    # A key may stand in the text with escapes where the event held JSON as it is.
    return Redaction(rules, regex, tuple(paths), (*hints, b"\\u") if known and hints else ())


def _hint(text: str) -> bytes:
    """What stands in the JSON text, in lower case, wherever a key matches; empty if unknown."""
    return text.lower().encode() if _PLAIN.fullmatch(text) else b""


def _path(rule: str) -> tuple[Step, ...]:
    if _PLAIN_PATH.fullmatch(rule):
        return tuple(one or other or AnyElement.ANY for one, other in _STEP.findall(rule))
    from mql.language.parser import parse  # noqa: PLC0415 - lark weighs, and few paths need it

    try:
        query = parse(f"select {rule} from events")  # noqa: S608 - not SQL
    except QueryError as error:
        raise ValueError(f"redact: {rule!r} is no path such as e['card']['number']") from error
    value = query.items[0].value
    if len(query.items) != 1 or not isinstance(value, Property):
        raise ValueError(f"redact: {rule!r} is no path such as e['card']['number']")
    if any(isinstance(step, int) for step in value.steps):
        raise ValueError(f"redact: {rule!r} has an index; write [*] for all elements")
    return value.steps


def _leads_into(path: tuple[Step, ...], steps: Sequence[Step]) -> bool:
    return len(path) <= len(steps) and all(
        wanted is AnyElement.ANY or wanted == step
        for wanted, step in zip(path, steps, strict=False)
    )


def _below(paths: tuple[tuple[Step, ...], ...], key: str | None) -> tuple[tuple[Step, ...], ...]:
    """What is left of the paths after a step to a key, or to an element (None)."""
    return tuple(p[1:] for p in paths if len(p) > 1 and (p[0] is AnyElement.ANY or p[0] == key))


def _ends(paths: tuple[tuple[Step, ...], ...], key: str | None) -> bool:
    return any(len(p) == 1 and (p[0] is AnyElement.ANY or p[0] == key) for p in paths)
