"""Exit codes and last words: 0 stopped, 1 failed, 2 usage, 78 configuration; and nothing is left behind by a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.lifecycle.command import EDGE, Command, bare, family, lives
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, chat


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run([*EDGE, *arguments], cwd=folder, env=bare(folder, **variables), text=True, timeout=60,
                          capture_output=True)


def minimal(folder: Path, text: str = "") -> str:
    """A file that is good but for what is added."""
    file = folder / "edge.yaml"
    file.write_text("port: 0\nlisten_addr: 127.0.0.1\nproviders: {openai: {base_url: 'http://127.0.0.1:1/v1'}}\n"
                    "keys: [{name: a, key: env:SOME_KEY}]\n" + text)
    return str(file)


def gone(pids: list[int], seconds: float) -> list[int]:
    """Those that still live after so many seconds."""
    end = time.monotonic() + seconds
    while (left := [pid for pid in pids if lives(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    return left


@pytest.mark.parametrize("variable, name", [("EDGE_PORT", "port"), ("EDGE_ADMIN__PORT", "admin.port")])
def test_port_in_use(tmp_path: Path, variable: str, name: str) -> None:
    """An address that is taken is exit code 1 and a message that names the address and the way out; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, "serve", "--config", minimal(tmp_path), SOME_KEY="sk-some-key-0123456789",
                   **{variable: str(port)})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr and "in use" in done.stderr and variable in done.stderr
    assert name in done.stderr and "Traceback" not in done.stderr


def test_port_of_a_running_gateway(simulator: Simulator, tmp_path: Path) -> None:
    """A second gateway on the first one's port fails, and does not quietly take a share of its clients."""
    with Gateway(configuration(simulator.url)) as first:
        done = run(tmp_path, "serve", "--config", minimal(tmp_path), SOME_KEY="sk-some-key-0123456789",
                   EDGE_PORT=str(first.port))
        assert done.returncode == 1 and str(first.port) in done.stderr


@pytest.mark.parametrize("arguments", [["serve", "--workers", "0"], ["serve", "--nope"], ["serve", "extra"], ["nope"],
                                       ["serve", "--config"]])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    """Wrong usage is exit code 2, with a line on what is wrong."""
    done = run(tmp_path, *arguments)
    assert done.returncode == 2 and "Error" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("text, words", [
    ("nonsense: 1\n", "nonsense"), ("workers: many\n", "workers"), ("rate_limit: [\n", "edge.yaml:"),
    ("port: 1\n", "port"), ("timeout: -1\n", "timeout")])
def test_wrong_configuration(tmp_path: Path, text: str, words: str) -> None:
    """A wrong file is exit code 78, said with file, line and column before anything listens."""
    done = run(tmp_path, "serve", "--config", minimal(tmp_path, text), SOME_KEY="sk-some-key-0123456789")
    assert done.returncode == 78, done
    assert words in done.stderr and "edge.yaml:" in done.stderr and "Traceback" not in done.stderr
    assert "CONFIG_00" in done.stderr


def test_missing_configuration(tmp_path: Path) -> None:
    """A file that is named and not there is exit code 78, not a quick start."""
    done = run(tmp_path, "serve", "--config", str(tmp_path / "nowhere.yaml"))
    assert done.returncode == 78 and "nowhere.yaml" in done.stderr
    done = run(tmp_path, "serve", EDGE_CONFIG=str(tmp_path / "nowhere.yaml"))
    assert done.returncode == 78 and "nowhere.yaml" in done.stderr


@pytest.mark.parametrize("variable, value", [("EDGE_PORT", "many"), ("EDGE_WORKERS", "0"), ("EDGE_NONSENSE", "1")])
def test_wrong_environment(tmp_path: Path, variable: str, value: str) -> None:
    """A wrong EDGE_ variable is exit code 78 and named, with a file and without."""
    for arguments in (["serve", "--config", minimal(tmp_path)], ["serve"]):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        done = subprocess.run(
            [*EDGE, *arguments], cwd=tmp_path / "elsewhere", text=True, timeout=60, capture_output=True,
            env=bare(tmp_path, SOME_KEY="sk-some-key-0123456789", **{variable: value}))
        assert done.returncode == 78 and variable in done.stderr, done


def test_no_orphans_after_a_crash(simulator: Simulator) -> None:
    """When the supervisor is killed, control and workers end by themselves and the ports are free."""
    with Gateway(configuration(simulator.url, workers=2, drain_timeout=1)) as edge:
        with Talk(edge.port) as talk:
            assert talk.send(chat()).answer().status == 200
            children = edge.children()
            assert len(children) == 3
            os.kill(edge.process.pid, signal.SIGKILL)
            edge.process.wait()
            assert gone(children, 4) == []
        for port in (edge.port, edge.admin_port):
            with pytest.raises(ConnectionRefusedError):
                Talk(port)


def test_orphans_finish_their_streams(simulator: Simulator) -> None:
    """A worker whose supervisor has died ends its running stream well, and then itself."""
    with Gateway(configuration(simulator.url, drain_timeout=5)) as edge, Talk(edge.port) as talk:
        talk.send(chat(stream=True, fault="tokens=10;delay=50"))
        assert talk.socket.recv(1, 2)
        children = edge.children()
        os.kill(edge.process.pid, signal.SIGKILL)
        edge.process.wait()
        assert talk.answer().body.endswith(b"data: [DONE]\n\n")
        assert gone(children, 6) == []


def test_no_orphans_of_a_quick_start(tmp_path: Path) -> None:
    """The simulator of a quick start ends with its supervisor, also when that is killed."""
    with Command(tmp_path, bare(tmp_path), "--workers", "1") as edge:
        edge.until(lambda said: "deploy/edge.example.yaml" in said)
        children = family(edge.process.pid)
        assert len(children) == 3                   # simulator, control, worker
        edge.process.kill()
        edge.process.wait()
        assert gone(children, 6) == []              # a worker serves on for 3 s, should a successor come


def test_children_of_a_quick_start_end_in_order(tmp_path: Path) -> None:
    """A quick start that is stopped ends with 0 and leaves nobody."""
    with Command(tmp_path, bare(tmp_path), "--workers", "1") as edge:
        edge.until(lambda said: "deploy/edge.example.yaml" in said)
        children = family(edge.process.pid)
        os.killpg(edge.process.pid, signal.SIGINT)
        assert edge.process.wait(5) == 0
        assert gone(children, 0.5) == []
        assert edge.error().count("Traceback") == 0
