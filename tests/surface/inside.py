"""All that the recorded surface and the recorded frames need of the inside of the project.

Nothing else in `tests/surface` and `tests/wire` names a module that users do not import: who moves
files edits the imports here, and no recorded text.
"""

from __future__ import annotations

from cli.main import main as COMMAND  # noqa: N812 - the root of all commands
from mql.columnar.layout import EVENT, TIME
from mql.columnar.read import to_python
from mql.exec.limits import Limits as HeldLimits
from mql.ledger import Completeness, Exactness, Gone, Tally, as_data
from mql.wire import codec, messages, names, upstream
from mql.wire.payload import read_batch, read_rows
from publish_agent.capture.upstream_answer import Upstream
from publish_agent.protocol.agent_state import AgentState
from publish_agent.protocol.identity import Identity
from publish_agent.runtime.host_notes import Line as AgentLine
from publish_agent.settings import Settings as AgentSettings
from publish_agent.settings import read_settings as read_agent_settings
from publish_agent.stream import DatedEntry, Stream
from source_jobs.api import formats
from source_jobs.api.app import ROUTES
from source_jobs.api.auth.tokens import PREFIX as TOKEN_PREFIX
from source_jobs.api.auth.tokens import Scope, Token, TokenBook
from source_jobs.api.errors import _KINDS as ERROR_KINDS
from source_jobs.api.errors import ErrorBody
from source_jobs.api.feeds.events import Beat, Closing, Lost, Numbered, Opening, Piece, Said
from source_jobs.api.formats.data import events_of
from source_jobs.api.routes.openapi import document as openapi_document
from source_jobs.api.settings import Limits as HttpLimits
from source_jobs.api.settings import Settings as HttpSettings
from source_jobs.api.telemetry.logs import JsonFormatter
from source_jobs.api.telemetry.metrics import Metrics as ServerMetrics
from source_jobs.client.actions import Deliver, Gap, Transmit
from source_jobs.client.actions import Piece as ClientPiece
from source_jobs.client.client_state import ClientState
from source_jobs.client.window import LiveWindow
from source_jobs.job import SourceJob
from source_jobs.protocol.job_state import JobState
from source_jobs.protocol.outbox import Side
from source_jobs.settings import Settings as JobSettings

__all__ = [
    "COMMAND",
    "ERROR_KINDS",
    "EVENT",
    "ROUTES",
    "TIME",
    "TOKEN_PREFIX",
    "AgentLine",
    "AgentSettings",
    "AgentState",
    "Beat",
    "ClientPiece",
    "ClientState",
    "Closing",
    "Completeness",
    "DatedEntry",
    "Deliver",
    "ErrorBody",
    "Exactness",
    "Gap",
    "Gone",
    "HeldLimits",
    "HttpLimits",
    "HttpSettings",
    "Identity",
    "JobSettings",
    "JobState",
    "JsonFormatter",
    "LiveWindow",
    "Lost",
    "Numbered",
    "Opening",
    "Piece",
    "Said",
    "Scope",
    "ServerMetrics",
    "Side",
    "SourceJob",
    "Stream",
    "Tally",
    "Token",
    "TokenBook",
    "Transmit",
    "Upstream",
    "as_data",
    "codec",
    "events_of",
    "formats",
    "messages",
    "names",
    "openapi_document",
    "read_agent_settings",
    "read_batch",
    "read_rows",
    "to_python",
    "upstream",
]
