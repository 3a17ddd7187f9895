"""Files on relayed paths that are longer than what the gateway holds of a body go on as they come."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import openai
import pytest
import trustme

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.looks import at_rest, faults, resident
from tests.support.provider import Line, Provider, answer, echo, said
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, chat, in_contract, request

HELD, LONGEST = 100_000, 64 << 20           # limits.body_bytes, limits.upload_bytes
FILE = os.urandom(1 << 20) * 20
SLOW = 64 << 20                             # more than all sockets and the gateway hold of a file, several times
SECONDS = 1.0                               # that a client or a provider may pause in the middle of a file


class Uploads:
    """A gateway, and the provider behind it; `heads` are those that the provider has read."""

    def __init__(self, stack: ExitStack, tls: ssl.SSLContext | None = None, ca: Path | None = None) -> None:
        self.tls = tls
        self.script: Callable[[Line], None] = echo
        self.heads: SimpleQueue[bytes] = SimpleQueue()
        self.provider = stack.enter_context(Provider(self._serve))
        names = {"named": "one", "*": "one"}
        config = configuration("", timeout=10, models=names, retry={"max": 2, "backoff": 0.1}, limits={
            "body_bytes": HELD, "upload_bytes": LONGEST, "body_timeout": SECONDS, "body_rate": 0})
        url = self.provider.url if tls is None else self.provider.url.replace("http", "https")
        config["providers"] = {"one": {"kind": "openai", "base_url": f"{url}/v1", "key": "env:PROVIDER_KEY",
                                       "max_connections": 1, **({} if ca is None else {"ca_bundle": str(ca)})}}
        self.edge = stack.enter_context(Gateway(config))
        self.port = self.edge.port

    def _serve(self, line: Line) -> None:
        if self.tls is not None:
            line.socket = self.tls.wrap_socket(line.socket, server_side=True)
        self.script(line)

    def play(self, script: Callable[[Line], None]) -> None:
        """From the next connection on; those that are open end."""
        self.script = script
        self.provider.hang_up()


@pytest.fixture(scope="module")
def plain() -> Iterator[Uploads]:
    """Over TCP."""
    with ExitStack() as stack:
        yield Uploads(stack)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploads]:
    """Over TLS."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ExitStack() as stack:
        yield Uploads(stack, context, folder / "ca.pem")


@pytest.fixture(params=["plain", "secure"])
def uploads(request: pytest.FixtureRequest) -> Iterator[Uploads]:
    """Both; each test leaves the gateway at rest and without a fault."""
    chosen: Uploads = request.getfixturevalue(request.param)
    yield chosen
    chosen.play(echo)
    at_rest(chosen.edge)
    assert faults(chosen.edge) == []
    assert chosen.edge.metric("edge_worker_restarts_total") == 0


def upload(size: int, **fields: str) -> bytes:
    """The head of a file's upload."""
    return request(path="/v1/files", content_length=str(size), content_type="multipart/form-data", **fields)


def sizes(line: Line) -> None:
    """A script: tells each request's length and digest. `x-wait` holds the reading of the body back for a moment."""
    while head := line.head():
        left = next(int(field.split(b":")[1]) for field in head.split(b"\r\n") if field.startswith(b"content-length"))
        digest, size = hashlib.sha256(line.buffer[:left]), min(left, len(line.buffer))
        line.buffer = line.buffer[size:]
        while size < left:
            piece = line.socket.recv(min(1 << 18, left - size))
            if not piece:
                return
            digest.update(piece)
            size += len(piece)
        line.send(answer(b'{"size": %d, "digest": "%s"}' % (size, digest.hexdigest().encode())))


def test_files_come_through_whole(uploads: Uploads) -> None:
    """Long files arrive byte for byte, one after the other on one connection, and short ones between them."""
    uploads.play(sizes)
    with Talk(uploads.port) as talk:
        for size in (HELD + 1, len(FILE), 10, 1 << 20, HELD):
            told = talk.send(upload(size), FILE[:size]).answer()
            assert (told.status, told.json) == (200, {
                "size": size, "digest": hashlib.sha256(FILE[:size]).hexdigest()})


def test_requests_behind_a_file_in_one_write(uploads: Uploads) -> None:
    """What is pipelined behind a file is a request of its own."""
    uploads.play(sizes)
    size = HELD + 1
    with Talk(uploads.port) as talk:
        talk.send((upload(size) + FILE[:size]) * 3)
        assert [talk.answer().json["size"] for _ in range(3)] == [size] * 3


def test_continue_is_said_before_a_file(uploads: Uploads) -> None:
    """A client that waits for 100 Continue gets it, and one whose file is too long gets the refusal instead."""
    uploads.play(sizes)
    with Talk(uploads.port) as talk:
        talk.send(upload(1 << 20, expect="100-continue"))
        assert talk.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert talk.send(FILE[:1 << 20]).answer().json["size"] == 1 << 20
    in_contract(ask(uploads.port, upload(LONGEST + 1, expect="100-continue")), "body_too_large")


