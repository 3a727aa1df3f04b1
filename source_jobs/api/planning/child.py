"""A process that plans one query after another: texts on standard input, outlines on its output.

It ends when its input does, and so with the server that has started it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import BinaryIO

from mql.errors import QueryError
from source_jobs.api.planning.outline import outline_of
from source_jobs.api.planning.planned import ENCODING, LENGTH, Planned, wrong


def plan_all(texts: BinaryIO, planned: BinaryIO) -> None:
    """Plan what comes, until nothing more does."""
    while len(length := texts.read(LENGTH.size)) == LENGTH.size:
        (size,) = LENGTH.unpack(length)
        data = pickle.dumps(_planned(texts.read(size).decode(*ENCODING)))
        planned.write(LENGTH.pack(len(data)) + data)
        planned.flush()


def _planned(text: str) -> Planned:
    try:
        return outline_of(text)
    except QueryError as error:
        return wrong(error)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who started the server
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as planned:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what else is printed is no outline
        plan_all(sys.stdin.buffer, planned)
