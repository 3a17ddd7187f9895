"""A file of configuration made from its text, loaded in an environment of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from edge.config import ConfigError, Loaded, Problem, load, read
from edge.values.snapshot import Snapshot

KEY = "sk-0123456789abcdefghij"
GOOD = """\
port: 8766
listen_addr: 127.0.0.1
providers:
  openai: {key: env:OPENAI_API_KEY}
keys:
  - {name: a, key: env:KEY_A}
"""
ENVIRON = {"OPENAI_API_KEY": "sk-provider-secret", "KEY_A": KEY}


class Config:
    """Writes files below one folder and loads them; `GOOD` is a file that is enough."""

    good = GOOD
    key = KEY

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, name: str = "edge.yaml") -> str:
        """The path of a file with this text, its common indentation taken off."""
        path = self.folder / name
        path.write_text(dedent(text), encoding="utf-8")
        return str(path)

    def load(self, text: str, environ: Mapping[str, str] | None = None, **flags: object) -> Snapshot:
        """The Snapshot of a file with this text, with `environ` beside what GOOD needs."""
        return load(self.write(text), overrides=flags, environ={**ENVIRON, **(environ or {})})

    def read(self, text: str, environ: Mapping[str, str] | None = None, **flags: object) -> Loaded:
        """The same with settings and places."""
        return read(self.write(text), overrides=flags, environ={**ENVIRON, **(environ or {})})

    def problems(self, text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
        """What is wrong with a file of this text."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, environ)
        return caught.value.problems

    def problem(self, text: str, environ: Mapping[str, str] | None = None) -> Problem:
        """The one thing that is wrong with it."""
        found = self.problems(text, environ)
        assert len(found) == 1, found
        return found[0]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """See Config."""
    return Config(tmp_path)