@pytest.mark.parametrize("data", [
    upload(LONGEST + 1), request(b"x" * (HELD + 1)), request(b"x" * (HELD + 1), path="/v1/embeddings")],
    ids=["file", "chat", "embeddings"])
def test_longest_bodies(uploads: Uploads, data: bytes) -> None:
    """A file over limits.upload_bytes and JSON over limits.body_bytes are refused on their heads."""
    in_contract(ask(uploads.port, data), "body_too_large")


@pytest.mark.unsanitized
def test_a_slow_provider_holds_the_client_back(uploads: Uploads) -> None:
    """While the provider does not read, the gateway takes a bounded part of the file, and its memory does not grow."""
    go = threading.Event()

    def script(line: Line) -> None:
        go.wait(10)
        sizes(line)

    uploads.play(script)
    worker = uploads.edge.children()[1]
    with Talk(uploads.port) as talk:
        before = resident(worker)
        talk.send(upload(SLOW))
        talk.socket.setblocking(False)
        sent, piece = 0, bytes(1 << 20)
        while sent < SLOW and select.select([], [talk.socket], [], 0.3)[1]:
            sent += talk.socket.send(piece[:SLOW - sent])
        assert sent < SLOW and resident(worker) - before < 8 << 20
        go.set()
        talk.socket.setblocking(True)
        while sent < SLOW:
            sent += talk.socket.send(piece[:SLOW - sent])
        assert talk.answer().json["size"] == SLOW


def test_an_answer_before_the_end_of_the_file(uploads: Uploads) -> None:
    """A provider that refuses a file before it has read it is heard, and the connection ends, as the rest is unread."""
    def script(line: Line) -> None:
        line.head()
        line.send(answer(b'{"error": {"message": "no such purpose", "type": "invalid_request_error"}}',
                         status=b"400 Bad Request"))
        line.head()

    uploads.play(script)
    with Talk(uploads.port) as talk:
        told = talk.send(upload(1 << 20), FILE[:1 << 18]).answer()
        assert (told.status, told.header("connection")) == (400, "close")
        assert told.json["error"]["message"] == "no such purpose"
        assert talk.end() == "fin"
    uploads.script = echo
    assert ask(uploads.port, chat(text="text-after")).json["choices"][0]["message"]["content"] == "text-after"


@pytest.mark.parametrize("status", ["201 Created", "400 Bad Request", "413 Content Too Large", "422 x"])
def test_an_answer_of_who_goes_in_the_middle(plain: Uploads, status: str) -> None:
    """A provider that answers and closes without reading the file has been heard, though its network says reset."""
    def script(line: Line) -> None:
        line.head()
        line.send(answer(b'{"error": {"message": "enough"}}', b"connection: close", status=status.encode()))
    for _ in range(8):
        plain.play(script)
        found = ask(plain.port, upload(8 << 20))
        assert (found.status, found.json) == (int(status[:3]), {"error": {"message": "enough"}})
    plain.play(echo)


@pytest.mark.parametrize("part", [0, 1 << 18])
def test_a_client_that_leaves(uploads: Uploads, part: int) -> None:
    """The provider sees the end of the connection, never the end of the request."""
    ended: SimpleQueue[bytes] = SimpleQueue()

    def script(line: Line) -> None:
        uploads.heads.put(line.head())
        while piece := line.socket.recv(1 << 18):
            line.buffer += piece
        ended.put(line.buffer)

    uploads.play(script)
    with Talk(uploads.port) as talk:
        talk.send(upload(1 << 20), FILE[:part])
        assert uploads.heads.get(timeout=5)
    assert FILE[:part].startswith(ended.get(timeout=5))


def test_a_client_that_pauses(uploads: Uploads) -> None:
    """A client that sends nothing for limits.body_timeout gets 408, whatever the provider thinks."""
    uploads.play(sizes)
    in_contract(ask(uploads.port, upload(1 << 20) + FILE[:1 << 19]), "request_timeout")


