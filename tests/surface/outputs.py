"""What programs read of `mql`: the keys of its lines, the ledger, and its exit codes."""

from __future__ import annotations

from tests.surface import inside
from tests.surface.live import seen
from tests.surface.record import keys_of, text_of


def outputs() -> str:
    found = seen()
    sections = {f"{name}": sorted(keys) for name, keys in found.outputs.items()}
    codes = sorted((code, name) for name, code in found.codes.items())
    sections["exit codes"] = [f"{code}: {name}" for code, name in codes]
    gone = (inside.Gone("a@b", 1),)
    known = inside.as_data(inside.Completeness(0, 1000, gone=gone))
    sections["a completeness as JSON, everywhere"] = sorted(keys_of(known))
    return text_of("Programs that run `mql` read these keys, and these exit codes.", sections)
