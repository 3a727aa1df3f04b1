"""A steady load for as long as one likes, with agents, queries and clients that come and go.

    python -m tests.soak --minutes 30

At the end: the memory of each lasting process does not grow, each has the descriptors and threads
that it had before the coming and going began, and one query's ledger over the whole time is what
the publishers recorded, to the event.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import click
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.processes import start, stop, until
from source_jobs.client import Client, HttpClient, connect
from tests.faults.account import Account, account, life_of
from tests.faults.fleet import Fleet, fleet
from tests.faults.watch import COUNTS, Watch
from tests.soak.churn import Churn
from tests.soak.sampling import History, memory_slope

MOST_KIB_A_MINUTE = 100.0
"""A process may grow by so much and count as flat: 6 MB an hour."""

_SAMPLE_S, _STEP_S, _REST_S = 2.0, 1.5, 3.0
_WARM_SHARE, _MOST_WARM_S = 0.25, 300.0
_COLUMNS = ("process", "memory MiB, first", "last", "KiB a minute", "descriptors", "threads")
_LASTING = "select count(*), p95(latency_ms), country from requests window 1 group by country"


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a soak found. `at_rest` are descriptors and threads of each, before and after."""

    histories: list[History]
    warm_s: float
    at_rest: dict[str, tuple[tuple[int, int], tuple[int, int]]]
    ledger: Account
    spared: Account
    """The same without the agents that were killed."""
    gaps: int
    churn: Churn

    def problems(self, most_kib_a_minute: float) -> list[str]:
        """What is not as it should be."""
        found = []
        for history in self.histories:
            grows = memory_slope(history.after(self.warm_s))
            if grows > most_kib_a_minute:
                found.append(f"{history.name} grows by {grows:.0f} KiB a minute")
        for name, (before, after) in self.at_rest.items():
            if after[0] > before[0] or after[1] > before[1]:
                found.append(f"{name} had {before} descriptors and threads, and has {after}")
        return found + self._ledger_problems()

    def _ledger_problems(self) -> list[str]:
        """To the event; where the answer had a gap, what is absent has to lie in it."""
        if not self.ledger.is_told:
            return [f"the ledger: {self.ledger}"]
        if not self.gaps and self.spared.absent != self.spared.lost:
            return [f"the ledger of those that were not killed: {self.spared}"]
        return []


def soak(
    folder: Path, minutes: float, services: int, rate: int, seed: int, tell: Callable[[str], None]
) -> Soaked:
    """Run it; `tell` hears, every few seconds, what has happened so far."""
    with ExitStack() as stack:
        made = stack.enter_context(fleet(folder, {"near": services}, rate, None))
        client = connect(made.clients_address, timeout_s=30)
        stack.callback(client.close)
        made.wait_known(client)
        lasting = start(
            "cli", "query", _LASTING, "--source-job", client.address, "--out", "/dev/null"
        )
        stack.callback(stop, lasting)
        until(lambda: len(client.queries()) == 1, "the lasting client's query runs")
        histories = [History("source job", made.job.pid), History("client", lasting.pid)]
        histories += [History(name, s.pid) for name, s in made.services.items()]
        return _soak(made, client, histories, minutes * 60, seed, tell)


