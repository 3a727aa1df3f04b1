"""How a connection whose other side is gone is noticed, and what ZeroMQ's heartbeats would cost."""

from __future__ import annotations

import zmq

_PROBES = 3


def keep_alive(socket: zmq.Socket[bytes], silence_s: float) -> None:
    """Have the kernel give up connections over which nothing comes through for `silence_s`.

    It asks the other side's kernel while nothing is sent, and counts from the first byte that is
    not acknowledged while something is; else it would go on trying, ever more seldom, when a
    network is back. A program that stands still while its kernel answers is not noticed, but where
    it reads so little that no more can be sent.

    Not by ZeroMQ's own heartbeats: libzmq 4.3 ends the process ("Assertion failed: !_io_error", or
    "_input_stopped") where a connection fails, or a heartbeat is due, while the mark for receiving
    is reached. To be called before the socket is connected or bound.
    """
    between_s = max(1, round(silence_s / _PROBES))
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = socket.tcp_keepalive_intvl = between_s
    socket.tcp_keepalive_cnt = _PROBES
    socket.setsockopt(zmq.TCP_MAXRT, int(silence_s * 1_000))  # as TCP_USER_TIMEOUT, on Linux
