"""Text from outside as a terminal may be shown it: what moves a cursor, or says something to the terminal, does not."""

from __future__ import annotations


def printable(text: object) -> str:
    """The text with a `?` in the place of every character that is no letter, sign or space."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(each if each.isprintable() else "?" for each in shown)
