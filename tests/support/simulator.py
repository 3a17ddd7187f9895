"""A simulator of providers in a process of its own, for tests of everything that talks to one."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

CHILD = """
import json, socket, sys
from edge.simulator import Options, run
run(socket.socket(fileno=int(sys.argv[1])), Options(**json.loads(sys.argv[2])))
"""


class Simulator:
    """Runs while the `with` block does. Its socket listens before its process starts: no need to wait.

    `options` are those of `edge.simulator.Options`: key, latency, jitter, tokens, delay, tls_cert, tls_key,
    capacity, queue.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._scheme = "https" if options.get("tls_cert") else "http"

    def __enter__(self) -> Simulator:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
            sock.listen(1024)
            self.port: int = sock.getsockname()[1]
            arguments = [str(sock.fileno()), json.dumps(self._options)]
            self._child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments],
                                           pass_fds=[sock.fileno()])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise

    @property
    def pid(self) -> int:
        """The process, for tests that stop or kill it."""
        return self._child.pid

    @property
    def url(self) -> str:
        """The base URL for Anthropic's SDK."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's SDK."""
        return f"{self.url}/v1"

    def fault(self, spec: str, *, times: int | None = None, **match: str) -> None:
        """Give this fault to requests that fit `model=`, `path=`, `key=`, `times` times or until reset."""
        self.faults([{"match": match, "times": times, "fault": spec}])

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Add rules, each {"match": {"model": PATTERN, ...}, "times": 1, "fault": "status=503"}."""
        self._api("POST", json.dumps({"faults": rules}))

    def state(self, last: int = 1000) -> dict[str, Any]:
        """All that GET /_simulate gives: requests, by_path, cancelled, log, faults, connections, streams, open,
        peak, waiting, models."""
        return self._api("GET", last=last)

    def requests(self) -> list[dict[str, Any]]:
        """The requests since the last reset, oldest first: method, target, headers, body, outcome ..."""
        log: list[dict[str, Any]] = self.state()["log"]
        return log

    def reset(self) -> None:
        """Forget faults, requests and files."""
        self._api("DELETE")

    def wait_for(self, condition: Callable[[dict[str, Any]], Any], seconds: float = 5.0) -> dict[str, Any]:
        """Ask for the state until `condition(state)` holds, and give it back."""
        end = time.monotonic() + seconds
        while not condition(state := self.state()):
            if time.monotonic() > end:
                raise AssertionError(f"the simulator did not come to the state wanted, but to {state}")
            time.sleep(0.005)
        return state

    def _api(self, method: str, body: str | None = None, last: int = 1000) -> dict[str, Any]:
        end = time.monotonic() + 5
        while True:
            connection = self._connect()
            try:
                connection.request(method, f"/_simulate?last={last}", body)
                answer = connection.getresponse()
                data: dict[str, Any] = json.loads(answer.read())
                break
            except (ConnectionRefusedError, ConnectionResetError):      # a `refuse` fault is at work
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            finally:
                connection.close()
        if answer.status != 200:
            raise ValueError(data["error"]["message"])
        return data

    def _connect(self) -> http.client.HTTPConnection:
        if self._scheme == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        context = ssl._create_unverified_context()      # its certificate is the test's own
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
