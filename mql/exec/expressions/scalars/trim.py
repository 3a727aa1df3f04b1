"""`trim(x)`: a text without white space at its ends, which is what Unicode calls `White_Space`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mql.columnar import kernels
from mql.columnar.text_bytes import bytes_of
from mql.exec.expressions.scalars.arguments import texts_in

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What has the property; `str.strip` takes the separators from U+001C to U+001F, too."""

_FIRST_VISIBLE, _VISIBLE = np.uint8(ord("!")), 128 - ord("!")
"""The bytes that are no white space, nor a part of any: all of ASCII from a first one on."""


def trim(column: pa.Array) -> pa.Array:
    """The texts without white space at their ends."""
    texts = texts_in(column)
    return kernels.trim(texts, WHITE_SPACE) if _may_have_blanks(texts) else texts


def _may_have_blanks(texts: pa.Array) -> bool:
    """Whether a text has white space, or a character beyond ASCII, at an end."""
    data, offsets = bytes_of(texts)
    if not data.size:
        return False
    ends = data.take(offsets[:-1], mode="clip"), data[offsets[1:] - 1]
    # Bytes below the first wrap around. Where a text is empty, a neighbour's byte does no harm.
    return any(bool((each - _FIRST_VISIBLE >= _VISIBLE).any()) for each in ends)