def test_a_client_that_pauses_behind_an_answer(uploads: Uploads) -> None:
    """A client that stops sending when it has a part of the answer already is cut off, and gets no other answer."""
    more = threading.Event()

    def script(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")
        more.wait(10)
        while line.socket.recv(1 << 20):
            pass

    uploads.play(script)
    before = uploads.edge.metric("edge_requests_total", condition="request_timeout")
    with Talk(uploads.port) as talk:
        talk.send(upload(SLOW))
        while select.select([], [talk.socket], [], 0.3)[1]:
            talk.socket.send(bytes(1 << 16))
        more.set()
        told = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := talk.socket.recv(1 << 16):
                told += piece
    assert told.endswith(b"\r\n\r\nbegun") and told.count(b"HTTP/1.1 ") == 1
    assert uploads.edge.metric("edge_requests_total", condition="request_timeout") == before + 1


def test_a_client_that_takes_too_long() -> None:
    """A file that has not come when the request's time is over is its client's delay, not the provider's failure."""
    with Provider(sizes) as provider:
        config = configuration(provider.url, limits={"body_bytes": HELD, "body_timeout": 1})
        config["providers"]["openai"]["timeouts"] = {"total": 1.5}
        with Gateway(config) as edge, Talk(edge.port) as talk:
            talk.send(upload(1 << 20), FILE[:1 << 19])
            while talk.silent():
                talk.send(bytes(1 << 12))
            in_contract(talk.answer(), "request_timeout")
            assert edge.metric("edge_attempt_failures_total") == 0


def test_a_provider_that_does_not_read(uploads: Uploads) -> None:
    """A provider that takes no more of a file for that long is at fault itself: 504."""
    over = threading.Event()

    def script(line: Line) -> None:
        line.head()
        over.wait(10)

    uploads.play(script)
    with Talk(uploads.port) as talk:
        sender = threading.Thread(target=talk.send, args=[upload(SLOW), *[bytes(1 << 20)] * 64])
        sender.start()
        in_contract(talk.answer(), "provider_timeout")
        talk.socket.shutdown(socket.SHUT_RDWR)
        sender.join(10)
    over.set()


@pytest.mark.parametrize("how", ["cut", "503"])
def test_a_file_is_sent_once(uploads: Uploads, how: str) -> None:
    """Once some of a file has gone there is no further attempt, however the first one ends."""
    def script(line: Line) -> None:
        uploads.heads.put(line.request())
        if how == "503":
            line.send(answer(b'{"error": {"message": "busy"}}', status=b"503 Service Unavailable"))

    uploads.play(script)
    told = ask(uploads.port, upload(1 << 20) + FILE[:1 << 20])
    in_contract(told, "provider_error" if how == "503" else "provider_disconnected")
    assert len(uploads.heads.get(timeout=5)) > 1 << 20 and uploads.heads.empty()


def test_a_file_waits_for_a_connection(uploads: Uploads) -> None:
    """While all of the provider's connections are taken a file stays with the client, and goes on afterwards."""
    go = threading.Event()

    def script(line: Line) -> None:
        line.request()
        go.wait(10)
        line.send(said(b"text-first"))
        sizes(line)

    uploads.play(script)
    with Talk(uploads.port) as first, Talk(uploads.port) as second:
        first.send(chat())
        uploads.edge.wait(lambda: uploads.edge.metric("edge_requests_in_flight") == 1)
        second.send(upload(len(FILE)), FILE[:1 << 20])
        uploads.edge.wait(lambda: uploads.edge.metric("edge_requests_in_flight") == 2)
        go.set()
        assert first.answer().status == 200
        assert second.send(FILE[1 << 20:]).answer().json["size"] == len(FILE)


def test_the_openai_sdk_uploads_a_file() -> None:
    """A file that is not held comes to the provider and back, through the real SDK."""
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator())
        edge = stack.enter_context(Gateway(configuration(simulator.url, limits={"body_bytes": HELD})))
        client = stack.enter_context(openai.OpenAI(api_key=KEY, base_url=f"{edge.url}/v1", max_retries=0))
        made = client.files.create(file=("f.jsonl", io.BytesIO(FILE)), purpose="batch")
        assert made.bytes == len(FILE)
        assert client.files.content(made.id).read() == FILE


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/stats", "/v1/models"])
@pytest.mark.parametrize(("body", "fields"), [
    (b"hello", {"content_length": "5"}), (b"5\r\nhello\r\n0\r\n\r\n", {"transfer_encoding": "chunked"}),
    (b"x" * 100_000, {"content_length": "100000"}), (b"x", {"content_length": str(1 << 40)}),
    (b"", {"content_length": "5", "expect": "100-continue"})], ids=["short", "chunked", "long", "endless", "expected"])
def test_bodies_that_nobody_wants(plain: Uploads, path: str, body: bytes, fields: dict[str, str]) -> None:
    """The gateway's own routes answer a request with a body by its head, and the next request gets its own answer."""
    with Talk(plain.port) as talk:
        found = talk.send(request(path=path, method="GET", **fields) + body).answer("GET")
        assert found.status == (413 if str(1 << 40) in fields.values() and path in ("/stats", "/v1/models") else 200)
        if found.header("connection") == "close":
            assert body != b"hello" and talk.end() == "fin"
        else:
            assert talk.send(request(path="/health", method="GET")).answer("GET").status == 200
    assert plain.edge.metric("edge_worker_restarts_total") == 0
