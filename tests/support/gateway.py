"""A running gateway for tests: `edge serve` in a process of its own, on ports that the kernel chose."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson

from tests.support.forkserver import Child, ForkServers
from tests.support.patience import PATIENCE

FORK_SERVERS = ForkServers()
KEY = "sk-test-0123456789abcdef"
READY_SECONDS = 30
PLAIN: dict[str, Any] = {"timeout": 20, "verify": False}     # to read all roots of TLS takes longer than a request
SERVES = re.compile(rb"serves on http://\S+?:(\d+) .*metrics on http://\S+?:(\d+)/metrics")


def configuration(provider_url: str, **changes: Any) -> dict[str, Any]:
    """A configuration that serves every model from one simulator; `changes` replace top-level keys.

    A request is one attempt, so that a test meets the failure that it asks for; tests/faults try the others.
    """
    return {
        "port": 0, "listen_addr": "127.0.0.1", "admin": {"port": 0}, "workers": 1,
        "rate_limit": {"requests_per_second": 100000, "burst_size": 100000},
        "providers": {
            "openai": {"kind": "openai", "base_url": f"{provider_url}/v1", "key": "env:PROVIDER_KEY"},
            "anthropic": {"kind": "anthropic", "base_url": provider_url, "key": "env:PROVIDER_KEY"},
        },
        "keys": [{"name": "test", "key": "env:TEST_KEY"}],
        "retry": {"max": 0},
        **changes,
    }


class Gateway:
    """Context manager; `url` and `admin` are base URLs, `log()` is what it wrote to standard error.

    `before` is what its command line begins with, `address` is where it is to be found.
    """

    before: tuple[str, ...] = ()
    by_fork = True
    address = "127.0.0.1"

    def __init__(self, config: dict[str, Any], *, environ: dict[str, str] | None = None,
                 program: Path | None = None) -> None:
        self.program = program      # the directory that holds the package, where it is not the repository
        self.folder = tempfile.TemporaryDirectory(prefix="edge-test-")
        self.file = Path(self.folder.name, "edge.yaml")
        self.errors = Path(self.folder.name, "stderr")
        self.configure(config)
        self.environ = {**os.environ, "PROVIDER_KEY": "sk-provider", "TEST_KEY": KEY, **(environ or {})}

    def configure(self, config: dict[str, Any]) -> None:
        """Writes the file (JSON is YAML); `reload()` puts it into force."""
        self.file.write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))

    def __enter__(self) -> Gateway:
        arguments = ["serve", "--config", str(self.file)]
        with self.errors.open("wb") as errors:
            usual = self.by_fork and not self.before and self.program is None
            server = FORK_SERVERS.of(self.environ) if usual else None
            if server is not None:
                self.process: subprocess.Popen[bytes] | Child = server.begin(arguments, self.environ, errors)
            else:
                self.process = subprocess.Popen(
                    [*self.before, sys.executable, "-m", "edge", *arguments], env=self.environ, cwd=self.program,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        port, admin = self._ports()
        self.port, self.admin_port = int(port), int(admin)
        self.url, self.admin = f"http://{self.address}:{self.port}", f"http://{self.address}:{self.admin_port}"
        return self

    def _ports(self) -> tuple[bytes, bytes]:
        assert self.process.stdout is not None
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            end = time.monotonic() + READY_SECONDS
            while selector.select(max(0.0, end - time.monotonic())):
                piece = os.read(self.process.stdout.fileno(), 65536)
                said += piece
                if found := SERVES.search(said):
                    return found[1], found[2]
                if not piece:
                    break
        self.process.kill()
        self.process.wait()
        raise AssertionError(f"the gateway did not start: {said.decode()}\n{self.log()}")

    def __exit__(self, *exc: object) -> None:
        self.stop(signal.SIGINT)
        self.folder.cleanup()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Signals the supervisor and waits for its end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
            raise

    def children(self) -> list[int]:
        """The supervisor's children: control first, then the workers (in the order in which they were started)."""
        pid = self.process.pid
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return sorted(children, key=lambda child: "control" not in title(child))    # a new one comes last

    def log(self) -> str:
        """Standard error so far."""
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    def log_lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        whole = self.log().rpartition("\n")[0]          # the last one may be on its way
        return [orjson.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Asks again until the condition holds; what it gave. AssertionError after `seconds`."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"did not come to pass in {seconds} s\n{self.log()}"
            time.sleep(0.01)
        return value

    def reload(self, config: dict[str, Any] | None = None) -> httpx.Response:
        """Reloads through the admin API, which answers when the new version is in force everywhere."""
        if config is not None:
            self.configure(config)
        return httpx.post(f"{self.admin}/admin/reload", **PLAIN)

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client that bears the test's key."""
        headers = {"authorization": f"Bearer {KEY}", **options.pop("headers", {})}
        return httpx.Client(base_url=self.url, headers=headers, **PLAIN, **options)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that bear the labels.

        A request is counted just behind its answer's last byte: with one in flight there is another look, for a while.
        """
        from prometheus_client.parser import text_string_to_metric_families
        end = time.monotonic() + 0.1
        while True:
            text = httpx.get(f"{self.admin}/metrics", **PLAIN).text
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            flying = sum(sample.value for sample in samples if sample.name == "edge_requests_in_flight")
            if flying == 0 or name == "edge_requests_in_flight" or time.monotonic() > end:
                return sum(sample.value for sample in samples
                           if sample.name == name and labels.items() <= sample.labels.items())


def title(pid: int) -> str:
    """What a process is called; nothing, when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


class StartedGateway(Gateway):
    """Begins as a user's does: for whoever looks at what a process has imported, or at its memory."""

    by_fork = False
