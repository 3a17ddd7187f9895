"""Standard input, output and error: they are there, and are written to where that can be done."""

from __future__ import annotations

import errno
import os
import sys

import click

# Of a write, where no file is named: a full disk or quota, a closed descriptor, a device's fault.
UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO)


def complete_stdio() -> None:
    """Standard input, output and error are there, if only to refuse: a socket in their place would get what is printed.

    /dev/null is opened for the wrong direction, so that to write to a closed output fails as it always does.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDWR)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:                # a lower one is in use, since this one is closed
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w", errors="backslashreplace")


def say(text: str) -> None:
    """Prints, where that can be done: a full disk is no reason not to serve."""
    try:
        click.echo(text)
    except OSError:
        mute()


def tell(text: str) -> None:
    """Writes to standard error, where that can be done: the exit code says it too."""
    try:
        click.echo(text, err=True)
    except OSError:
        mute(2)


def mute(number: int = 1) -> None:
    """What is left to be written to standard output (or error) is given up: Python would fail at it at the end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)
