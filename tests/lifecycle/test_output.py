"""Where standard output and error lead to: no line is lost or written over, and the end is silent."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.lifecycle.command import EDGE, bare

CAT = """sh -c 'trap "" INT; exec cat'"""
WAYS = [">out 2>err", ">both 2>&1", ">>both 2>&1", ">out 2>>err", f">out 2>&1 | {CAT} >both", f"2>&1 >out | {CAT} >err",
        ">/dev/full 2>err", ">out 2>&-", ">&- 2>err", ">out 2>/dev/full"]


def started(folder: Path, way: str) -> subprocess.Popen[bytes]:
    """A quick start under a shell's redirection, in a process group of its own; the shell itself is gone."""
    environ = bare(folder, EDGE_LIMITS__CONNECTIONS="1000000", EDGE_WORKERS="1")
    piped = "|" in way
    command = f"{'' if piped else 'exec '}{shlex.join([*EDGE, 'serve'])} {way}"
    return subprocess.Popen(["sh", "-c", command], cwd=folder, env=environ, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def said(folder: Path) -> str:
    """Everything in the files."""
    return "".join(path.read_text() for path in folder.iterdir() if path.name in ("out", "err", "both"))


def wait(met: Callable[[], bool], seconds: float = 30) -> None:
    """Until the condition holds."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("way", WAYS)
def test_no_line_is_written_over(tmp_path: Path, way: str) -> None:
    """Under every redirection each JSON line is there, whole, beside what is printed; INT ends it in silence."""
    hard = int(Path("/proc/self/limits").read_text().split("Max open files")[1].split()[1])
    process = started(tmp_path, way)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait(lambda: "example.yaml" in said(tmp_path) if "out" in way and ">/dev/full" not in way
             else len(children.read_text().split()) == 3)
        time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
    text = said(tmp_path)
    assert "Traceback" not in text and "wakeup" not in text and "Exception ignored" not in text
    lines = [orjson.loads(line) for line in text.splitlines() if line.startswith("{")]
    if "2>&-" not in way and "2>/dev/full" not in way:
        assert [line["message"].split()[0] for line in lines if "process" in line][-1] == "stopping:"
        assert sum("descriptors" in line["message"] for line in lines) == (hard < 1000000)
    assert text.count('{"time"') == len(lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("moment", ["quick start", '"time"', "serves on", "example.yaml"])
def test_a_signal_at_any_moment(tmp_path: Path, number: int, moment: str) -> None:
    """A signal while it starts, and others while it ends, bring no traceback, and the process to its end."""
    process = started(tmp_path, ">both 2>&1")
    wait(lambda: moment in said(tmp_path))
    for pause in (0.0, 0.03, 0.1, 0.1, 0.1):
        time.sleep(pause)
        if process.poll() is None:
            process.send_signal(number)
    process.wait(20)
    text = said(tmp_path)
    assert "Traceback" not in text and "wakeup" not in text and "Exception ignored" not in text


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_a_socket_takes_the_lines(tmp_path: Path, family: int) -> None:
    """Where both lead to a socket, as to systemd's journal, all processes serve, and their lines come."""
    said: list[bytes] = []
    if family == socket.AF_UNIX:
        theirs, ours = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()

    def read() -> None:
        while piece := ours.recv(65536):
            said.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    process = subprocess.Popen([*EDGE, "serve"], cwd=tmp_path, env=bare(tmp_path, EDGE_WORKERS="2"),
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True)
    theirs.close()
    try:
        wait(lambda: b"example.yaml" in b"".join(said))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
        wait(lambda: b"it is started again" in b"".join(said))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        reader.join(20)
        ours.close()
    text = b"".join(said).decode()
    assert "Traceback" not in text and text.count("started again") == 1 and process.returncode == 0
    assert all(orjson.loads(line) for line in text.splitlines() if line.startswith("{"))
