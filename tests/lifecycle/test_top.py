"""`edge top` at a running gateway: one frame for a pipe, and a live view on a terminal, which then is as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from edge.cli.frame import Look, frame, quantile, shares, since
from edge.cli.screen import width
from tests.lifecycle.command import EDGE, bare
from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.simulator import Simulator

HOSTILE = "evil\x1b]0;owned\x07\x1b[31m"
FAULTS = {"sick": "status=500", HOSTILE: "status=400"}
SECONDS = 30                # for what takes a second or two
HERE, THERE = b"\x1b[?1049h", b"\x1b[?1049l"
FRAME = re.compile(rb"\x1b\[H(.*?)\x1b\[K\x1b\[J", re.S)
COLOUR = re.compile(r"\x1b\[[0-9;]*m|\x1b\[K|\r")


@pytest.fixture(scope="module")
def watched(running: Simulator) -> Iterator[Gateway]:
    """A gateway that is asked for this and that all the time."""
    config = configuration(running.url, models={"fast": "openai", "sick": "openai", "*": "openai"},
                           circuit_breaker={"failures": 1, "open_time": 60},
                           model_limits={"fast": {"tokens_per_minute": 100000, "concurrent_requests": 50}})
    over = threading.Event()

    def ask(gateway: Gateway) -> None:
        with gateway.client() as client:
            while not over.wait(0.1):           # fewer in a second than have a line each: NOTED_MAX of account.pxi
                for model in ("fast", "fast", *FAULTS):
                    client.post("/v1/chat/completions", json={
                        "model": model, "messages": [{"role": "user", "content": "hello"}]},
                        headers={"x-simulate": FAULTS.get(model, "latency=2")})

    with Gateway(config) as gateway:
        thread = threading.Thread(target=ask, args=(gateway,))
        thread.start()
        gateway.wait(lambda: look(gateway).requests)
        yield gateway
        over.set()
        thread.join()
    running.reset()


def look(gateway: Gateway) -> Look:
    """One look, as the command has it."""
    said = [httpx.get(f"{gateway.admin}{path}", **PLAIN).json() for path in
            ("/admin/status", "/stats", "/admin/requests?last=8")]
    return Look(time.monotonic(), gateway.admin, said[0], said[1], said[2]["requests"])


def environ(folder: Path, **variables: str) -> dict[str, str]:
    """That of a user with a terminal and nothing else."""
    return bare(folder, TERM="xterm", **variables)


def once(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`edge top` into a pipe."""
    return subprocess.run([*EDGE, "top", "--interval", "0.2", *arguments], cwd=folder, capture_output=True, text=True,
                          env=environ(folder, **variables), timeout=60, check=False)


