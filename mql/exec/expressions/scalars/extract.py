"""`extract`: what the first group of an RE2 pattern holds, or the whole match."""

from __future__ import annotations

import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy
from mql.columnar.build import null_where
from mql.columnar.kinds import mask_of
from mql.exec.expressions.scalars.by_value import only_texts
from mql.language.regex import GROUP, with_one_group


def extract(column: pa.Array, pattern: str) -> pa.Array:
    """Of each text what the pattern finds first; null without a match, and for what is no text.

    Null also where the pattern's group took no part in the match.
    """
    texts, searched = only_texts(column), with_one_group(pattern)
    found = kernels.extract_regex(texts, searched)
    values = found.field(GROUP)
    if found.null_count:
        values = null_where(values, mask_of(kernels.is_null(found)))
    empty = mask_of(kernels.compare("equal", values, ""))
    if not empty.any():
        return values
    spans = kernels.extract_regex_span(kernels.filter(texts, from_numpy(empty)), searched)
    empty[empty] = mask_of(kernels.is_null(spans.field(GROUP)))
    return null_where(values, empty)
