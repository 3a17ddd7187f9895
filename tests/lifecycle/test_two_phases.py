"""A reload that one process refuses, does not live through or does not come to has changed nothing anywhere."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge._fast import Slab
from edge.supervisor import watch
from edge.supervisor.children import Child
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.looks import faults
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, chat

SECOND = "sk-second-0123456789abcdef"
THIRD = "sk-third-0123456789abcdef"
OURS = "name: ours\nbase: openai\nconditions: {key_unknown: {status: 401, message: 'Who are you?'}}\n"
SYS_PIDFD_GETFD = 438


@pytest.fixture
def base(simulator: Simulator, tmp_path: Path) -> dict[str, Any]:
    """A configuration with a contract of the operator's own."""
    (tmp_path / "ours.yaml").write_text(OURS)
    return configuration(simulator.url, workers=2, contract={"openai": "ours", "anthropic": "anthropic"},
                         contract_files=[str(tmp_path / "ours.yaml")])


@pytest.fixture
def edge(base: dict[str, Any]) -> Iterator[Gateway]:
    """A gateway that has it."""
    with Gateway(base, environ={"SECOND_KEY": SECOND, "THIRD_KEY": THIRD}) as gateway:
        yield gateway


def key(name: str, **more: Any) -> dict[str, Any]:
    """A key of the environment."""
    return {"name": name, "key": f"env:{name.upper()}_KEY", **more}


def unchanged(edge: Gateway) -> None:
    """Version 1 is in force at every worker and in control."""
    for _ in range(12):
        assert ask(edge.port, chat()).status == 200
        assert ask(edge.port, chat(key=SECOND)).status == 401
    assert edge.metric("edge_config_version") == 1
    assert "version 2 in force" not in edge.log()


@pytest.mark.parametrize("which", [0, 1])
def test_a_child_that_dies_meanwhile(edge: Gateway, base: dict[str, Any], which: int) -> None:
    """A child that dies before it has prepared the version makes it come to nothing; the next reload is good."""
    child = edge.children()[which]
    os.kill(child, signal.SIGSTOP)
    edge.configure({**base, "keys": [key("second")]})
    edge.process.send_signal(signal.SIGHUP)
    edge.wait(lambda: "version 2 is prepared" in edge.log())
    os.kill(child, signal.SIGKILL)
    edge.wait(lambda: "the configuration stays as it was" in edge.log())
    name = "worker-0" if which else "control"
    line = next(line for line in edge.log_lines() if "stays as it was" in line["message"])
    assert f"{name} died (pid {child}) of SIGKILL" in line["message"]
    edge.wait(lambda: len(edge.children()) == 3)
    unchanged(edge)
    assert edge.reload().json() == {"version": 2}
    assert {ask(edge.port, chat(key=SECOND)).status for _ in range(12)} == {200}


@pytest.mark.parametrize("which", [0, 1])
def test_a_child_that_is_born_meanwhile(edge: Gateway, base: dict[str, Any], which: int) -> None:
    """A child that starts while a version is prepared follows; in the end all have the same one."""
    edge.configure({**base, "keys": [key("second")]})
    os.kill(edge.children()[which], signal.SIGKILL)
    edge.wait(lambda: " died " in edge.log())
    edge.process.send_signal(signal.SIGHUP)
    edge.wait(lambda: "version 2 in force" in edge.log())
    edge.wait(lambda: {ask(edge.port, chat(key=SECOND)).status for _ in range(12)} == {200})
    assert edge.metric("edge_config_version") == 2
    assert "not prepared here" not in edge.log()


def test_a_child_that_stands_still(edge: Gateway, base: dict[str, Any]) -> None:
    """A worker that does not come to prepare a version is ended, and who asked for the reload is told so."""
    os.kill(edge.children()[1], signal.SIGSTOP)
    answer = edge.reload({**base, "keys": [key("second")]})
    assert answer.status_code == 500 and "worker-0 died" in answer.text
    unchanged(edge)


def test_who_works_at_a_version_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that prepares a version has no heartbeat, and stands still where it does not work either."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "FROZEN_SECONDS", 1.0)
    with contextlib.ExitStack() as stack:
        def child(code: str, preparing: bool) -> Child:
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", code]))
            stack.callback(process.kill)
            return Child("worker-0", 0, pid=process.pid, ready=True, preparing=preparing, moved=time.monotonic())
        works, idles = child("while True: pass", True), child("import time; time.sleep(60)", True)
        serves = child("while True: pass", False)
        looks, found = watch.Watch(Slab(1)), set[int]()
        while not found >= {idles.pid, serves.pid}:
            found.update(each.pid for each in looks.frozen([works, idles, serves]))
            time.sleep(0.01)
        assert works.pid not in found


