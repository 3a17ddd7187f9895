"""deploy/Dockerfile against the repository that it is built from."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import fault

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy/Dockerfile"


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """Per stage its instructions, as pairs of name and text."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.M).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    found: list[list[tuple[str, str]]] = []
    for name, rest in pairs:
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def test_it_copies_what_exists(stages: list[list[tuple[str, str]]]) -> None:
    """All that the build copies is in the repository, and is let through by the list of ignored files."""
    allowed = re.findall(r"^!(.+)$", FILE.with_suffix(".dockerignore").read_text(), re.M)
    copied = [source for name, rest in stages[0] if name == "COPY" for source in rest.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_it_runs_without_privileges(stages: list[list[tuple[str, str]]]) -> None:
    """The image runs as a numeric user that is not root, on the same base that it was compiled on."""
    final = dict(stages[-1])
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", final["USER"])
    assert final["FROM"] == stages[0][0][1].removesuffix(" AS build")
    assert re.fullmatch(r"python:\d+\.\d+-slim-\w+", final["FROM"])


def test_its_commands_exist(stages: list[list[tuple[str, str]]]) -> None:
    """What starts and what checks the container are commands of this version, run without a shell."""
    final = dict(stages[-1])
    started = json.loads(final["ENTRYPOINT"]) + json.loads(final["CMD"])
    asked = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    assert started[:2] == ["edge", "serve"] and asked == ["edge", "health"]
    assert [fault(" ".join(words)) for words in (started, asked)] == [None, None]


def test_it_needs_no_disk(stages: list[list[tuple[str, str]]]) -> None:
    """Nothing is written at run time, so that the root may be read-only, and the address is reachable."""
    settings = dict(pair.split("=", 1) for pair in dict(stages[-1])["ENV"].split())
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"
    assert settings["EDGE_LISTEN_ADDR"] == "0.0.0.0"
    assert settings["EDGE_CONFIG"].startswith("/etc/edge/")
    tool = shutil.which("hadolint")
    if tool:
        judged = subprocess.run([tool, str(FILE)], capture_output=True, text=True, check=False, timeout=60)
        assert judged.stdout == ""
