"""Ctrl-C: the command ends at once and in silence, by the signal, which shells tell as 130."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.lifecycle.command import EDGE, bare

# Put into the command's process: counts what is imported from edge.cli on, and presses Ctrl-C at one of these imports.
TERMINAL = """
import os, signal, sys

class Terminal:
    count = -1
    def find_spec(self, name, path=None, target=None):
        self.count += name == "edge.cli" or self.count >= 0
        if self.count == int(os.environ["INTERRUPT_AT"]):
            os.kill(0, signal.SIGINT)
        with open(os.environ["IMPORTS"], "a") as file:
            file.write(f"{self.count}\\\\n")

sys.meta_path.insert(0, Terminal())
"""


class Terminal:
    """Runs commands in a session of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sitecustomize.py").write_text(TERMINAL.replace("\\\\n", "\\n"))
        (folder / "edge.yaml").write_text("port: nowhere\n")

    def run(self, arguments: list[str], interrupted: int) -> tuple[int, str, int]:
        """Its exit code, what it has said to standard error, and how many imports there were."""
        imports = self.folder / f"imports-{interrupted}"
        environ = bare(self.folder, INTERRUPT_AT=str(interrupted), IMPORTS=str(imports))
        environ["PYTHONPATH"] = os.pathsep.join((str(self.folder), environ["PYTHONPATH"]))
        done = subprocess.run([*EDGE, *arguments], cwd=self.folder, env=environ, text=True, capture_output=True,
                              timeout=60, start_new_session=True)
        return done.returncode, done.stderr, int(imports.read_text().split("\n")[-2])


@pytest.mark.parametrize(("arguments", "code"), [
    (["serve"], 78), (["config", "validate"], 78), (["explain", "AUTH_001"], 0), (["errors"], 0),
    (["auth", "--generate"], 0), (["simulate", "--list-faults"], 0), (["status"], 2), (["--help"], 0), (["nope"], 2)],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "")
def test_while_it_begins(tmp_path: Path, arguments: list[str], code: int) -> None:
    """Whatever is being imported when it comes, nothing is said of it."""
    terminal = Terminal(tmp_path)
    found, _, imports = terminal.run(arguments, -2)
    assert found == code and imports > 10
    for at in {0, 1, 2, *range(3, imports, imports // 7)}:
        assert terminal.run(arguments, at)[:2] == (-signal.SIGINT, ""), at


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("arguments", [["health"], ["status"], ["circuits"], ["stop"]], ids="".join)
def test_while_it_waits(tmp_path: Path, arguments: list[str], ignored: bool) -> None:
    """A command that waits for a gateway which says nothing ends; but not where its caller has it ignore the signal."""
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        url = f"http://127.0.0.1:{gateway.getsockname()[1]}"
        where = ["--url", url] if arguments == ["health"] else ["--admin", url]
        how = "trap '' INT; " if ignored else ""
        with subprocess.Popen(["sh", "-c", f'{how}exec "$@"', "sh", *EDGE, *arguments, *where], cwd=tmp_path,
                              env=bare(tmp_path), stderr=subprocess.PIPE, text=True) as process:
            gateway.settimeout(20)
            client, _ = gateway.accept()
            process.send_signal(signal.SIGINT)
            if ignored:
                client.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            else:
                assert process.wait(20) == -signal.SIGINT
            client.close()
            gateway.close()
            assert process.stderr is not None
            said = process.stderr.read()
    assert process.returncode == 1 and said and "Traceback" not in said if ignored else not said