@pytest.mark.parametrize("arguments", [["--once"], []])
def test_one_frame_for_a_pipe(watched: Gateway, tmp_path: Path, arguments: list[str]) -> None:
    """Into a pipe it prints one frame of plain text, with and without --once, that tells of all there is."""
    done = once(tmp_path, "--admin", watched.admin, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search("[^\n\x20-\x7e]", done.stdout)
    rows = [line.split() for line in done.stdout.splitlines()]
    fast = next(row for row in rows if row[:2] == ["fast", "openai"])
    assert float(fast[2]) > 0 and fast[3:5] == ["0", "0"] and re.fullmatch(r"[\d.]+m?s", fast[8])
    assert ["openai/sick", "open"] in [row[:2] for row in rows]
    assert ["model:fast", "tokens", "100000"] in [row[:3] for row in rows]
    assert ["provider_rejected", "client"] in [row[:2] for row in rows]
    assert "evil?]0;owned??[31m" in done.stdout and "in flight" in done.stdout


@pytest.mark.parametrize(("what", "words"), [
    ("nobody", "nothing listens there; is edge running? --admin names another"), ("pidfile", "no edge runs by it"),
    ("another", "Invalid URL (GET /admin/status)")])
def test_no_gateway_is_told(running: Simulator, tmp_path: Path, what: str, words: str) -> None:
    """Where there is no gateway, or none by the pidfile, or another program, that is said, with exit code 1."""
    given = {"nobody": ["--admin", "http://127.0.0.1:1"], "pidfile": ["--pidfile", str(tmp_path / "edge.pid")],
             "another": ["--admin", running.url]}[what]
    done = once(tmp_path, *given)
    assert done.returncode == 1 and words in done.stderr and not done.stdout


class Terminal:
    """A command on a terminal of its own; `said` is all that it wrote there."""

    def __init__(self, folder: Path, *arguments: str, size: tuple[int, int] = (100, 30), **variables: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(EDGE[0], [*EDGE, "top", *arguments], environ(folder, **variables))
        self.said = b""
        self.before = termios.tcgetattr(self.master)
        self.resize(*size)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)

    def resize(self, columns: int, lines: int) -> None:
        """Another size, of which the kernel tells the command."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: bytes) -> None:
        """Keys."""
        os.write(self.master, text)

    def frames(self) -> list[list[str]]:
        """The lines of all frames so far."""
        return [COLOUR.sub("", found.decode()).split("\n") for found in FRAME.findall(self.said)]

    def until(self, met: Callable[[], Any]) -> Any:
        """Reads what comes until it meets the condition."""
        end = time.monotonic() + SECONDS
        while not (found := met()):
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"it showed no more than {self.said[-2000:]!r}"
            self.said += os.read(self.master, 65536)
        return found

    def end(self) -> int:
        """Its exit code; until then it may write."""
        code: list[int] = []

        def ended() -> bool:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            code.extend([os.waitstatus_to_exitcode(status)] if found else [])
            return bool(found)
        end = time.monotonic() + SECONDS
        while not ended():
            assert time.monotonic() < end
            if select.select([self.master], [], [], 0.02)[0]:
                with suppress(OSError):
                    self.said += os.read(self.master, 65536)
        return code[0]


@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 0), (signal.SIGTERM, 128 + signal.SIGTERM)],
                         ids=["q", "Ctrl-C", "SIGTERM"])
def test_it_is_left_cleanly(watched: Gateway, tmp_path: Path, key: bytes | int, code: int) -> None:
    """Keys and signals end it at once, and the terminal has its screen, its cursor and its modes again."""
    with Terminal(tmp_path, "--admin", watched.admin, "--interval", "3600") as terminal:
        first = terminal.until(terminal.frames)[0]
        assert first[0].startswith(f"edge 0.1.0 at {watched.admin}, serving for ")
        assert terminal.said.startswith(HERE) and not termios.tcgetattr(terminal.master)[3] & termios.ECHO
        terminal.type(b"x\x1a")                 # what means nothing changes nothing
        if isinstance(key, bytes):
            terminal.type(key)
        else:
            os.kill(terminal.pid, key)
        assert terminal.end() == code
        assert terminal.said.count(HERE) == terminal.said.count(THERE) == 1 and b"Traceback" not in terminal.said
        assert b"Abort" not in terminal.said.partition(THERE)[2]
        assert termios.tcgetattr(terminal.master)[:6] == terminal.before[:6]


def fits(shown: list[str], columns: int, lines: int) -> bool:
    """Whether a frame uses what there is, and no more: its top line takes some eighty columns."""
    return len(shown) <= lines and min(columns, 60) <= max(map(width, shown)) <= columns


def test_it_follows_the_size(watched: Gateway, tmp_path: Path) -> None:
    """Each frame has the lines and columns that the terminal has then, and a change of them is followed at once."""
    with Terminal(tmp_path, "--admin", watched.admin, "--interval", "3600", size=(120, 50)) as terminal:
        terminal.until(terminal.frames)
        for columns, lines in ((60, 15), (20, 5), (1, 1), (90, 40)):
            terminal.resize(columns, lines)
            terminal.until(lambda: fits(terminal.frames()[-1], columns, lines))     # noqa: B023
        terminal.type(b"q")
        assert terminal.end() == 0


def test_it_goes_on(running: Simulator, tmp_path: Path) -> None:
    """Rates come with the second look; a gateway that goes is told and asked again, and its successor is shown."""
    name = {"EDGE_PIDFILE": str(tmp_path / "edge.pid")}
    arguments = ("--pidfile", name["EDGE_PIDFILE"], "--interval", "0.1")
    with Gateway(configuration(running.url), environ=name) as first:
        terminal = Terminal(tmp_path, *arguments)
        with terminal:
            terminal.until(lambda: any(lines[1].startswith("requests -/s") for lines in terminal.frames()))
            terminal.until(lambda: any(lines[1].startswith("requests 0/s") for lines in terminal.frames()))
            first.stop()
            terminal.until(lambda: any(re.search("nothing listens there|no edge runs by it", lines[0])
                                       for lines in terminal.frames()))
            with Gateway(configuration(running.url), environ=name) as second:
                terminal.until(lambda: any(second.admin in lines[0] for lines in terminal.frames()[-1:]))
                terminal.type(b"q")
                assert terminal.end() == 0


def test_frames_fit(watched: Gateway) -> None:
    """Whatever the size, no line is longer than the terminal lets it be, if it has room for a name and the figures."""
    before, now = look(watched), look(watched)
    for columns in range(78, 200, 3):
        for lines in (10, 25, 80):
            shown = frame(before, now, (columns, lines))
            assert len(shown) <= lines
            tables = [text for style, text in shown[3:]]
            assert max(map(width, tables)) <= columns + len("  (99 of 99)")


def test_what_is_wrong_stands_out(watched: Gateway) -> None:
    """A target that is out, a worker that stands still and a limit that is spent are told, and told first."""
    now = look(watched)
    now.status["workers"][0]["heartbeat_age"] = 4.0
    now.stats["limits"].append({"owner": "key:poor", "kind": "requests", "limit": 5, "left": -1})
    shown = frame(look(watched), now, None)
    bad = [text.split()[0] for style, text in shown if style == "bad"]
    assert ("bad", "worker 0 stands still for 4 s") in shown
    assert {"worker", "openai/sick", "key:poor"} <= set(bad)
    heads = {text.split()[0]: at for at, (style, text) in enumerate(shown) if style == "head"}
    assert [shown[heads[name] + 1][1].split()[0] for name in ("target", "limit")] == ["openai/sick", "key:poor"]


@pytest.mark.parametrize(("counts", "share", "expected"), [
    ([0, 0, 0], 0.5, None), ([4, 0, 0], 0.5, 0.5), ([0, 4, 0], 0.5, 1.5), ([0, 0, 3], 0.99, 2.0),
    ([1, 1, 0], 0.5, 1.0), ([99, 1, 0], 0.99, 1.0), ([2, 2, 4], 0.25, 1.0)])
def test_quantiles(counts: list[int], share: float, expected: float | None) -> None:
    """A quantile lies between its bucket's bounds in proportion, and what is beyond the last bound is told as that."""
    assert quantile([1.0, 2.0], counts, share) == pytest.approx(expected)


def test_counts_that_begin_anew() -> None:
    """What went down counts from nothing, what is new counts whole, and words stay words."""
    assert since({"a": 5, "b": {"c": [4, 6]}, "d": "x", "e": 2, "f": [1]}, {"a": 3, "b": {"c": [1, 7]}, "d": 1}) == {
        "a": 2, "b": {"c": [3, 6]}, "d": "x", "e": 2, "f": [1]}


def test_lines_are_shared_out() -> None:
    """Every table gets its lines in turn, and none more than it has rows."""
    assert shares([9, 1, 4], 7) == [3, 1, 3] and shares([9, 1, 4], None) == [9, 1, 4]
    assert shares([2, 2], 9) == [2, 2] and shares([2, 2], -3) == [0, 0]
