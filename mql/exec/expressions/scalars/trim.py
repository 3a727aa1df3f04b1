"""`trim(x)`: a text without white space at its ends, which is what Unicode calls `White_Space`."""

from __future__ import annotations

import pyarrow as pa

from mql.columnar import kernels
from mql.exec.expressions.scalars.arguments import texts_in

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What has the property. `str.strip` takes the separators from U+001C to U+001F, too."""


def trim(column: pa.Array) -> pa.Array:
    """The texts without white space at their ends."""
    return kernels.trim(texts_in(column), WHITE_SPACE)
