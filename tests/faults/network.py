"""A network that can be hurt, between some services and the source job.

`Namespace` is a real one: a network namespace, a pair of veth interfaces, iptables to lose packets
and tc's netem to delay them. It needs root, Linux, and for delays a kernel with netem. `Relay` is
a TCP relay of our own, which any user can run anywhere: it delays, holds up and cuts connections,
but knows no packets, and so loses none. `kinds` says which of them can be had here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.relay import Relay

_NET = "10.199.{}.{}"
"""Another one for each process that makes a namespace."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace that reaches this machine over one pair of interfaces."""

    name: str
    near_address: str
    """This machine, as seen from within."""
    delays: bool = False
    """Whether the kernel can delay packets."""

    @property
    def through(self) -> tuple[str, ...]:
        """The command that runs another one within."""
        return ("ip", "netns", "exec", self.name)

    def partition(self) -> None:
        """Drop every packet, in both directions: nobody hears that a connection is gone."""
        for chain in ("INPUT", "OUTPUT"):
            _run(*self.through, "iptables", "-A", chain, "-j", "DROP")

    def lose(self, share: float) -> None:
        """Drop a share of the packets, in both directions."""
        rule = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        for chain in ("INPUT", "OUTPUT"):
            _run(*self.through, "iptables", "-A", chain, *rule)

    def delay(self, milliseconds: int, jitter: int) -> None:
        """Delay what leaves in either direction, by netem."""
        netem = ("netem", "delay", f"{milliseconds}ms", f"{jitter}ms")
        _run(*self.through, "tc", "qdisc", "add", "dev", _inner(self.name), "root", *netem)
        _run("tc", "qdisc", "add", "dev", _outer(self.name), "root", *netem)

    def heal(self) -> None:
        """All is as it was."""
        _run(*self.through, "iptables", "-F")
        if self.delays:
            delete = ("tc", "qdisc", "del", "dev")
            _run(*self.through, *delete, _inner(self.name), "root", check=False)
            _run(*delete, _outer(self.name), "root", check=False)


@contextmanager
def namespace() -> Iterator[Namespace | None]:
    """A namespace for as long as the block lasts; None where none can be made."""
    number = os.getpid() % 250
    name, near, far = f"mql{number}", _NET.format(number, 1), _NET.format(number, 2)
    if os.name != "posix" or os.geteuid() != 0 or not all(map(shutil.which, ("ip", "iptables"))):
        yield None
        return
    try:
        made = _make(name, near, far)
    except subprocess.CalledProcessError:
        _unmake(name)
        yield None
        return
    try:
        yield made
    finally:
        _unmake(name)


def _make(name: str, near: str, far: str) -> Namespace:
    inner, outer = _inner(name), _outer(name)
    inside = ("ip", "-n", name)
    _run("ip", "netns", "add", name)
    _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
    _run("ip", "address", "add", f"{near}/30", "dev", outer)
    _run("ip", "link", "set", outer, "up")
    _run(*inside, "address", "add", f"{far}/30", "dev", inner)
    for device in ("lo", inner):
        _run(*inside, "link", "set", device, "up")
    _run("ip", "netns", "exec", name, "iptables", "-F")
    probe = ("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "lo", "root", "netem")
    delays = shutil.which("tc") is not None and _run(*probe, "delay", "1ms", check=False) == 0
    return Namespace(name, near, delays)


def _unmake(name: str) -> None:
    _run("ip", "link", "del", _outer(name), check=False)
    _run("ip", "netns", "del", name, check=False)


def _inner(name: str) -> str:
    return f"{name}i"


def _outer(name: str) -> str:
    return f"{name}o"


def _run(*command: str, check: bool = True) -> int:
    return subprocess.run(command, check=check, capture_output=True, timeout=10).returncode


@dataclass(frozen=True, slots=True)
class Networks:
    """What can be hurt here; `namespace` is None where none can be made."""

    namespace: Namespace | None
    relay: Relay

    def __str__(self) -> str:
        """In words, for the head of a table."""
        if self.namespace is None:
            return "our own TCP relay only (no network namespace can be made here)"
        loss = "network namespace, loss and partition by iptables"
        by = "netem" if self.namespace.delays else "our own TCP relay (the kernel has no netem)"
        return f"{loss}, delay by {by}"

    def heal(self) -> None:
        """All is as it was."""
        if self.namespace is not None:
            self.namespace.heal()
        self.relay.heal()
