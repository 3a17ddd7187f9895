"""The kernel refuses a call: what hangs on it alone is lost, and said; the listener and all others go on."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest
from tests.support.simulator import Simulator
from tests.support.talk import Gone, Talk, ask, chat

ACCEPT, EPOLL, SEND = range(3)
# accept(2): what one connection's network says, a firewall, and a want of memory that passes.
PASSING = ("ECONNABORTED", "EINTR", "EPROTO", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH",
           "EOPNOTSUPP", "ENETUNREACH", "ETIMEDOUT", "EPERM", "ENOMEM", "ENOBUFS", "EMFILE", "ENFILE")
Refuse = Callable[[int, str, int], None]


@pytest.fixture(scope="module")
def kernel(running: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Refuse]]:
    """A gateway, and what makes a call of its fail with an error so many times."""
    folder = tmp_path_factory.mktemp("kernel")
    library, file = folder / "kernel.so", folder / "told"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("kernel.c")], check=True)
    file.write_bytes(bytes(24))
    preload = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))

    def refuse(which: int, error: str, times: int) -> None:
        with file.open("r+b") as told:
            told.seek(8 * which)
            told.write(struct.pack("ii", getattr(errno, error), times))

    with Gateway(configuration(running.url), environ={"LD_PRELOAD": preload, "KERNEL_FILE": str(file)}) as edge:
        yield edge, refuse


@pytest.mark.parametrize("error", PASSING)
def test_accept_goes_on(kernel: tuple[Gateway, Refuse], error: str) -> None:
    """An error that accept(2) passes on ends no listener: the next clients are served by the same worker."""
    edge, refuse = kernel
    children = edge.children()
    refuse(ACCEPT, error, 3)
    with contextlib.ExitStack() as stack:
        for talk in [stack.enter_context(Talk(edge.port)).send(chat()) for _ in range(8)]:
            with contextlib.suppress(Gone):
                assert talk.answer().status in (200, 503)
    assert ask(edge.port, chat()).status == 200
    assert edge.children() == children


@pytest.mark.parametrize("error", ["ENOSPC", "ENOMEM"])
def test_one_client_that_cannot_be_watched(kernel: tuple[Gateway, Refuse], error: str) -> None:
    """A client whom epoll does not take is let go, the fault is logged, and the next ones are served."""
    edge, refuse = kernel
    children = edge.children()
    refuse(EPOLL, error, 1)
    with Talk(edge.port) as talk, pytest.raises((Gone, OSError)):
        talk.send(chat()).answer()
    assert {ask(edge.port, chat()).status for _ in range(5)} == {200}
    assert edge.children() == children
    at_rest(edge)


@pytest.mark.parametrize("error", ["EBADF", "EINVAL", "ENOTSOCK"])
def test_a_lost_listener_ends_its_worker(kernel: tuple[Gateway, Refuse], error: str) -> None:
    """A worker that cannot take clients any more ends, and its successor takes those who wait."""
    edge, refuse = kernel
    worker = edge.children()[1]
    refuse(ACCEPT, error, 1)
    with Talk(edge.port) as talk:
        assert talk.send(chat()).answer().status == 200
    assert worker not in edge.children()
    assert "listening socket is lost" in edge.log()


@pytest.mark.parametrize("error", ["ENOBUFS", "ENOMEM"])
def test_an_answer_that_cannot_go_on(kernel: tuple[Gateway, Refuse], error: str) -> None:
    """A part of an answer that the kernel does not take breaks the connection off: no rest is taken for the whole."""
    edge, refuse = kernel
    with Talk(edge.port) as talk:
        talk.send(chat(stream=True, fault="tokens=30;delay=30"))
        assert talk.socket.recv(1, 2)
        refuse(SEND, error, 1)
        with pytest.raises((Gone, OSError)):
            talk.answer()
    refuse(SEND, error, 0)
    assert {ask(edge.port, chat()).status for _ in range(5)} == {200}
    at_rest(edge)


@pytest.mark.parametrize("error", ["ENOBUFS", "ENOMEM"])
def test_a_request_that_cannot_go_on(kernel: tuple[Gateway, Refuse], error: str) -> None:
    """A request that the kernel does not take whole is no request: it goes on another connection, or fails at once."""
    edge, refuse = kernel
    refuse(SEND, error, 1)
    assert ask(edge.port, chat()).status in (200, 502)
    assert {ask(edge.port, chat()).status for _ in range(5)} == {200}
    at_rest(edge)
