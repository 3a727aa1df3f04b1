"""A real service whose events are all wanted: the agent stays small, and its counts are true.

The limits here are generous, as other tests may run beside; `make bench-budget` measures.
"""

from __future__ import annotations

import pytest

from benchmarks.live.budget import COUNTED, EVERYTHING, asked, counts, offering
from publish_agent.settings import BYTES_PER_S, CPU_SHARE, MEMORY


@pytest.mark.timeout(90)
def test_a_query_that_wants_everything_costs_the_service_little() -> None:
    with offering(100_000) as (service, client):
        with asked(client, EVERYTHING):
            taken = service.measure(client, 3)
            agent = client.agents()[0]
        (figure,) = counts(service, client, 4)
    assert taken.kept_s < taken.offered_s / 2, f"it samples: {agent}"
    assert float(str(agent["cpu_share"])) < 3 * CPU_SHARE
    assert float(str(agent["rate"])) < 0.5
    assert taken.most_rss_bytes - taken.rss_bytes < MEMORY
    assert taken.sent_s < BYTES_PER_S
    assert figure.met, f"{COUNTED}: {figure.value}"