def test_contracts_are_carried_by_value(edge: Gateway, base: dict[str, Any]) -> None:
    """A contract's file that becomes garbage, or is gone, hurts neither a worker nor control that is started again."""
    file = Path(base["contract_files"][0])
    for text in ("name: ours\nbase: openai\nconditions: {key_unknown: {status: 403", None):
        file.unlink() if text is None else file.write_text(text)
        for pid in edge.children():
            os.kill(pid, signal.SIGKILL)
        edge.wait(lambda: len(edge.children()) == 3)
        assert "Who are you?" in ask(edge.port, chat(key=SECOND)).body.decode()
        assert ask(edge.port, chat()).status == 200
        answer = edge.reload()
        assert answer.status_code == 500 and edge.metric("edge_config_version") == 1
    file.write_text(OURS)
    assert edge.reload().json() == {"version": 2}


def test_a_key_that_comes_gets_what_another_has_left(edge: Gateway, base: dict[str, Any]) -> None:
    """Keys that come and go never meet what another has used up, nor a stream on its way another's end."""
    with Talk(edge.port) as stream:
        stream.send(chat(stream=True, fault="tokens=60;delay=40"))
        assert stream.socket.recv(1, socket.MSG_PEEK)
        spent = {"rate_limit": {"requests_per_second": 0.001, "burst_size": 2}}
        for name, secret in (("second", SECOND), ("third", THIRD)):
            assert edge.reload({**base, "keys": [key(name, **spent)]}).status_code == 200
            found = [ask(edge.port, chat(key=secret)).status for _ in range(3)]
            assert found == [200, 200, 429], name
        assert stream.answer().body.endswith(b"data: [DONE]\n\n")
    assert ask(edge.port, chat(key=KEY)).status == 401


def channel_of(pid: int, supervisor: int) -> socket.socket:
    """A worker's own end of its channel, as whoever has taken it over has it (pidfd_getfd(2)): its maker made it."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if str(entry.readlink()).startswith("socket:"):
            handle = os.pidfd_open(pid)
            number = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, handle, int(entry.name), 0)
            os.close(handle)
            if number < 0:
                pytest.skip("this system lends no descriptors of others")
            sock = socket.socket(fileno=number)
            made_by = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            if sock.family == socket.AF_UNIX and int.from_bytes(made_by[:4], sys.byteorder) == supervisor:
                return sock
            sock.close()
    raise AssertionError("no channel")


@pytest.mark.parametrize("said", [b"\xff" * 5000, b"\x00\x00\x00\x00\x00\x00\x00\x10cos\nabort\n(tR." * 200,
                                  (b"\x04" + bytes(1011)) * 20000, b"\x05"], ids=["noise", "pickle", "flood", "part"])
def test_a_worker_that_was_taken_over(edge: Gateway, said: bytes) -> None:
    """Whatever a worker says, the supervisor ends it or waits; it runs nothing of it, serves on and reloads."""
    control, first, second = edge.children()
    with channel_of(first, edge.process.pid) as channel, contextlib.suppress(OSError):
        channel.settimeout(10)
        channel.sendall(said)
    if len(said) == 1:                                  # its next word is none: nobody waits for it for ever
        assert "worker-0 was not ready within 15 s" in edge.reload().text
    edge.wait(lambda: first not in edge.children() and len(edge.children()) == 3)
    assert edge.process.poll() is None and {control, second} <= set(edge.children())
    assert {ask(edge.port, chat()).status for _ in range(10)} == {200}
    assert edge.reload().json() == {"version": 2}
    assert faults(edge) == []


@pytest.mark.parametrize("number, words", [
    (signal.SIGKILL, "OOM"), (signal.SIGSEGV, "a fault of the gateway's own program"), (signal.SIGALRM, "sent it")])
@pytest.mark.parametrize("which", [0, 1])
def test_a_death_is_told(edge: Gateway, number: signal.Signals, words: str, which: int) -> None:
    """The log says of each death the pid, the signal by its name, and what that means."""
    pid = edge.children()[which]
    os.kill(pid, number)
    edge.wait(lambda: " died " in edge.log())
    line = next(line for line in edge.log_lines() if " died " in line["message"])
    assert (line["child"], line["pid"], line["signal"]) == (("control", "worker-0")[which], pid, number.name)
    assert str(pid) in line["message"] and number.name in line["message"] and words in line["message"]
