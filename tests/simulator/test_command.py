"""Starting and stopping the simulator: the command, its own loop, a loop it is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import trustme
from click.testing import CliRunner

from edge.cli.simulate import simulate
from edge.simulator import FAULTS, Options, serve
from tests.simulator.wire import ask, chat
from tests.support.simulator import Simulator

COMMAND = [sys.executable, "-c", "from edge.cli.simulate import simulate; simulate()"]


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Path]]:
    """A certificate for 127.0.0.1, its key, and the authority that signed it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    cert, key, root = folder / "cert.pem", folder / "key.pem", folder / "root.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(root))
    yield cert, key, root


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command(number: signal.Signals) -> None:
    """The command says in one line where it listens, and ends well on SIGTERM and SIGINT."""
    with subprocess.Popen([*COMMAND, "--tokens", "3"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("simulator listening on http://127.0.0.1:")
        port = int(line.rsplit(":", 1)[1])
        seen = ask(port, chat())
        assert json.loads(seen.body)["choices"][0]["message"]["content"] == "You said:"
        ask(port, chat("stall", stream=True), 0.1)
        child.send_signal(number)
        assert child.wait(5) == 0
        assert child.stdout.read() == ""


def test_list_of_faults() -> None:
    """The command lists every fault of the language."""
    result = CliRunner().invoke(simulate, ["--list-faults"])
    assert result.exit_code == 0
    assert [line.split("  ")[0] for line in result.output.splitlines()] == [item.form for item in FAULTS]


def test_taken_port(simulator: Simulator) -> None:
    """A port that is taken is an error of one line, with exit code 1."""
    result = CliRunner().invoke(simulate, ["--port", str(simulator.port)])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: cannot listen on http://127.0.0.1:{simulator.port}: ")


def test_key_without_certificate(pems: tuple[Path, Path, Path]) -> None:
    """A TLS key without a certificate is a usage error."""
    result = CliRunner().invoke(simulate, ["--tls-key", str(pems[1])])
    assert result.exit_code == 2
    assert "--tls-key needs --tls-cert" in result.output


def test_queue_without_capacity() -> None:
    """A queue without a capacity is a usage error."""
    result = CliRunner().invoke(simulate, ["--queue", "1"])
    assert result.exit_code == 2
    assert "--queue needs --capacity" in result.output


def test_mute_over_tls(pems: tuple[Path, Path, Path]) -> None:
    """A mute provider does not shake hands."""
    cert, key, root = pems
    context = ssl.create_default_context(cafile=str(root))
    with Simulator(tls_cert=str(cert), tls_key=str(key)) as simulator:
        def shake(seconds: float) -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", simulator.port), timeout=seconds)
            return context.wrap_socket(plain, server_hostname="127.0.0.1")
        with shake(5) as sock:
            sock.sendall(chat("mute=400"))
            with contextlib.suppress(ConnectionResetError):     # which a socket over TLS may tell as an end
                assert sock.recv(1) == b""
        with pytest.raises(TimeoutError):
            shake(0.1)
        simulator.wait_for(lambda state: state["requests"] == 1)


def test_tls(pems: tuple[Path, Path, Path]) -> None:
    """Over TLS there are the same answers, streams and faults."""
    cert, key, root = pems
    context = ssl.create_default_context(cafile=str(root))
    with (Simulator(tls_cert=str(cert), tls_key=str(key)) as simulator,
          openai.DefaultHttpxClient(verify=context) as http,
          openai.OpenAI(base_url=simulator.openai_url, api_key="k", max_retries=0,
                        http_client=http) as client):
        def text(model: str) -> str:
            stream = client.chat.completions.create(
                model=model, stream=True, messages=[{"role": "user", "content": "hello"}])
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert text("gpt-4o").startswith("You said: hello")
        for fault in ("cut=1500", "reset=1500"):
            with pytest.raises(openai.APIConnectionError):
                text(f"fault:{fault}")
        assert [entry["outcome"] for entry in simulator.requests()] == ["sent", "ended", "ended"]


async def test_serve_in_a_loop() -> None:
    """`serve` runs in a loop that is there, tells its port, and closes everything when it is cancelled."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(serve("127.0.0.1", 0, ready=port.set_result, options=Options(tokens=3)))
    reader, writer = await asyncio.open_connection("127.0.0.1", await port)
    writer.write(chat())
    assert b"You said:" in await reader.readuntil(b"}")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await reader.read()
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port.result())
