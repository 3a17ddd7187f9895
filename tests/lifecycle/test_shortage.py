"""A machine that runs short of memory, of descriptors or of disk: what can be served is, the rest is told so."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, asked, chat, in_contract, request

MEMORY = 8_000_000
LARGE = request(asked(text="y" * 3_000_000))
CHUNKED = request(key=None, transfer_encoding="chunked", content_type="application/json",
                  authorization="Bearer sk-test-0123456789abcdef") + b"%x\r\n" % (1 << 30)


@pytest.fixture
def small(simulator: Simulator) -> Iterator[Gateway]:
    """One worker that may hold little."""
    with Gateway(configuration(simulator.url, limits={"memory_bytes": MEMORY})) as running:
        yield running
        assert faults(running) == []


def memory(edge: Gateway) -> float:
    """What the worker says it holds."""
    return edge.metric("edge_memory_bytes", worker="0")


def fill(edge: Gateway, stack: contextlib.ExitStack) -> None:
    """Two bodies that take nearly all there is, until the stack is closed."""
    for _ in range(2):
        stack.enter_context(Talk(edge.port)).send(CHUNKED + b" " * int(MEMORY * 0.47))
    edge.wait(lambda: memory(edge) > MEMORY * 0.92)


@pytest.mark.parametrize("begin", [LARGE[:2_900_000], CHUNKED + b" " * 2_900_000], ids=["length", "chunks"])
def test_bodies_beyond_memory(small: Gateway, begin: bytes) -> None:
    """The body that would pass the ceiling is refused alone; small requests go on, and room comes back."""
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(small.port)).send(begin) for _ in range(2)]
        small.wait(lambda: memory(small) > 5_500_000)
        beyond = stack.enter_context(Talk(small.port)).send(begin)
        in_contract(beyond.answer(), "out_of_memory")
        assert beyond.end() in ("fin", "reset")
        small.wait(lambda: memory(small) < 6_000_000)
        assert [ask(small.port, chat()).status for _ in range(3)] == [200] * 3
        if begin[:100] == LARGE[:100]:
            assert talks[0].send(LARGE[2_900_000:]).answer().status == 200
    small.wait(lambda: memory(small) == 0)
    assert ask(small.port, LARGE).status == 200


def test_shedding_before_memory_ends(small: Gateway) -> None:
    """Near the ceiling bodies are refused on the head, without ending the connection; what has none is served."""
    with contextlib.ExitStack() as stack, Talk(small.port) as talk:
        assert talk.send(chat()).answer().status == 200
        fill(small, stack)
        answer = in_contract(talk.send(chat()).answer(), "out_of_memory")
        assert answer.header("connection") is None and answer.header("retry-after") == "1"
        assert talk.send(request(path="/stats", method="GET")).answer("GET").status == 200
        stack.close()
        small.wait(lambda: memory(small) == 0)
        assert talk.send(chat()).answer().status == 200


def test_heads_beyond_memory(small: Gateway) -> None:
    """A client whose half head passes the ceiling is told so in contract, and no fault is logged."""
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        talks = [stack.enter_context(Talk(small.port)).send(b"GET / HTTP/1.1\r\nx: " + b"h" * 7000) for _ in range(200)]
        small.wait(lambda: small.metric("edge_requests_total", condition="out_of_memory") > 50)
        told = [talk for talk in talks if not talk.silent(0)]
        assert len(told) > 50
        for talk in told:
            in_contract(talk.answer(), "out_of_memory")


def test_requests_behind_another_beyond_memory(small: Gateway) -> None:
    """Requests that there is no memory for, behind one that is on its way, do not harm it: it ends its connection."""
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(small.port)).send(chat(fault="latency=2000")) for _ in range(40)]
        small.wait(lambda: small.metric("edge_requests_in_flight") == 40)
        fill(small, stack)
        for talk in talks:
            talk.send(chat(text="y" * 50_000))
        answers = [talk.answer() for talk in talks]
        assert {answer.status for answer in answers} == {200}
        assert sum(answer.header("connection") == "close" for answer in answers) > 5


def test_answers_beyond_memory(simulator: Simulator) -> None:
    """An answer that cannot be held is 500 in contract; the next one is served, by the same worker."""
    with Gateway(configuration(simulator.url, limits={"memory_bytes": 300_000})) as edge:
        children = edge.children()
        in_contract(ask(edge.port, chat(fault="big=600000")), "out_of_memory")
        found = ask(edge.port, chat(stream=True, fault="tokens=5000"))
        assert found.status == 200 and found.body.endswith(b"data: [DONE]\n\n")
        assert ask(edge.port, chat()).status == 200
        edge.wait(lambda: memory(edge) == 0)
        assert edge.children() == children and faults(edge) == []
        assert edge.metric("edge_requests_total", condition="out_of_memory") == 1


def test_clients_that_do_not_read_count(small: Gateway) -> None:
    """Answers that wait for their readers are in the account, and leave it with them."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            talk = stack.enter_context(Talk(small.port))
            talk.send(*[chat(fault="big=800000")] * 8)
        small.wait(lambda: memory(small) > 1_000_000)
    at_rest(small)
    small.wait(lambda: memory(small) == 0)


