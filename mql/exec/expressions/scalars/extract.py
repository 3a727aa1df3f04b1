"""`extract(x, /regex/)`: the first group of the first place where a text matches, or all of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import to_numpy
from mql.columnar.kinds import is_null
from mql.columnar.text_bytes import bytes_of, texts_of_bytes
from mql.exec.expressions.scalars.arguments import texts_in
from mql.language import regex


def extract(column: pa.Array, pattern: str) -> pa.Array:
    """What the pattern finds in each text; null without a match, or if the group took no part."""
    texts = texts_in(column)
    if texts.null_count == len(texts):
        return texts
    found = kernels.regex_spans(texts, regex.first_group(pattern))
    spans = found.field(0)
    null = is_null(found) | is_null(spans)
    places, lengths = to_numpy(kernels.fill_null(spans.values, 0)).astype(np.int64).reshape(-1, 2).T
    data, offsets = bytes_of(texts)
    return texts_of_bytes(data, offsets[:-1] + places, lengths, null if null.any() else None)
