"""The HTTP server beside a source job: its options, and a clear word where its extra is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cli.live.connection import DEFAULT
from mql.errors import MQLError

if TYPE_CHECKING:
    from source_jobs.api.server import HttpProcess
    from source_jobs.api.settings import Settings

_FILE = click.Path(dir_okay=False, path_type=Path)
_F = TypeVar("_F", bound=Callable[..., object])
_NEEDED = ("starlette", "uvicorn", "prometheus_client", "websockets")
"""What the extra `http` brings, as it is imported."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What was asked of the HTTP server."""

    address: str
    tokens: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    cors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    audit: Path | None = None
    log_json: bool = False
    insecure: bool = False

    def settings(self) -> Settings:
        """The same for the server. Raises click.UsageError, and MQLError without the extra."""
        check_extra()
        from source_jobs.api.settings import Settings, read_address  # noqa: PLC0415

        try:
            host, port = read_address(self.address)
            settings = Settings(
                host,
                port,
                self.tokens,
                self.certificate,
                self.private_key,
                self.cors,
                self.names,
                self.audit,
                insecure=self.insecure,
            )
            settings.check()
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return settings


def http_options(command: _F) -> _F:
    """Add the options of every command that runs the HTTP server, but its address."""
    for option in (
        click.option("--log-json", is_flag=True, help="Log lines of JSON, each request too."),
        click.option(
            "--audit",
            metavar="FILE",
            type=_FILE,
            help="Write who asked what, and how much they got, to FILE; else to standard error.",
        ),
        click.option(
            "--name", "names", metavar="HOST", multiple=True, help="Another name of this server."
        ),
        click.option(
            "--cors", metavar="ORIGIN", multiple=True, help="Let the pages of an origin ask."
        ),
        click.option("--tls-key", metavar="FILE", type=_FILE, help="The certificate's secret key."),
        click.option("--tls-cert", metavar="FILE", type=_FILE, help="A certificate, for https."),
        click.option(
            "--tokens",
            metavar="FILE",
            type=_FILE,
            envvar="MQL_TOKENS",
            help="Let in only those with a token, made by `mql token create`. [MQL_TOKENS]",
        ),
    ):
        command = option(command)
    return command


def check_extra(needed: Sequence[str] = _NEEDED) -> None:
    """Raise MQLError, with what to do, if what the server needs is not installed."""
    from importlib.util import find_spec  # noqa: PLC0415 - not for --help

    missing = [name.replace("_", "-") for name in needed if find_spec(name) is None]
    if missing:
        raise MQLError(
            f"HTTP needs the extra `http` of this package, of which {', '.join(missing)} is not"
            f" installed\nhint: pip install {' '.join(missing)}"
        )


def start(options: HttpOptions, clients: str, key: Path | None) -> HttpProcess:
    """Run the server in a process of its own. Raises click.UsageError and MQLError."""
    settings = options.settings()
    from source_jobs.api.server import Upstream, start_process  # noqa: PLC0415
    from source_jobs.security.keys import load_pair  # noqa: PLC0415

    if options.log_json:
        from source_jobs.api.telemetry import logs  # noqa: PLC0415

        logs.set_up(as_json=True, audit=None)  # the source job's own lines too
    server_key = load_pair(key).public.decode() if key else None
    try:
        return start_process(
            Upstream(clients or DEFAULT, key, server_key), settings, log_json=options.log_json
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:  # else it would be taken for one of the output
        raise MQLError(error.strerror or str(error)) from None
