"""How a provider's TLS ends: an answer that only the connection's end completes needs TLS's own end before that."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h11
import pytest
import trustme

from tests.faults.stage import SSE, head
from tests.support.gateway import Gateway, configuration
from tests.support.talk import Answer, Talk, chat, request

CHAT = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}'
STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'


class Server:
    """Answers each connection once, without a length, and ends it with TLS's end or without."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.reply, self.polite = b"", True
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                plain, _ = self.listener.accept()
                plain.settimeout(5)
                with self.context.wrap_socket(plain, server_side=True) as line:
                    line.recv(65536)
                    line.sendall(self.reply)
                    if self.polite:
                        line.unwrap().close()
                    else:
                        line.shutdown(socket.SHUT_RDWR)
            except ssl.SSLError:
                continue
            except OSError:
                if self.listener.fileno() < 0:
                    return


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Server]]:
    """A gateway before such a server."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    roots: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(roots))
    with ExitStack() as stack:
        server = Server(context)
        stack.callback(server.listener.close)
        config = configuration("", circuit_breaker={"enabled": False})
        config["providers"] = {"openai": {"kind": "openai", "base_url": f"https://127.0.0.1:{server.port}/v1",
                                          "key": "env:PROVIDER_KEY", "ca_bundle": str(roots)}}
        yield stack.enter_context(Gateway(config)), server


@pytest.mark.parametrize("polite", [True, False])
@pytest.mark.parametrize("what", ["plain", "stream", "file"])
def test_an_answer_that_ends_with_its_connection(stage: tuple[Gateway, Server], what: str, polite: bool) -> None:
    """It is whole where TLS has ended before the connection, and cut where it has not (RFC 9112 section 9.8)."""
    edge, server = stage
    server.polite = polite
    server.reply = head(SSE if what == "stream" else "content-type: application/json\r\n") + (
        STREAM if what == "stream" else CHAT if what == "plain" else b"line 1\n")
    data = (request(b"", path="/v1/files/file-1/content", method="GET") if what == "file"
            else chat(stream=what == "stream"))
    with Talk(edge.port) as talk:
        talk.send(data)
        if what == "file" and not polite:
            with pytest.raises(h11.RemoteProtocolError):
                talk.answer("GET")
            return
        found: Answer = talk.answer("GET" if what == "file" else "POST")
    if polite:
        assert found.status == 200 and (what != "stream" or found.body.endswith(b"data: [DONE]\n\n"))
    elif what == "stream":
        assert b"event: error" in found.body and b"[DONE]" not in found.body
    else:
        assert (found.status, found.header("x-edge-condition")) == (502, "provider_cut")
