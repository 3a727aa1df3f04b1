"""Equality keys: plain columns whose values are equal where MQL calls the given values equal.

Grouping, joins and distinct aggregates compare them. A whole double equals its integer, and two
objects are equal whatever the order of their keys.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.arrays import from_numpy, to_numpy
from mql.columnar.build import null_where, variant
from mql.columnar.kinds import is_null, kinds_of
from mql.columnar.layout import VARIANT
from mql.columnar.read import doubles_of, map_texts, strings_of, texts_of, whole_doubles
from mql.values.json_values import canonical_text
from mql.values.kind import Kind


def keys_of(column: pa.Array) -> pa.Array:
    """A plain column whose values are equal exactly where MQL calls the given ones equal."""
    if column.type == pa.float64():
        values = doubles_of(column) + 0.0  # -0.0 is 0.0
        return from_numpy(values, is_null(column) if column.null_count else None)
    if column.type != VARIANT:
        return column
    kinds = kinds_of(column)
    ints, doubles = to_numpy(column.field("int")), to_numpy(column.field("double")) + 0.0
    whole = whole_doubles(doubles) & (kinds == Kind.DOUBLE)
    ints = np.where(whole, np.where(whole, doubles, 0).astype(np.int64), ints)
    kinds = np.where(whole, np.uint8(Kind.INT), kinds)
    texts = strings_of(column)
    nested = kinds >= Kind.LIST
    if nested.any():
        texts = kernels.if_else(from_numpy(nested), nested_keys(null_where(texts, ~nested)), texts)
    same = variant(kinds, ints, doubles, texts)
    if same.type != VARIANT:
        return keys_of(same)
    tagged = kernels.join(":", kernels.cast(from_numpy(kinds), pa.string()), texts_of(same))
    return null_where(tagged, kinds == Kind.NULL)


def nested_keys(column: pa.Array) -> pa.Array:
    """The canonical texts of lists and objects (of their JSON texts), equal if they are equal."""
    return map_texts(strings_of(column), canonical_text)
