"""Claude Code and Codex, each for one turn in an empty home of its own, told where the gateway is and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.driver import NODE, need_node
from tests.support.gateway import KEY

SECONDS = 60                    # the longest turn
SECRET = "the-word-in-the-file"


@dataclass
class Turn:
    """What came of a turn. `lines` are the JSON lines that the agent printed."""

    code: int
    seconds: float
    lines: list[dict[str, Any]]
    errors: str

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one type."""
        return [line for line in self.lines if line.get("type") == kind]

    @property
    def text(self) -> str:
        """All that was printed."""
        return json.dumps(self.lines)


@dataclass
class Agent:
    """An agent's command line, the files of its home, and its environment beyond PATH and HOME."""

    package: str
    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)     # in its home, which is also where it works

    def start(self, home: Path) -> subprocess.Popen[str]:
        """Starts it in a session of its own; `home` is an empty folder."""
        need_node(self.package)
        for name, text in {"example": f"#!/bin/sh\necho {SECRET}\n", ".bash_profile": f"PATH={home}:$PATH\n",
                           **self.files}.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **self.environ}
        program, *arguments = self.command
        return subprocess.Popen(
            [str(NODE / "node_modules" / ".bin" / program), *arguments], cwd=home, env=environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def turn(self, home: Path, leave: Callable[[], object] | None = None) -> Turn:
        """One turn to its end; with `leave` the user ends it with Ctrl-C as soon as that has returned."""
        begun = time.monotonic()
        process = self.start(home)
        try:
            if leave is not None:
                leave()
                os.killpg(process.pid, signal.SIGINT)
            printed, errors = process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        return Turn(process.returncode, time.monotonic() - begun, lines, errors)


def claude_code(base: str, prompt: str, *, key: str = KEY, retries: int = 2) -> Agent:
    """`claude -p PROMPT`, which may read files."""
    quiet = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER",
             "DISABLE_ERROR_REPORTING")
    return Agent(
        "@anthropic-ai/claude-code",
        ["claude", "-p", prompt, "--output-format", "stream-json", "--verbose", "--allowedTools", "Read",
         "--model", "claude-opus-4-6"],
        {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": key, "CLAUDE_CODE_MAX_RETRIES": str(retries),
         **dict.fromkeys(quiet, "1")})


def codex(base: str, prompt: str, *, key: str = KEY, retries: int | None = None) -> Agent:
    """`codex exec PROMPT` with its built-in provider; with `retries` as a provider of the user's own, by HTTP alone."""
    settings = {"model": '"gpt-5.5"', "openai_base_url": f'"{base}"', "analytics.enabled": "false",
                "check_for_update_on_startup": "false"}
    if retries is not None:
        own = {"name": '"edge"', "base_url": f'"{base}"', "env_key": '"CODEX_API_KEY"', "wire_api": '"responses"',
               "request_max_retries": str(retries), "stream_max_retries": str(retries)}
        settings |= {"model_provider": '"edge"', **{f"model_providers.edge.{name}": own[name] for name in own}}
    return Agent(
        "@openai/codex",
        ["codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt],
        {"CODEX_API_KEY": key, "OPENAI_API_KEY": key, "RUST_LOG": "off"},
        {".codex/config.toml": "".join(f"{name} = {value}\n" for name, value in settings.items())})