@pytest.mark.unsanitized
def test_an_allocation_that_fails(simulator: Simulator) -> None:
    """Where the system itself has no memory left, the request that wants it is refused, and the worker lives."""
    with Gateway(configuration(simulator.url)) as edge:
        worker = edge.children()[1]
        assert ask(edge.port, chat()).status == 200
        used = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * resource.getpagesize()
        before = resource.prlimit(worker, resource.RLIMIT_AS, (used + 8_000_000, resource.RLIM_INFINITY))
        with Talk(edge.port) as kept:
            assert kept.send(chat()).answer().status == 200
            in_contract(ask(edge.port, request(asked(text="y" * 30_000_000))), "out_of_memory")
            assert kept.send(chat()).answer().status == 200
            resource.prlimit(worker, resource.RLIMIT_AS, before)
            assert ask(edge.port, request(asked(text="y" * 16_000_000))).status == 200
        assert edge.children()[1] == worker and faults(edge) == []


def descriptors_of(pid: int) -> set[int]:
    """Its open descriptors."""
    return {int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir()}


@contextlib.contextmanager
def descriptors(pid: int, free: int) -> Iterator[None]:
    """The process may open so many more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = descriptors_of(pid)
    low = next(n for n in range(len(taken) + free + 1) if n - len([fd for fd in taken if fd < n]) == free)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (low, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_descriptor_for_a_provider(simulator: Simulator, host: str) -> None:
    """A provider that cannot be dialled for want of descriptors is not blamed, and the client's connection lives."""
    with Gateway(configuration(simulator.url.replace("127.0.0.1", host))) as edge, Talk(edge.port) as talk:
        worker = edge.children()[1]
        assert talk.send(request(path="/stats", method="GET")).answer("GET").status == 200
        with descriptors(worker, 0):
            answer = in_contract(talk.send(chat()).answer(), "gateway_overloaded")
            assert "file descriptors" in answer.json["error"]["message"] and answer.header("retry-after") == "1"
            assert answer.header("connection") is None
        assert talk.send(chat()).answer().status == 200
        assert edge.metric("edge_requests_total", condition="provider_unreachable") == 0
        assert edge.children()[1] == worker and faults(edge) == []


def test_no_descriptor_for_a_client(simulator: Simulator) -> None:
    """Clients beyond the last descriptor are told 503 in contract; those who are here are served meanwhile."""
    with Gateway(configuration(simulator.url)) as edge, Talk(edge.port) as here:
        worker = edge.children()[1]
        assert here.send(chat()).answer().status == 200
        with descriptors(worker, 2), contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(Talk(edge.port))
            for _ in range(5):
                with Talk(edge.port) as beyond:
                    in_contract(beyond.answer(), "gateway_overloaded")
            assert here.send(chat()).answer().status == 200
        edge.wait(lambda: ask(edge.port, chat()).status == 200)
        assert faults(edge) == []


class Full(Gateway):
    """Its standard output and error are a device on which there is never room (full(4))."""

    def __enter__(self) -> Full:
        self.errors = Path("/dev/full")
        super().__enter__()
        return self

    def log(self) -> str:
        """Nothing was written."""
        return ""


def test_a_log_on_a_full_disk(simulator: Simulator) -> None:
    """With no room for a line of log everything is served as before, and the lost lines are counted."""
    with Full(configuration(simulator.url, debug=True, workers=2)) as edge:
        children = edge.children()
        for _ in range(20):
            assert ask(edge.port, chat()).status == 200
            in_contract(ask(edge.port, chat(fault="status=500")), "provider_error")
        assert edge.reload().status_code == 200
        assert edge.metric("edge_log_lines_lost_total") >= 40
        assert edge.children() == children
        assert edge.stop() == 0


def test_a_disk_that_has_room_again(simulator: Simulator) -> None:
    """A line that was cut off by the disk's end does not spoil the first one behind it, which tells of the loss."""
    with Gateway(configuration(simulator.url, circuit_breaker={"enabled": False})) as edge:
        worker = edge.children()[1]
        room = edge.errors.stat().st_size + 50
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        for _ in range(5):
            in_contract(ask(edge.port, chat(fault="status=500")), "provider_error")
        assert edge.metric("edge_log_lines_lost_total") == 5
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        in_contract(ask(edge.port, chat(fault="status=500")), "provider_error")
        told, last = edge.wait(lambda: len(lines := edge.log().splitlines()) > 1 and lines[-2:])
        assert '"dropped":5' in told and '"condition":"provider_error"' in last
        assert edge.metric("edge_log_lines_lost_total") == 5


def test_admin_and_health_without_memory(small: Gateway) -> None:
    """While bodies are refused for want of memory, health, metrics and admin answer."""
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        in_contract(ask(small.port, chat()), "out_of_memory")
        assert httpx.get(f"{small.url}/health").status_code == 200
        assert httpx.get(f"{small.admin}/admin/workers").json()["workers"][0]["memory"] > MEMORY * 0.9
