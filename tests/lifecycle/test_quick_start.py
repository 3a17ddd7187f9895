"""`edge serve` without any configuration: what it prints works as pasted."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lifecycle.command import Command, bare
from tests.support.simulator import Simulator

LAST = "deploy/edge.example.yaml"


def blocks(said: str, begin: str) -> list[str]:
    """The paragraphs of the text that begin with a word."""
    return [block for block in said.split("\n\n") if block.startswith(begin)]


def pasted(block: str, folder: Path) -> str:
    """What a paragraph gives when it is pasted into a shell, or into Python."""
    program = ["bash", "-c", block] if block.startswith("curl") else [sys.executable, "-c", block]
    done = subprocess.run(program, cwd=folder, env=bare(folder, LD_PRELOAD=""), capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, (block, done)
    return done.stdout


def test_without_a_key(tmp_path: Path) -> None:
    """With no provider's key the simulator is behind it; each printed line works, in curl and in both SDKs."""
    with Command(tmp_path, bare(tmp_path)) as edge:
        said = edge.until(lambda said: LAST in said)
        assert "simulator" in said and re.search(r"\n    sk-[A-Za-z0-9_-]{20,}\n", said)
        curls, snippets = blocks(said, "curl"), blocks(said, "from ")
        assert len(curls) == len(snippets) == 2
        answers = [json.loads(pasted(curl, tmp_path)) for curl in curls]
        assert answers[0]["choices"][0]["message"]["content"].startswith("You said: Hello")
        assert answers[1]["content"][0]["text"].startswith("You said: Hello")
        assert all(pasted(snippet, tmp_path).startswith("You said: Hello") for snippet in snippets)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_with_a_key(tmp_path: Path, simulator: Simulator, kind: str) -> None:
    """With a provider's key that provider is behind it, at its SDK's own base URL variable; the key stays here."""
    base_url = simulator.openai_url if kind == "openai" else simulator.url
    variables = {f"{kind.upper()}_API_KEY": "sk-real-0123456789", f"{kind.upper()}_BASE_URL": base_url}
    with Command(tmp_path, bare(tmp_path, **variables), "--workers", "1") as edge:
        said = edge.until(lambda said: LAST in said)
        assert base_url in said and "sk-real" not in said and "simulator:" not in said
        (curl,), (snippet,) = blocks(said, "curl"), blocks(said, "from ")
        assert "You said: Hello" in pasted(curl, tmp_path) and "You said: Hello" in pasted(snippet, tmp_path)
    seen = simulator.requests()
    assert len(seen) == 2
    for request in seen:
        fields = dict(request["headers"])
        place = "authorization" if kind == "openai" else "x-api-key"
        assert fields.pop(place).removeprefix("Bearer ") == "sk-real-0123456789"
        assert "sk-" not in str(fields)


def test_with_both_keys(tmp_path: Path, simulator: Simulator) -> None:
    """With both keys both providers are behind it."""
    with Command(tmp_path, bare(tmp_path, OPENAI_API_KEY="sk-a", OPENAI_BASE_URL=simulator.openai_url,
                                ANTHROPIC_API_KEY="sk-b", ANTHROPIC_BASE_URL=simulator.url)) as edge:
        said = edge.until(lambda said: LAST in said)
        assert all("You said: Hello" in pasted(curl, tmp_path) for curl in blocks(said, "curl"))
    assert {request["target"] for request in simulator.requests()} == {"/v1/chat/completions", "/v1/messages"}


def test_each_run_has_its_own_key(tmp_path: Path) -> None:
    """The printed key is made anew for each run, and a reload keeps it."""
    keys = []
    for _ in range(2):
        with Command(tmp_path, bare(tmp_path), "--workers", "1") as edge:
            said = edge.until(lambda said: LAST in said)
            keys += re.findall(r"\n    (sk-\S+)\n", said)
            edge.process.send_signal(signal.SIGHUP)
            assert "You said: Hello" in pasted(blocks(said, "curl")[0], tmp_path)
    assert len(set(keys)) == 2
