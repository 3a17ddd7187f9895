"""SIGUSR2: another program and configuration in the same process, on the same sockets; no client notices."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.storm import storm
from tests.lifecycle.command import Command, bare
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults, figures
from tests.support.simulator import Simulator
from tests.support.talk import Canary, Talk, ask, chat

STREAM = "tokens=60;delay=40"
SECOND = "sk-second-0123456789abcdef"
KEYS = [{"name": "test", "key": "env:TEST_KEY"}, {"name": "second", "key": "env:SECOND_KEY"}]
SERVES, COMPLETE = "in the place of the version before", "upgrade complete"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The provider."""
    with Simulator() as running:
        yield running


@pytest.fixture
def base(simulator: Simulator) -> dict[str, Any]:
    """The configuration to begin with."""
    return configuration(simulator.url, workers=2, drain_timeout=10)


def begun(edge: Gateway, stack: contextlib.ExitStack, fault: str = STREAM) -> Talk:
    """A stream that has begun."""
    talk = stack.enter_context(Talk(edge.port)).send(chat(stream=True, fault=fault))
    assert talk.socket.recv(1, socket.MSG_PEEK)
    return talk


def said(edge: Gateway, words: str, count: int = 1) -> None:
    """Waits until the log has it so many times."""
    edge.wait(lambda: edge.log().count(words) >= count, 30)


def upgrade(edge: Gateway, count: int = 1) -> None:
    """The signal, and waits for the new image's workers."""
    edge.process.send_signal(signal.SIGUSR2)
    said(edge, SERVES, count)


def whole(stream: Talk) -> bool:
    """Whether a stream comes to its end."""
    body = stream.answer().body
    return body.endswith(b"data: [DONE]\n\n") and body.count(b"\n\n") >= 60 and b"event: error" not in body


def let_go(talk: Talk) -> bool:
    """Whether the next answer on a kept connection, a good one, is its last."""
    answer = talk.send(chat()).answer()
    assert answer.status == 200
    return answer.header("connection") == "close"


def test_nobody_notices(base: dict[str, Any]) -> None:
    """Over an upgrade no request fails, streams go on to their end, kept connections are let go, and counts stay."""
    with Gateway(base) as edge, contextlib.ExitStack() as stack:
        canaries = [stack.enter_context(Canary(edge.port, 0.002)) for _ in range(2)]
        kept = [stack.enter_context(Talk(edge.port)) for _ in range(8)]
        assert {talk.send(chat()).answer().status for talk in kept} == {200}
        streams = [begun(edge, stack) for _ in range(8)]
        before, counted = edge.children(), edge.metric("edge_requests_total", condition="ok")
        upgrade(edge)
        for talk in kept:
            edge.wait(lambda: let_go(talk))     # noqa: B023 - called here
        assert all(whole(stream) for stream in streams)
        for talk in streams:
            talk.socket.close()
        said(edge, COMPLETE)
        assert len(edge.children()) == 3 and not set(before) & set(edge.children())
        for canary in canaries:
            canary.wait(canary.served + 50)
        assert edge.metric("edge_requests_total", condition="ok") >= counted + 16
        assert figures(edge)["in_flight"] <= 2
    assert [canary.failures for canary in canaries] == [[], []]
    assert edge.process.returncode == 0 and faults(edge) == []


def test_configuration_workers_and_what_was_used(base: dict[str, Any]) -> None:
    """An upgrade takes file and number of workers over; what was used of a limit stays used."""
    base["rate_limit"] = {"requests_per_second": 0.001, "burst_size": 24}
    with Gateway(base, environ={"SECOND_KEY": SECOND}) as edge:
        assert ask(edge.port, chat()).status == 200
        edge.configure({**base, "workers": 1, "keys": KEYS})
        upgrade(edge)
        said(edge, COMPLETE)
        assert len(edge.children()) == 2
        assert {ask(edge.port, chat(key=SECOND)).status for _ in range(12)} == {200}
        edge.configure({**base, "workers": 3, "keys": KEYS[1:]})
        upgrade(edge, 2)
        said(edge, COMPLETE, 2)
        assert len(edge.children()) == 4
        assert {ask(edge.port, chat()).status for _ in range(12)} == {401}
        statuses = [ask(edge.port, chat(key=SECOND)).status for _ in range(13)]
        assert statuses == [200] * 11 + [429] * 2
        assert edge.metric("edge_config_version") == 3
        at_rest(edge)


def test_another_program_and_one_that_is_broken(base: dict[str, Any], tmp_path: Path) -> None:
    """A new version comes into force; one that does not start, or a file that is wrong, changes nothing."""
    root = Path(__file__).parents[2]
    shutil.copytree(root / "edge", tmp_path / "edge", ignore=shutil.ignore_patterns("*.c", "*.pyc.*"))
    with Gateway(base, program=tmp_path) as edge:
        (tmp_path / "edge/__init__.py").write_text('"""New."""\n\n__version__ = "99.0"\n')
        upgrade(edge)
        said(edge, COMPLETE)
        children = edge.children()
        assert edge.metric("edge_build_info", version="99.0") == 1
        good = (tmp_path / "edge/worker/process.py").read_text()
        (tmp_path / "edge/worker/process.py").write_text("nonsense = = 1\n")
        edge.process.send_signal(signal.SIGUSR2)
        said(edge, "no upgrade: ")
        assert "SyntaxError" in edge.log()
        (tmp_path / "edge/worker/process.py").write_text(good)
        edge.file.write_text("port: [\n")
        edge.process.send_signal(signal.SIGUSR2)
        said(edge, "no upgrade: ", 2)
        assert "CONFIG_001" in edge.log()
        assert edge.children() == children and ask(edge.port, chat()).status == 200


