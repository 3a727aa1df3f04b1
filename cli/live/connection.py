"""Where the source job is, and how to come to it: options, and the client they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from mql.errors import UnnamedStreamError

if TYPE_CHECKING:
    from source_jobs.client import Client, HttpClient
    from source_jobs.query.live_query import Question

TIMEOUT_S = 1.2
"""A person who asks gets an answer within two seconds, the start of the command included."""

DEFAULT = "tcp://127.0.0.1:7767"
_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Connection:
    """An address, and keys if CURVE is wanted."""

    address: str
    key: Path | None = None
    server_key: str | None = None

    def open(self) -> Client | HttpClient:
        """Connect. Raises SourceJobError within two seconds, and click.UsageError."""
        from source_jobs.client import SourceJobError, connect  # noqa: PLC0415 - imports zmq

        try:
            return connect(
                self.address, key=self.key, server_key=self.server_key, timeout_s=TIMEOUT_S
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        except SourceJobError as error:
            error.add_note("hint: start one with `mql serve`, or name another with --source-job")
            raise

    def question(self, text: str) -> Question:
        """A query to be asked there, planned. Raises QueryError, and click.UsageError.

        Only for a text that names no stream the source job is asked which there are.
        """
        from source_jobs.query.live_query import read_question  # noqa: PLC0415 - imports Arrow

        try:
            return read_question(text)
        except UnnamedStreamError as error:
            raise self._among_streams(error) from None

    def _among_streams(self, error: UnnamedStreamError) -> UnnamedStreamError:
        from source_jobs.client import SourceJobError  # noqa: PLC0415 - imports zmq
        from source_jobs.client.live_layout import among_streams  # noqa: PLC0415 - imports zmq

        try:
            with self.open() as client:
                return among_streams(error, client)
        except SourceJobError:
            return error


def connection_options(command: _F) -> _F:
    """Add the options of every command that talks to a source job."""
    for option in (
        click.option(
            "--server-key",
            metavar="FILE",
            envvar="MQL_SERVER_KEY",
            help="The source job's public key: its file, or the key itself. [MQL_SERVER_KEY]",
        ),
        click.option(
            "--key",
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="MQL_KEY",
            help="Your secret key, made by `mql keygen`, where the source job wants one. [MQL_KEY]",
        ),
        click.option(
            "--source-job",
            "address",
            metavar="ADDR",
            default=DEFAULT,
            envvar="MQL_SOURCE_JOB",
            help=f"The source job's address for clients; {DEFAULT} if left out. [MQL_SOURCE_JOB]",
        ),
    ):
        command = option(command)
    return command
