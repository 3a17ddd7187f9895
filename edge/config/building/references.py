"""Secrets: `env:NAME` and `file:path` are looked up here; a plain value is used, with a warning."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from edge.config.report import Report
from edge.config.sections.maximums import MAX_SECRET
from edge.strict_yaml import Path as Key
from edge.values.snapshot import Secret

MASK = "***"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWN = re.compile(r"[A-Z_][A-Z0-9_]*")        # certainly the name of a variable, and no part of a key
# How a shell, and other gateways and agents, name a variable.
_FOREIGN = re.compile(r"(?:\$\{?(?:env:)?|\{env:|os\.environ/)([A-Za-z_]\w*)\}?", re.ASCII)
# Mounts made for secrets: others than their owner may read them, but nobody else is in there.
_MOUNTS = ("/run/secrets/", "/var/run/secrets/")


def is_reference(text: str) -> bool:
    """Whether a text says where a secret is, and so may be shown."""
    return text.startswith(("env:", "file:"))


def _slips(word: str) -> str:
    """A pattern of a word in which one letter is another, missing or too many, or two have changed places."""
    ends = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    return "|".join([*(f"{begin}[a-z]?{rest[1:]}" for begin, rest in ends),
                     *(f"{begin}[a-z]{rest}" for begin, rest in ends),
                     *(f"{begin}{rest[1]}{rest[0]}{rest[2:]}" for begin, rest in ends[:-2])])


_ALMOST = {scheme: re.compile(rf"(?:{_slips(scheme)})[:.=]\s*(.*)", re.IGNORECASE) for scheme in ("env", "file")}


def meant(text: str) -> str | None:
    """The reference that a text was probably to be, which is almost one; None where it is not."""
    for scheme, almost in _ALMOST.items():
        if found := almost.fullmatch(text):
            return f"{scheme}:{found[1]}" if _SHOWN.fullmatch(found[1]) else f"{scheme}:..."
    return None


class Secrets:
    """Looks references up; `folder` is the configuration's, for relative paths."""

    def __init__(self, report: Report, folder: Path, environ: Mapping[str, str]) -> None:
        self._report = report
        self._folder = folder
        self._environ = environ

    def get(self, given: SecretStr, key: Key, *, plain: bool = False) -> Secret | None:
        """The secret; None after a problem was noted. `plain`: a value in the file needs no warning."""
        text = given.get_secret_value()
        if text.startswith("env:"):
            value = self._variable(text[4:], key)
        elif text.startswith("file:"):
            value = self._file(text[5:], key)
        else:
            value = self._plain(text, key, plain)
        if value is None:
            return None
        if not value.isprintable() or value != value.strip():
            self._report.problem(key, "holds a line break, a control character or blanks at an end",
                                 "check what was pasted: a secret is one line")
            return None
        if len(value.encode()) > MAX_SECRET:
            self._report.problem(key, f"is longer than {MAX_SECRET} bytes", "check what was pasted")
            return None
        return Secret(value)

    def _variable(self, name: str, key: Key) -> str | None:
        if not _NAME.fullmatch(name):
            self._report.problem(key, "env: is not followed by the name of a variable",
                                 "for example env:OPENAI_API_KEY")
            return None
        value = self._environ.get(name)
        if not value:
            self._report.problem(key, f"the variable {name} is {'not set' if value is None else 'empty'}",
                                 f"export {name}=..., or use file:/path instead")
            return None
        return value

    def _file(self, name: str, key: Key) -> str | None:
        path = self._folder / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SECRET + 2:
                self._report.problem(key, f"{path} is no file of one line",
                                     "name a file that holds the secret alone")
                return None
            value = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            self._report.problem(key, f"cannot read {path}: {reason}",
                                 "make the file, and let the gateway's user read it")
            return None
        if not value:
            self._report.problem(key, f"{path} is empty", "write the secret into it")
            return None
        if status.st_mode & stat.S_IROTH and not str(path).startswith(_MOUNTS):
            self._report.warn(key, f"everybody on this host can read {path}: chmod 600 {path}")
        return value

    def _plain(self, text: str, key: Key, plain: bool) -> str | None:
        if foreign := _FOREIGN.fullmatch(text):
            self._report.problem(key, "is not how a variable is named here", f"write env:{foreign[1]}")
        elif text == MASK:
            self._report.problem(key, "is masked", "put the secret, or better a reference to it, here")
        elif not text:
            self._report.problem(key, "is empty", "for example env:OPENAI_API_KEY")
        elif not plain and (reference := meant(text)):
            self._report.problem(key, f"is neither a reference nor a key, as it seems: {reference} is meant?",
                                 f"write {reference}; put a key that does begin so into a variable or a file")
        else:
            if not plain:
                self._report.warn(key, "a secret in plain text: use env:NAME or file:/path, and renew it")
            return text
        return None
