"""What names may be: the limits that an agent keeps, and that a source job holds it to."""

from __future__ import annotations

from mql.values.json_coercion import replace_surrogates

STREAMS_MAX = 1_000
"""Streams that one agent offers."""
NAME_CHARACTERS_MAX = 200
"""Characters of a stream's name, of an agent's, and of a key in a path that a catalogue tells."""
FIELDS_MAX = 200
"""Fields of one stream in a catalogue."""
DEPTH_MAX = 4
"""Levels of keys in the path of such a field."""
PATH_CHARACTERS_MAX = 2_000
"""Characters of such a path as MQL writes it: enough for the longest keys, all of them quotes."""
EXAMPLE_CHARACTERS_MAX = 100
"""Characters of an example."""
KINDS_MAX = 7
"""Kinds that a field may have."""


def is_stream_name(name: object) -> bool:
    """Whether a stream may be called so."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS_MAX:
        return False
    return name.isascii() or replace_surrogates(name) == name
