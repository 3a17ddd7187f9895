"""nginx before the gateway, as README.md sets it up."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.provider import Line, Provider
from tests.support.talk import chat

README = Path(__file__).parents[2] / "README.md"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"first"}}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs Debian's nginx")
def test_nginx_hands_a_stream_on_as_it_comes(tmp_path: Path) -> None:
    """The first event is with the client before the provider has sent the second."""
    seen = threading.Event()

    def script(line: Line) -> None:
        while line.request():
            line.send(HEAD + b"%x\r\n%b\r\n" % (len(FIRST), FIRST))
            assert seen.wait(20)
            line.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(LAST), LAST))

    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with Provider(script) as provider, Gateway(configuration(provider.url)) as edge:
        found = re.search(r"```text\n# nginx.*?\n(.*?)```", README.read_text(), re.S)
        assert found is not None
        site = found[1].replace("127.0.0.1:8766", f"127.0.0.1:{edge.port}")
        site = site.replace("listen 8080", f"listen 127.0.0.1:{port}")
        kinds = "".join(f"{kind}_temp_path {tmp_path};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (tmp_path / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{kinds}{site}}}\n")
        front = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"],
                                 stderr=subprocess.DEVNULL)
        try:
            edge.wait(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(chat(stream=True))
                said = b""
                while b"first" not in said:
                    said += client.recv(65536)
                assert b"[DONE]" not in said
                seen.set()
                while b"[DONE]" not in said:
                    said += client.recv(65536)
        finally:
            seen.set()
            front.terminate()
            front.wait(10)