def test_queued_connections_are_taken_over(base: dict[str, Any]) -> None:
    """Connections that wait for a worker that does not come to them are served by the next version's."""
    with Gateway(base) as edge, contextlib.ExitStack() as stack:
        old = edge.children()[1:]
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        talks = [stack.enter_context(Talk(edge.port)).send(chat()) for _ in range(40)]
        assert all(talk.silent(0.001) for talk in talks)
        edge.process.send_signal(signal.SIGUSR2)
        assert [talk.answer().status for talk in talks] == [200] * 40
        for pid in old:
            os.kill(pid, signal.SIGCONT)
        said(edge, COMPLETE)


def test_the_next_one_waits(base: dict[str, Any]) -> None:
    """A second SIGUSR2 waits for the end of the upgrade under way, and a stream of that time is not cut."""
    with Gateway(base) as edge, contextlib.ExitStack() as stack:
        stream = begun(edge, stack)
        upgrade(edge)
        edge.process.send_signal(signal.SIGUSR2)
        said(edge, "the next one waits")
        assert edge.reload().json() == {"version": 3}
        assert whole(stream)
        stream.socket.close()
        said(edge, SERVES, 2)
        assert edge.log().index(COMPLETE) < edge.log().rindex(SERVES)


def test_a_signal_to_an_image_that_has_not_begun(base: dict[str, Any]) -> None:
    """A signal that comes between two images, when nobody is there to handle it, is handled by the new one."""
    with Gateway(base) as edge:
        environ = Path(f"/proc/{edge.process.pid}/environ")
        edge.process.send_signal(signal.SIGUSR2)
        edge.wait(lambda: b"EDGE_UPGRADE=take" in environ.read_bytes())
        edge.process.send_signal(signal.SIGHUP)
        said(edge, "configuration version 3 in force")
        said(edge, COMPLETE)
        assert ask(edge.port, chat()).status == 200


def test_memory_of_another_layout(base: dict[str, Any]) -> None:
    """Where the shared memory is not what the next version knows it gets a new one, says so, and streams go on."""
    with Gateway(base) as edge, contextlib.ExitStack() as stack:
        assert {ask(edge.port, chat()).status for _ in range(5)} == {200}
        stream = begun(edge, stack)
        slab = next(link for link in Path(f"/proc/{edge.process.pid}/fd").iterdir()
                    if str(link.readlink()).startswith("/memfd:edge "))
        with slab.open("r+b") as memory:
            memory.seek(8)              # the header's second word
            memory.write(b"another!")
        upgrade(edge)
        assert "counters and limits begin anew" in edge.log()
        assert edge.metric("edge_requests_total", condition="ok") == 0
        assert ask(edge.port, chat()).status == 200 and whole(stream)
        stream.socket.close()
        said(edge, COMPLETE)
        assert edge.metric("edge_requests_total", condition="ok") == 1


def test_retirement_has_a_limit(simulator: Simulator, tmp_path: Path) -> None:
    """What outlives drain_timeout is told so; systemd hears of the upgrade, and a SIGTERM during it ends everything."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, contextlib.ExitStack() as stack:
        systemd.bind(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        edge = stack.enter_context(Gateway(configuration(simulator.url, drain_timeout=3), environ=environ))
        stream = begun(edge, stack, "tokens=900;delay=100")
        upgrade(edge)
        body = stream.answer().body
        assert body.count(b"event: error") == 1 and b"[DONE]" not in body
        said(edge, COMPLETE)
        stream = begun(edge, stack)
        upgrade(edge, 2)
        edge.process.send_signal(signal.SIGTERM)
        assert whole(stream)
        assert edge.process.wait(10) == 0
        told = [systemd.recv(4096).split(b"\n")[0] for _ in range(6)]
        assert told == [b"READY=1", *[b"RELOADING=1", b"READY=1"] * 2, b"STOPPING=1"]


def test_a_quick_start_says_no(tmp_path: Path) -> None:
    """A gateway that made its own key cannot be started again with it, and says so instead of losing it."""
    with Command(tmp_path, bare(tmp_path), "--workers", "1") as edge:
        edge.until(lambda said: "deploy/edge.example.yaml" in said)
        edge.process.send_signal(signal.SIGUSR2)
        assert edge.process.stderr is not None
        log = b""
        while b"no upgrade" not in log:
            piece = os.read(edge.process.stderr.fileno(), 4096)
            assert piece, log
            log += piece
        assert edge.process.poll() is None


@pytest.mark.parametrize("what", ["upgrade", "reload"])
def test_under_load(what: str) -> None:
    """Under load an upgrade and a reload fail no request and cut no stream, and no slot stays taken."""
    assert storm(what, 1, 2).broken == []