def _soak(
    made: Fleet,
    client: Client | HttpClient,
    histories: list[History],
    seconds: float,
    seed: int,
    tell: Callable[[str], None],
) -> Soaked:
    made.pause(paused=True)
    lasting = list(made.services.values())
    churn = Churn(made, client, seed)
    with Watch(client, COUNTS) as counts:
        until(lambda: _runs_everywhere(client, counts, len(lasting)), "all agents run the query")
        first = {service.pid: service.record.published for service in lasting}
        made.pause(paused=False)
        counts.wait_whole(len(lasting), 30)
        rest_before = _at_rest(histories)
        began = monotonic()
        _run(began + seconds, began, histories, churn, tell)
        churn.end()
        made.pause(paused=True)
        counts.wait_whole(len(lasting), 30, windows=5)
        sleep(_REST_S)
        rest_after = _at_rest(histories)
    spared, killed = (
        [life_of(s, first.get(s.pid), counts.seen) for s in lives]
        for lives in ((*lasting, *churn.left), churn.killed)
    )
    ledger, of_spared = (
        account(lives, counts.seen, len(lasting), counts.unseen_late)
        for lives in (spared + killed, spared)
    )
    gaps = sum(each.window.gap is not None for each in counts.seen)
    at_rest = {name: (before, rest_after[name]) for name, before in rest_before.items()}
    warm_s = min(seconds * _WARM_SHARE, _MOST_WARM_S)
    return Soaked(histories, warm_s, at_rest, ledger, of_spared, gaps, churn)


def _run(
    end: float, began: float, histories: list[History], churn: Churn, tell: Callable[[str], None]
) -> None:
    sample_at = step_at = began
    while (now := monotonic()) < end:
        if now >= sample_at:
            sample_at += _SAMPLE_S
            for history in histories:
                history.sample(now - began)
            tell(", ".join(f"{number} {what}" for what, number in sorted(churn.done.items())))
        if now >= step_at:
            step_at = now + _STEP_S
            churn.step()
        sleep(0.05)


def _at_rest(histories: list[History]) -> dict[str, tuple[int, int]]:
    """Descriptors and threads of each process now."""
    found = {}
    for history in histories:
        history_now = History(history.name, history.pid)
        history_now.sample(0)
        last = history_now.samples[-1]
        found[history.name] = last.descriptors, last.threads
    return found


def _runs_everywhere(client: Client | HttpClient, counts: Watch, agents: int) -> bool:
    running = [q for q in client.queries() if q["query"] == counts.query_id]
    states = [a["state"] for q in running for a in q["agents"]]  # type: ignore[attr-defined]
    return states.count("runs") >= agents


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="How long.")
@click.option("--services", default=8, show_default=True, help="Services that last.")
@click.option("--rate", default=100, show_default=True, help="Events a second of each service.")
@click.option("--seed", default=1, show_default=True, help="Of what comes and goes.")
def main(minutes: float, services: int, rate: int, seed: int) -> None:
    """Soak, print what was found, and fail if something grew or was lost untold."""
    console = Console(stderr=True)
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("", total=minutes * 60 / _SAMPLE_S)
        soaked = soak(
            Path(folder), minutes, services, rate, seed,
            lambda text: progress.update(task, advance=1, description=text),
        )  # fmt: skip
    _print(soaked)
    problems = soaked.problems(MOST_KIB_A_MINUTE)
    for problem in problems:
        console.print(problem)
    sys.exit(1 if problems else 0)


def _print(soaked: Soaked) -> None:
    table = Table(*_COLUMNS, box=MARKDOWN)
    for history in soaked.histories:
        samples = history.after(soaked.warm_s)
        if not samples:
            continue
        (fds, threads), (fds_after, threads_after) = soaked.at_rest[history.name]
        table.add_row(
            history.name,
            f"{samples[0].memory_kib / 1024:.1f}",
            f"{samples[-1].memory_kib / 1024:.1f}",
            f"{memory_slope(samples):+.1f}",
            f"{fds} → {fds_after}",
            f"{threads} → {threads_after}",
        )
    Console(width=110).print(table)
    ledger, churn = soaked.ledger, soaked.churn
    click.echo(", ".join(f"{number} {what}" for what, number in sorted(churn.done.items())))
    click.echo(
        f"{ledger.published:,} events published, {ledger.seen:,} in the ledger; "
        f"absent {ledger.absent:,}, of which {ledger.lost:,} reported by number and "
        f"{soaked.spared.absent:,} not of the {len(churn.killed)} agents that were killed; "
        f"{soaked.gaps} gaps in the answer"
    )


if __name__ == "__main__":
    main()
