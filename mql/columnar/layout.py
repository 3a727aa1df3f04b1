"""The layout of a batch: how events without a schema become Arrow columns.

A batch is a `pyarrow.RecordBatch`. A column is named by the path it holds, as
`mql.language.format.format_property` writes it; `*time` is the event's time in ms (int64), and
`*event`, only where a query selects `*`, the whole event: its JSON text or, of a table whose cells
are all plain, a struct of those. Names that begin with `*` cannot collide with a path.

A column whose values have one kind is `bool`, `int64`, `double` or `string` (`null` if it has no
value). Anything else is a VARIANT: a struct of the value's kind and one child for each
representation, of which the kind says which holds. Lists and objects are compact JSON text.
A path with `[*]` is a `list` column of such values. Doubles are always finite.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mql.values.kind import Kind

TIME = "*time"
EVENT = "*event"

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.uint8]


VARIANT = pa.struct(
    [
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("int", pa.int64(), nullable=False),
        pa.field("double", pa.float64(), nullable=False),
        pa.field("text", pa.string()),
    ]
)
"""`int` holds integers and booleans (0, 1); `text` strings and the JSON of lists and objects."""

PLAIN_KIND = {
    pa.null(): Kind.NULL,
    pa.bool_(): Kind.BOOL,
    pa.int64(): Kind.INT,
    pa.float64(): Kind.DOUBLE,
    pa.string(): Kind.STRING,
}
