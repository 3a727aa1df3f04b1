"""The output row's columns: of each event, or of each window's aggregates."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from mql.columnar.layout import EVENT, TIME
from mql.exec.expressions.frame import Frame
from mql.exec.expressions.scalars.choice import coalesce
from mql.exec.operator import WINDOW, Block, PerBlock
from mql.exec.windows.event_time import SEEN
from mql.planner.fields import prefix_name
from mql.planner.logical import Output


class SelectOperator(PerBlock):
    """Computes outputs and passes on, as they are, the columns that later steps know by name."""

    def __init__(
        self,
        outputs: tuple[Output, ...],
        now_ms: Callable[[], int],
        *,
        everything: bool = False,
        prefixes: tuple[str, ...] = (),
        frame: type[Frame] = Frame,
    ) -> None:
        self._frame = frame
        self._outputs = outputs
        self._now_ms = now_ms
        self._passed = [TIME, SEEN, WINDOW, *map(prefix_name, prefixes), *[EVENT] * everything]

    def apply(self, block: Block) -> Block:
        """The block with the output columns instead of the events'."""
        frame = self._frame(block.batch, self._now_ms())
        names = block.batch.schema.names
        columns = {name: block.batch.column(name) for name in self._passed if name in names}
        for output in self._outputs:
            columns[output.name] = coalesce(*[frame.evaluate(v) for v in output.values])
        return block.with_batch(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)))
