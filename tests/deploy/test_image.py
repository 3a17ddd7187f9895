"""deploy/Dockerfile against the repository that it is built from."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.tools import CHECKS, ROOT, tool
from tests.support.commands import fault

FILE = ROOT / "deploy/Dockerfile"


@pytest.fixture(scope="module")
def stages() -> list[list[tuple[str, str]]]:
    """Per stage its instructions, as pairs of name and text; what stands before the first one is the base's name."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.M).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    found: list[list[tuple[str, str]]] = []
    for name, rest in pairs:
        if name == "FROM":
            found.append([])
        if found:
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
    assert final["FROM"] == stages[0][0][1].removesuffix(" AS build") == "${BASE}"
    assert re.search(r"^ARG BASE=python:\d+\.\d+-slim-\w+$", FILE.read_text(), re.M)


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


def test_hadolint_finds_nothing() -> None:
    """The checker of Dockerfiles is content, but for what the file says is meant so."""
    judged = subprocess.run([tool("hadolint"), str(FILE)], capture_output=True, text=True, check=False, timeout=60)
    assert (judged.returncode, judged.stdout) == (0, "")


def test_no_compiler_is_left(stages: list[list[tuple[str, str]]]) -> None:
    """What the final stage has beside its base is the environment and an empty folder: nothing is installed or run."""
    assert [rest for name, rest in stages[-1] if name in ("COPY", "ADD", "RUN")] == [
        "--from=build /opt/edge /opt/edge",
        f"--from=build --chown={dict(stages[-1])['USER']} /var/lib/edge /var/lib/edge"]


@pytest.mark.skipif(not CHECKS, reason="make check-deploy runs it: it installs from PyPI")
@pytest.mark.timeout(600)
def test_its_steps_make_a_gateway(stages: list[list[tuple[str, str]]], tmp_path: Path) -> None:
    """The steps, taken over this root in place of the base, make a gateway that starts, is well and stops in order."""
    same = subprocess.run(["/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2])"], capture_output=True,
                          text=True, check=False)
    if os.geteuid() != 0 or same.stdout.strip() != str(sys.version_info[:2]):
        pytest.skip("it needs root, and a /usr/bin/python3 of the version that edge was compiled for")
    final = dict(stages[-1])
    given = {"STEPS": steps(stages[0]), "SETTINGS": " ".join(final["ENV"].split()), "RUNS_AS": final["USER"],
             "SERVE": shlex.join(json.loads(final["ENTRYPOINT"]) + json.loads(final["CMD"])),
             "HEALTH": shlex.join(json.loads(final["HEALTHCHECK"].partition("CMD ")[2])), "FOLDER": str(tmp_path)}
    done = subprocess.run([str(Path(__file__).with_name("image.sh"))], capture_output=True, text=True, check=False,
                          timeout=580, env={**os.environ, "EDGE_ONLY": "condition", **given})
    assert done.returncode == 0 and done.stdout.endswith("/health: ok\nstopped with 0\n"), (
        done.stdout + done.stderr)[-4000:]


def steps(stage: list[tuple[str, str]]) -> str:
    """A stage's COPY and RUN as lines of shell, but for what is the base's: its packages."""
    lines, folder = [], "/"
    for name, rest in stage:
        if name == "WORKDIR":
            folder = rest
            lines.append(f"mkdir -p $R{folder}")
        elif name == "COPY":
            *sources, target = rest.split()
            for source in sources:
                into = target if not target.endswith("/") else f"{target}{Path(source).name}"
                lines.append(f"cp -r {ROOT}/{source} $R{folder}/{into}")
        elif name == "RUN" and "apt-get" not in rest:
            lines.append(f"chroot $R /bin/sh -euc {shlex.quote(f'cd {folder} && {rest}')}")
    return "\n".join(lines)
