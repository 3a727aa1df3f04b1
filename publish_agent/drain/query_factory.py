"""What runs the queries of an agent. Its import brings pyarrow, NumPy and lark.

Nothing that an agent without a query needs imports this module: `LateFactory` does, with the first
subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from mql.columnar.dice import Dice
from mql.language.syntax import Property
from mql.wire.messages import Subscribe
from mql.wire.payload import write_batch
from publish_agent.capture.large_values import Learned
from publish_agent.capture.redaction import Redaction
from publish_agent.drain.decode import Decoder
from publish_agent.drain.generation import Generation
from publish_agent.drain.payloads import Load, pack
from publish_agent.drain.plan.agent_plan import planned
from publish_agent.drain.subscription import Built, Running
from publish_agent.drain.tools import Tools
from publish_agent.drain.verify import Catch
from publish_agent.screen.screen import Screener


class QueryFactory:
    """Makes subscriptions, their generations and their payloads; one for an agent."""

    def __init__(self, tools: Tools, rules: Redaction, seed: int) -> None:
        self._tools = tools
        self._screener = Screener(rules, tools.provenance)
        self._dice = Dice(seed)

    def subscription(
        self, link: int, message: Subscribe, now_ms: Callable[[], int], seed: int, built: Built
    ) -> Running:
        """A query of a source job. Raises QueryError."""
        return Running(link, message, self._screener, now_ms, seed, built)

    def decoder(self) -> Decoder:
        """A decoder, for all generations of a stream."""
        return Decoder(self._tools.provenance)

    def generation(
        self, members: Sequence[Running], decoder: Decoder, learned: dict[Property, Learned]
    ) -> Generation:
        """The generation of the present subscriptions of a stream."""
        means = self._screener, self._dice
        return Generation(members, decoder, self._tools, learned, *means)

    def pack(self, catch: Catch, now_ms: int) -> Iterator[Load]:
        """The payloads of what a drain has caught."""
        return pack(catch, now_ms)


def warm_up() -> None:
    """Plan a query, since the first one reads the grammar's tables; and have Arrow write a batch.

    For that Arrow makes what has to be there before `exit` is told to wait (`come_first_at_exit`).
    """
    planned("select a from s where b == 1", "")
    column = pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(bytes(8))])
    write_batch(pa.RecordBatch.from_arrays([column], ["a"]))
