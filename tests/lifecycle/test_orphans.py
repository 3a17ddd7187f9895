"""The supervisor is killed and started again at once: its port is the new one's, and no client is turned away."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from edge.process import claims
from tests.lifecycle.command import lives
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Canary, Talk, ask, chat

SECOND = "sk-second-0123456789abcdef"


def killed(edge: Gateway) -> list[int]:
    """Kills the supervisor; its children."""
    children = edge.children()
    os.kill(edge.process.pid, signal.SIGKILL)
    edge.process.wait()
    return children


def on_ports_of(edge: Gateway, config: dict[str, Any], **more: Any) -> Gateway:
    """Another gateway on the same ports."""
    return Gateway({**config, "port": edge.port, "admin": {"port": edge.admin_port}}, **more)


def listening(pid: int, port: int) -> bool:
    """Whether a process has a socket that listens on a port."""
    inodes = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
              if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")}
    links = []
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(entry.readlink()))
    return any(f"socket:[{inode}]" in links for inode in inodes)


def test_killed_and_started_again(simulator: Simulator) -> None:
    """The new gateway serves at once, as it is configured; streams of the old one end well; nobody is turned away."""
    config = configuration(simulator.url, workers=2, drain_timeout=10)
    with Gateway(config) as edge, Talk(edge.port) as stream, Canary(edge.port) as canary:
        stream.send(chat(stream=True, fault="tokens=200;delay=40"))
        assert stream.socket.recv(1, socket.MSG_PEEK)
        canary.wait(20)
        children, died = killed(edge), time.monotonic()
        keys = [*config["keys"], {"name": "second", "key": "env:SECOND_KEY"}]
        with on_ports_of(edge, {**config, "keys": keys}, environ={"SECOND_KEY": SECOND}) as new:
            soon = time.monotonic() - died < 2.5        # a machine that has much else to do starts it too late
            new.wait(lambda: not any(listening(pid, edge.port) for pid in children))
            assert {ask(new.port, chat(key=SECOND)).status for _ in range(20)} == {200}
            assert any(lives(pid) for pid in children)
            canary.wait(canary.served + 20)
            body = stream.answer().body
            assert body.endswith(b"data: [DONE]\n\n") and body.count(b"\n\n") >= 200
            stream.socket.close()
            new.wait(lambda: not any(lives(pid) for pid in children))
            assert canary.failures == [] or not soon


def test_a_port_of_the_living(simulator: Simulator) -> None:
    """Again and again killed and started the port stays one gateway's: a second one beside the living is refused."""
    config = configuration(simulator.url, drain_timeout=2)
    with Gateway(config) as edge:
        killed(edge)
        with on_ports_of(edge, config) as second:
            killed(second)
            with on_ports_of(edge, config) as third:
                assert ask(third.port, chat()).status == 200
                for address in ("127.0.0.1", "0.0.0.0"):
                    with pytest.raises(AssertionError, match="in use"):
                        on_ports_of(edge, {**config, "listen_addr": address}).__enter__()


def test_who_is_no_orphan_of_ours_keeps_the_port(simulator: Simulator) -> None:
    """A port that another program shares by SO_REUSEPORT, without a mark, is in use."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(AssertionError, match="in use"):
            Gateway(configuration(simulator.url, port=other.getsockname()[1])).__enter__()


def test_a_word_of_nobody_moves_no_worker_of_the_living(simulator: Simulator) -> None:
    """Who tells the workers of a living supervisor to leave is not heard."""
    with Gateway(configuration(simulator.url)) as edge:
        assert claims.orphans("127.0.0.1", edge.port)
        claims.dismiss("127.0.0.1", edge.port)
        for _ in range(20):
            assert ask(edge.port, chat()).status == 200
        assert any(listening(pid, edge.port) for pid in edge.children())


def test_who_stands_still_leaves_as_well(simulator: Simulator) -> None:
    """An orphan that does not hear is killed: its share of the clients would wait for ever."""
    config = configuration(simulator.url, workers=2)
    with Gateway(config) as edge:
        for pid in edge.children():
            os.kill(pid, signal.SIGSTOP)
        children = killed(edge)
        try:
            with on_ports_of(edge, config) as new:
                new.wait(lambda: not any(lives(pid) for pid in children), 30)
                assert {ask(new.port, chat()).status for _ in range(20)} == {200}
                assert sum("stands still on our port" in line["message"] for line in new.log_lines()) == 3
        finally:
            for pid in filter(lives, children):
                os.kill(pid, signal.SIGKILL)
