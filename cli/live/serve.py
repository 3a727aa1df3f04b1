"""`mql serve`: a source job, and with `--from` answers of others as streams of its own."""

from __future__ import annotations

import signal
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import click

from cli.live.connection import Connection
from cli.live.http import HttpOptions
from cli.live.http import start as start_http
from cli.live.job_log import show_log
from cli.memory import tune_for_days
from cli.terminal import tell_text
from mql.errors import MQLError
from publish_agent import Agent
from source_jobs import JobSource
from source_jobs.client import SourceJobError
from source_jobs.job import SourceJob
from source_jobs.security.keys import load_pair

_CPU_SHARE, _BYTES_PER_S = 1.0, 100_000_000
"""What passing on an answer may take: here is no service that has to come first."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Another source job, what to ask there, and the stream that its rows become."""

    address: str
    query: str
    stream: str
    server_key: str | None = None


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `mql serve` was asked."""

    agents: str
    clients: str
    key: Path | None = None
    allow_agents: Path | None = None
    allow_clients: Path | None = None
    insecure: bool = False
    upstreams: tuple[Upstream, ...] = ()
    http: HttpOptions | None = None


def serve(options: ServeOptions) -> int:
    """Serve until a signal ends it. Returns the exit code.

    Raises click.UsageError for settings that do not fit, MQLError and OSError.
    """
    for upstream in options.upstreams:
        key = options.key if upstream.server_key else None
        Connection(upstream.address, key, upstream.server_key).question(upstream.query)
    if options.http is not None:
        options.http.settings()
    try:
        job = SourceJob(
            options.agents,
            options.clients,
            keys=options.key,
            allow_agents=options.allow_agents,
            allow_clients=options.allow_clients,
            insecure=options.insecure,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:  # else it would be taken for one of the output
        raise SourceJobError(error.strerror or str(error)) from None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: job.stop())
    refused: list[MQLError] = []
    with ExitStack() as stack:
        for upstream in options.upstreams:
            _follow(upstream, options.key, job, stack, refused)
        tune_for_days()
        told = f"agents: {job.agents_address}\nclients: {job.clients_address}"
        if options.http is not None:
            clients = _reachable(job.clients_address)
            server = stack.enter_context(closing(start_http(options.http, clients, options.key)))
            told += f"\nhttp: {server.url}"
        tell_text(told)
        show_log()
        job.run()
    if refused:
        raise refused[0]
    return 0


def _follow(
    upstream: Upstream,
    key: Path | None,
    job: SourceJob,
    stack: ExitStack,
    refused: list[MQLError],
) -> None:
    """Publish the rows of another source job to this one, through an agent of its own.

    Where that would make a circle the job ends, and the error is put into `refused`.
    """

    def ended(source: JobSource) -> None:
        if source.error is not None and not source.started:
            refused.append(source.error)
            job.stop()

    server_key = load_pair(key).public.decode() if key else None
    agent = Agent(
        service=upstream.stream,
        source_jobs=[_reachable(job.agents_address)],
        key=str(key) if key else None,
        server_key=server_key,
        cpu_share=_CPU_SHARE,
        bytes_per_s=_BYTES_PER_S,
    )
    stack.enter_context(closing(agent))
    try:
        source = JobSource(
            upstream.address,
            upstream.query,
            upstream.stream,
            agent,
            ended=ended,
            key=key if upstream.server_key else None,
            server_key=upstream.server_key,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    stack.enter_context(source)


def _reachable(address: str) -> str:
    """The address as one connects to it from this machine.

    >>> _reachable("tcp://0.0.0.0:7766")
    'tcp://127.0.0.1:7766'
    """
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
