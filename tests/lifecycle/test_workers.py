"""A worker or control dies: it is back within a second, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import httpx2 as httpx
import pytest

from tests.support.gateway import Gateway
from tests.support.looks import at_rest, faults, figures, worker_of
from tests.support.talk import Canary, Gone, Talk, chat, request

HEALTH = request(method="GET", path="/health", key=None)


def kept(edge: Gateway, stack: contextlib.ExitStack, count: int = 12) -> dict[int, list[Talk]]:
    """Connections that have been served once, by worker; more until every worker has one."""
    found: dict[int, list[Talk]] = {pid: [] for pid in edge.children()[1:]}
    while sum(map(len, found.values())) < count or not all(found.values()):
        talk = stack.enter_context(Talk(edge.port))
        assert talk.send(HEALTH).answer("GET").status == 200
        found[worker_of(edge, talk)].append(talk)
    return found


@pytest.mark.parametrize("which", [1, 2])
def test_killed_worker_is_back_within_a_second(edge: Gateway, which: int) -> None:
    """From a worker's death to its successor's first answer less than a second passes, and no connection is refused."""
    victim = edge.children()[which]
    edge.wait(lambda: all(worker["heartbeat_age"] is not None for worker in figures(edge)["workers"]))
    os.kill(victim, signal.SIGKILL)
    died = time.monotonic()
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)).send(HEALTH) for _ in range(40)]
        for talk in talks:
            assert talk.answer("GET").status == 200
    took = time.monotonic() - died
    assert took < 1.0, f"it took {took:.2f} s"
    assert victim not in edge.children() and len(edge.children()) == 3
    assert edge.metric("edge_worker_restarts_total") == 1
    assert any("died" in line["message"] and line["level"] == "error" for line in edge.log_lines())


def test_queued_connections_are_not_reset(edge: Gateway) -> None:
    """Connections that wait for a worker that never gets to accept them are served by its successor."""
    workers = edge.children()[1:]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)).send(chat()) for _ in range(60)]
        assert all(talk.silent(0.001) for talk in talks)
        os.kill(workers[0], signal.SIGKILL)
        os.kill(workers[1], signal.SIGCONT)
        assert [talk.answer().status for talk in talks] == [200] * 60
    at_rest(edge)


def test_all_workers_killed(edge: Gateway) -> None:
    """When all workers die at once, connections wait and are served, and no count of requests in flight stays."""
    with contextlib.ExitStack() as stack:
        lost = [stack.enter_context(Talk(edge.port)).send(chat(fault="hang")) for _ in range(10)]
        edge.wait(lambda: figures(edge)["in_flight"] == 10)
        for pid in edge.children()[1:]:
            os.kill(pid, signal.SIGKILL)
        talks = [stack.enter_context(Talk(edge.port)).send(chat()) for _ in range(20)]
        assert [talk.answer().status for talk in talks] == [200] * 20
        for talk in lost:
            with pytest.raises(Gone):
                talk.answer()
    at_rest(edge)
    assert edge.metric("edge_connections") >= 0
    assert edge.metric("edge_requests_in_flight") == 0


def test_requests_of_other_workers_go_on(edge: Gateway) -> None:
    """Streams and kept connections of the other worker live through a worker's death."""
    with contextlib.ExitStack() as stack:
        by_worker = kept(edge, stack)
        victim, other = edge.children()[1:]
        streams = [talk.send(chat(stream=True, fault="tokens=40;delay=20")) for talk in by_worker[other]]
        assert all(talk.socket.recv(1, 2) for talk in streams)          # MSG_PEEK: the head has come
        os.kill(victim, signal.SIGKILL)
        for talk in streams:
            answer = talk.answer()
            assert answer.status == 200 and answer.body.endswith(b"data: [DONE]\n\n")
            assert answer.body.count(b"\n\n") >= 40
            assert talk.send(chat()).answer().status == 200
        for talk in by_worker[victim]:
            with pytest.raises(Gone):
                talk.send(chat()).answer()


def test_a_worker_that_dies_again_and_again(edge: Gateway) -> None:
    """A worker that keeps dying is started ever more slowly, while the others serve; it is given up never."""
    with contextlib.ExitStack() as stack:
        steady = kept(edge, stack)[edge.children()[2]][0]
        slot = edge.children()[1]
        pauses = []
        for _ in range(3):
            others = set(edge.children())
            os.kill(slot, signal.SIGKILL)
            died = time.monotonic()
            slot = edge.wait(lambda: next(iter(set(edge.children()) - others), None))     # noqa: B023 - called here
            pauses.append(time.monotonic() - died)
            assert steady.send(chat()).answer().status == 200
        assert pauses[2] > pauses[0] and pauses[2] < 3


def test_control_dies_unnoticed(edge: Gateway) -> None:
    """Control's death fails no request and no scrape, and counters go on from where they were."""
    with Canary(edge.port) as canary:
        canary.wait(50)
        before = edge.metric("edge_requests_total", condition="ok")
        accepted = edge.metric("edge_connections_accepted_total")
        assert before >= 50
        control = edge.children()[0]
        os.kill(control, signal.SIGKILL)
        died = time.monotonic()
        assert httpx.get(f"{edge.admin}/livez", timeout=10).status_code == 200     # its socket is kept: no refusal
        assert time.monotonic() - died < 2
        assert edge.metric("edge_requests_total", condition="ok") >= before
        assert edge.metric("edge_connections_accepted_total") >= accepted
        canary.wait(canary.served + 50)
    assert canary.failures == [] and canary.slowest < 0.5
    assert control not in edge.children() and len(edge.children()) == 3
    assert edge.reload().status_code == 200
    assert faults(edge) == []


def test_control_dies_during_a_reload(edge: Gateway) -> None:
    """A control that dies while a reload is on its way leaves a gateway that reloads."""
    control = edge.children()[0]
    os.kill(control, signal.SIGSTOP)
    edge.process.send_signal(signal.SIGHUP)
    os.kill(control, signal.SIGKILL)
    assert edge.reload().json()["version"] >= 2
    assert edge.metric("edge_config_version") >= 2
