"""LIST: the values of a group, as they came."""

from __future__ import annotations

import pyarrow as pa

from mql.columnar.layout import Ints
from mql.exec.aggregates.collected_values import Keep
from mql.exec.aggregates.functions.first_last import Chosen


class Listed(Chosen):
    """LIST: all values, in order of arrival."""

    def __init__(self) -> None:
        super().__init__(Keep.ALL)

    def select(self, ids: Ints) -> Listed:
        """The values of some groups."""
        part = Listed()
        part._values = self._values.select(ids)
        return part

    def result(self) -> pa.Array:
        """A list for each group, null where it has no value."""
        return self._values.lists()
