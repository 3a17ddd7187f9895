"""README.md and pages of docs as pasted: each command runs, each snippet of Python answers, each YAML is taken."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import strict_yaml
from edge.config import load
from edge.strict_yaml.writing import flow
from tests.lifecycle.command import Command, bare
from tests.support.simulator import Simulator

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/howto.md", "docs/fleet.md")
BLOCKS = [block for page in PAGES
          for block in re.findall(r"^ *```(\w+)\n(.*?)^ *```", (ROOT / page).read_text(), re.M | re.S)]
HASH = f"blake2b:{1:064x}"

# What is not run here, by how it begins, and why.
NOT_RUN = {
    "make run": "it compiles for half a minute; what it starts is tests/lifecycle/test_quick_start.py's",
    "make test": "it is the suite that this is part of",
    "docker ": "it needs a daemon; tests/deploy/test_image.py checks the image's file",
    "systemctl ": "it needs systemd as process 1; tests/deploy/systemd.sh runs it",
    "pip install": "tests/deploy/test_package.py builds and looks into it",
    "kill -USR2": "tests/faults/test_upgrade.py does it: here it would be in the other commands' way",
    "edge serve": "it runs already: every other command is about it",
    "edge stop": "it is the last thing of all, at the end of `reader`"}
AT_FIRST = "edge config init"       # in a folder that has no file yet
ENDLESS = ("edge simulate --port", "edge simulate --capacity")
LANGUAGES = {"sh", "python", "yaml", "text"}


def lines() -> list[str]:
    """All commands, their comments taken off."""
    shell = "\n".join(text for language, text in BLOCKS if language == "sh").replace("\\\n", " ")
    stripped = (re.sub(r"\s+#.*$", "", line).strip() for line in shell.splitlines())
    return list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))


COMMANDS = lines()
SNIPPETS = [text for language, text in BLOCKS if language == "yaml"]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]


class Reader:
    """Somebody with a folder, the smallest file in it, and the gateway that it starts."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.folder = folder
        self.environ = {
            **bare(folder, EDGE_PIDFILE=str(folder / "edge.pid")),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OPENAI_API_KEY": "sk-x", "ANTHROPIC_API_KEY": "sk-y",
            "EDGE_PROVIDERS__OPENAI__BASE_URL": simulator.openai_url,
            "EDGE_PROVIDERS__ANTHROPIC__BASE_URL": simulator.url}
        made = self.run("edge auth --generate --name team-b").stdout
        [self.key], [hashed] = re.findall(r"^    (sk-\S+)$", made, re.M), re.findall(r"blake2b:\w+", made)
        smallest = next(text for text in SNIPPETS if text.startswith("port:"))
        (folder / "edge.yaml").write_text(f"{smallest.replace('blake2b:…', hashed)}store: edge.db\n")

    def run(self, line: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A line of shell."""
        return subprocess.run(["bash", "-c", line], cwd=folder or self.folder, env=self.environ, capture_output=True,
                              text=True, timeout=60, check=False)

    def pasted(self, text: str) -> str:
        """A text with the address and key of this run in the place of the page's."""
        for shown, here in (("127.0.0.1:8766", f"127.0.0.1:{self.port}"), ("sk-EXAMPLE-made-for-this-run", self.key),
                            ("127.0.0.1:8767", f"127.0.0.1:{self.admin_port}"), ("--port 9000", "--port 0")):
            text = text.replace(shown, here)
        return text

    port = admin_port = 0


@pytest.fixture(scope="module")
def reader(running: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """One whose gateway runs: `edge serve --config edge.yaml`, as the page has it."""
    assert "edge serve --config edge.yaml" in COMMANDS
    reader = Reader(tmp_path_factory.mktemp("reader"), running)
    with Command(reader.folder, reader.environ, "--config", "edge.yaml") as edge:
        said = edge.until(lambda said: "/metrics" in said)
        reader.port, reader.admin_port = map(int, re.findall(r"http://\S+?:(\d+)", said))
        yield reader
        done = reader.run("edge stop")          # tests come in any order: this is the last that the reader does
        assert (done.returncode, done.stdout) == (0, "stopped\n"), done
        assert edge.process.wait(10) == 0


def test_every_block_has_a_known_language() -> None:
    """A block in another language than those that are tried here needs a way to be tried."""
    assert {language for language, _ in BLOCKS} <= LANGUAGES
    assert COMMANDS and SNIPPETS and PROGRAMS


@pytest.mark.parametrize("line", COMMANDS)
def test_command(reader: Reader, tmp_path: Path, line: str) -> None:
    """Each command does what it is there for, with exit code 0."""
    if line.startswith(tuple(NOT_RUN)):
        return
    if line.startswith(ENDLESS):
        with subprocess.Popen([sys.executable, "-m", *shlex.split(reader.pasted(line))], cwd=reader.folder,
                              env=reader.environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and "listening on" in process.stdout.readline()
            process.terminate()
        return
    if line.startswith("edge why"):         # about what another line has done
        reader.run(reader.pasted(next(each for each in COMMANDS if f"x-request-id: {line.split()[-1]}" in each)))
    if line.startswith("edge store"):       # there is one from its first key on
        reader.run("edge keys create first")
    if line.startswith("edge keys"):        # a key of this line's own, as lines come in any order
        line = line.replace(" search", f" {tmp_path.name}".replace("_", "-"))
        if " create " not in line:
            reader.run(f"edge keys create {line.split()[-1]}")
    if line.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    done = reader.run(reader.pasted(line), tmp_path if line.startswith(AT_FIRST) else None)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done
    if line.startswith("edge maintenance on"):          # the other lines are about a gateway that serves
        reader.run("edge maintenance off")


@pytest.mark.parametrize("text", PROGRAMS)
def test_python(reader: Reader, text: str) -> None:
    """Each program prints the provider's answer."""
    done = subprocess.run([sys.executable, "-c", reader.pasted(text)], cwd=reader.folder, env=reader.environ,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout.startswith("You said: "), done


@pytest.mark.parametrize("text", SNIPPETS)
def test_yaml(tmp_path: Path, text: str) -> None:
    """Each snippet, put into a file that is enough, is taken without a problem."""
    for path in re.findall(r"file:([^\s,\]}]+)", text):
        text = text.replace(path, str(tmp_path / Path(path).name))
        (tmp_path / Path(path).name).write_text(f"sk-{Path(path).name}-0123456789")
    given: dict[str, Any] = strict_yaml.load(text.replace("blake2b:…", HASH), "README.md").data
    local = {"kind": "openai", "base_url": "http://127.0.0.1:8000/v1"}
    tree = {"port": 1, "listen_addr": "127.0.0.1", "keys": [{"name": "a", "hash": HASH}], **given,
            "providers": {"openai": {"key": "env:KEY"}, "anthropic": {"key": "env:KEY"}, "local": local,
                          **given.get("providers", {})}}
    for number, key in enumerate(tree["keys"]):         # several of a page share the one placeholder
        key["hash"] = f"blake2b:{number + 1:064x}"
    (tmp_path / "edge.yaml").write_text(flow(tree))
    named = {name: f"sk-{name}-0123456789abcdef" for name in re.findall(r"env:(\w+)", flow(tree))}
    load(str(tmp_path / "edge.yaml"), environ=named)
