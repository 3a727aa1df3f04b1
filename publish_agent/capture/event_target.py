"""The one protocol of `publish`: what an event is handed to, on the thread of its caller."""

from __future__ import annotations

from typing import Protocol

from publish_agent.capture.event_buffer import Status


class EventTarget(Protocol):
    """Takes an event, or not, and returns what became of it.

    It is called with whatever `publish` was given, on the thread that publishes: by many threads at
    once, from signal handlers and from finalizers. It never blocks, waits for a lock or does I/O,
    and never holds on to the event: it copies what is needed. It never raises what an event holds
    or does; what a signal handler of the host raises meanwhile goes on (`mql.host.interruption`).

    Each of these does its part of an event, and hands it on to one that is further down:

    - `Stream.publish` (`native/publish.c`, else `screen/publisher.py`): the entry, and counts the
      events of a stream that has no target.
    - `Peek.tap` (`profile_tap.py`): learns from the first event.
    - the gate (`native/publish.c`, else code of `screen/screen.py`): counts what no query can want.
    - the copier (`native/copy.c`, else the same code): copies a few values into `Columns`.
    - the sampler (`native/publish.c`, else a part of the last one): leaves out what the dice say.
    - `Intake.keep` (`event_buffer.py`): sorts, samples and encodes, and puts it into the buffer.

    Two stand for a target that is not there: that of an agent that is closed, which always returns
    the same, and that of one whose thread has not begun, which starts it (`agent.py`).
    """

    def __call__(self, event: object, /) -> Status:
        """Take an event, or not."""
