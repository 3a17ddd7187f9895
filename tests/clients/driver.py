"""A client in a process of its own, which asks for what a test wants and tells what became of it."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / ".clients"       # made by `make test-clients`
NODE, PYTHON = FOLDER / "node", FOLDER / "python"
OLDEST_NODE = 20
SECONDS = 100           # the longest that a client may take to start or for a request: its own limit is 20


def need_node(package: str) -> None:
    """Fails the test with the reason where node, or a package of npm's, is not there."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("node is not on the PATH; on Debian: apt install nodejs npm (20 or newer)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.fail(f"node {version} is older than {OLDEST_NODE}")
    if not (NODE / "node_modules" / package).is_dir():
        pytest.fail(f"{package} is not installed; `make test-clients` said: {_log(NODE)}")


def need_python(package: str) -> Path:
    """The Python of the clients' environment; fails the test with the reason where the package is not in it."""
    if not list(PYTHON.glob(f"lib/python*/site-packages/{package}")):
        pytest.fail(f"{package} is not installed; `make test-clients` said: {_log(PYTHON)}")
    return PYTHON / "bin" / "python"


def _log(folder: Path) -> str:
    """The end of what the installation of this folder said."""
    log = folder.with_suffix(".log")
    return log.read_text(errors="replace")[-2000:] if log.exists() else "nothing: it has not been run"


class Driver:
    """drive.mjs or drive.py for one client; started at the first request, and asked by one test at a time."""

    def __init__(self, client: str) -> None:
        self.client = client
        self._process: subprocess.Popen[str] | None = None

    def _command(self) -> list[str]:
        name, _, language = self.client.partition("-")
        if language == "py":
            needed = {"langchain": "langchain_openai"}.get(name, name)
            return [str(need_python(needed)), str(HERE / "drive.py"), name]
        need_node({"anthropic": "@anthropic-ai/sdk"}.get(name, name))
        return ["node", str(HERE / "drive.mjs"), name, str(NODE)]

    def ask(self, surface: str, ask: dict[str, Any]) -> dict[str, Any]:
        """One request to its end: {text, calls, kinds, seconds, error?}, the error as its user sees it."""
        if self._process is None:
            self._process = subprocess.Popen(self._command(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._line()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"surface": surface, **ask}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], SECONDS)[0]:       # it writes whole lines
            self.close()
            pytest.fail(f"{self.client} has come to no end in {SECONDS} seconds")
        line = self._process.stdout.readline()
        assert line, f"{self.client} has ended with {self._process.wait()}"
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """Ends the process, which may be in the middle of a request."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
