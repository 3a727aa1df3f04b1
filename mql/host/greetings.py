"""What it means that a greeting of ZeroMQ failed: its keys are refused, or nothing answered."""

from __future__ import annotations

import errno

import zmq

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
"""What a socket's monitor tells of greetings that failed."""


def is_refusal(event: int, number: int) -> bool:
    """Whether a greeting failed as those do that a source job refuses, by the event's number.

    Without a detail that is the system's error: another one than that of a closed connection is
    what comes when nothing answers in time, or something in between cuts the connection.
    """
    return event != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL or number == errno.EPIPE
