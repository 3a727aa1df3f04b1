"""The door through which text reaches a person: each line is made printable here.

The rows of a query go through `cli.output.destination`, cell by cell. Nothing else in `cli` writes
to standard output or standard error.
"""

from __future__ import annotations

import sys

import click

from cli.printable import printable, printable_lines


def tell(*lines: str) -> None:
    """Write lines to standard output."""
    _write(lines, err=False)


def tell_text(text: str) -> None:
    """Write a text of ours, whose line breaks are meant, to standard output."""
    click.echo(printable_lines(text.removesuffix("\n")))


def warn(*lines: str) -> None:
    """Write lines to standard error."""
    _write(lines, err=True)


def complain(message: str) -> None:
    """Write a message to standard error: one line, whatever names it has in it."""
    warn(f"mql: {message}")


def redraw(text: str = "") -> None:
    """Put a line in the place of the terminal's last one, on standard error."""
    sys.stderr.write("\r\x1b[K" + printable(text))
    sys.stderr.flush()


def _write(lines: tuple[str, ...], *, err: bool) -> None:
    click.echo("\n".join(map(printable, lines)), err=err)
