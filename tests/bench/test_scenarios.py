"""Scenarios: the command runs, ends by itself, and its report holds what bench/README.md promises."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from html import unescape
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
import scenarios
from harness.processes import free_port

from tests.laws.sources import ROOT

pytestmark = pytest.mark.unsanitized
TIMEOUT = 90                # of a machine that is busy with others
TOGETHER = (("streams", "keys", "soak"), ("bursts", "agents"))       # beside outage and chat


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, ended in any case."""
    command = [sys.executable, str(ROOT / "bench/scenario.py"), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status, and what was said."""
    _, said = process.communicate(timeout=TIMEOUT)
    return process.returncode, said


def fails(*arguments: str) -> str:
    """What a run says that cannot be made."""
    with running(*arguments) as process:
        status, said = outcome(process)
    assert status == 1
    assert said.startswith("scenario: ") and "Traceback" not in said
    return said


class Report:
    """A report, as its reader sees it."""

    def __init__(self, path: Path) -> None:
        self.html = path.read_text()
        self.titles = re.findall("<h2>(.*?)</h2>", self.html)
        self.calls, self.by_time = (self.rows(table) for table in re.findall("<table>(.*?)</table>", self.html))

    @staticmethod
    def rows(table: str) -> list[dict[str, str]]:
        """Its rows by the words of its head."""
        lines = [[unescape(cell) for cell in re.findall("<t[hd]>(.*?)</t[hd]>", line)]
                 for line in re.findall("<tr>(.*?)</tr>", table)]
        return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]

    def conditions(self, call: str) -> set[str]:
        """How the requests of a call ended."""
        return {row["condition"] for row in self.calls if row["call"] == call}

    def errors(self) -> list[bool]:
        """Whether there were any, second by second."""
        return [any(value != "0" for name, value in row.items() if name.endswith("/s") and name != "ok/s")
                for row in self.by_time]


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, str]:
    """The report of a run of eight seconds, and what was shown meanwhile."""
    path = tmp_path_factory.mktemp("outage") / "report.html"
    with running("outage", "--seconds", "8", "--report", str(path)) as process:
        status, said = outcome(process)
    assert status == 0, said
    return Report(path), said


def test_an_outage_is_seen_by_those_it_hits_and_then_is_over(outage: tuple[Report, str]) -> None:
    """Errors by condition appear while the provider is out, and none before, after, or for others."""
    report, _ = outage
    errors = report.errors()
    assert len(errors) == 8 and any(errors[2:6])
    assert not errors[0] and not errors[1] and not errors[-1]
    assert report.conditions("chat") & {"provider_error", "circuit_open"}
    for call in ("chat with fallback", "chat stream with fallback", "messages", "messages stream"):
        assert report.conditions(call) == {"ok"}


def test_a_report_shows_all_that_it_promises(outage: tuple[Report, str]) -> None:
    """Each chart is there with its lines and both marks, the figures are numbers, and nothing is fetched."""
    report, said = outage
    for title in ("Plain answers", "first event", "by condition", "edge_overhead_seconds", "CPU of", "memory of",
                  "load generator"):
        assert any(title in each for each in report.titles), title
    assert report.html.count("<svg") == 7 == report.html.count(">outage begins<") == report.html.count(">outage ends<")
    for name in ("plain p50", "plain p99", "first event p50", "own share mean", "own share p99"):
        assert float(report.by_time[1][name]) > 0, name
    for name in ("worker 0", "control", "supervisor"):
        assert f"</i>{name}<" in report.html
    assert "The load generator was " in report.html
    assert not re.search(r"(?:src|href)=|url\(|@import", report.html)
    assert re.search(r"requests/s +gateway +\d+% of a core", said)
    assert re.search("provider_error|circuit_open", said)


@pytest.mark.parametrize("names", TOGETHER, ids="-".join)
def test_each_scenario_runs_and_ends(names: tuple[str, ...], tmp_path: Path) -> None:
    """Each scenario ends by itself with a report in which its calls were answered as its file says."""
    with ExitStack() as stack:
        for process in [stack.enter_context(running(name, "--seconds", "3", "--report", str(tmp_path / name)))
                        for name in names]:
            status, said = outcome(process)
            assert status == 0, said
    for name in names:
        report = Report(tmp_path / name)
        assert {row["condition"] for row in report.calls} <= {"ok", "rate_limited", "global_rate_limited"}
        assert {call.name for caller in scenarios.load(name).callers for call in caller.calls} <= {
            row["call"] for row in report.calls}
        assert scenarios.about(name).partition(":")[0] in report.html


def test_no_scenario_is_left_out() -> None:
    """Every file of bench/scenarios is run by a test of this file."""
    assert sorted(["outage", "chat", *(name for names in TOGETHER for name in names)]) == scenarios.NAMES


def test_locust_shows_its_view_and_has_many_processes(tmp_path: Path) -> None:
    """With --web Locust's page counts what all --workers ask, and when the run is over all are gone."""
    port, report = free_port(), tmp_path / "report.html"
    with running("chat", "--seconds", "5", "--workers", "2", "--web", str(port), "--report", str(report)) as process:
        workers = requests = 0              # what was seen most: workers tell of requests every three seconds
        while process.poll() is None:
            workers, requests = map(max, (workers, requests), shown(port))
            time.sleep(0.1)
        status, said = outcome(process)
    assert status == 0, said
    assert workers == 2 and requests > 0
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if f"{port}".encode() in said_by(path)] == []
    assert Report(report).conditions("chat") == {"ok"}


def said_by(path: Path) -> list[bytes]:
    """The words of a process's command line; none when it has ended."""
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


def shown(port: int) -> tuple[int, int]:
    """The workers and the requests that Locust's page tells of; none while it is not there."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/stats/requests")
            told = json.loads(connection.getresponse().read())
        except (OSError, HTTPException):
            return 0, 0
    return len(told["workers"]), sum(each["num_requests"] for each in told["stats"])


def test_a_scenario_that_is_not_there_is_answered_with_those_that_are() -> None:
    """A wrong name is an error that names all scenarios."""
    said = fails("outtage")
    assert "'outtage'" in said and all(name in said for name in scenarios.NAMES)


def test_a_port_that_is_taken_is_told_with_another(tmp_path: Path) -> None:
    """Where Locust's view cannot listen the error names the port and the option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fails("chat", "--web", str(port), "--report", str(tmp_path / "report.html"))
    assert f"port {port} " in said and "--web" in said


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    """A report's place that cannot be is an error that names it and the option, and nothing is started."""
    (tmp_path / "file").touch()
    said = fails("chat", "--report", str(tmp_path / "file" / "report.html"))
    assert str(tmp_path / "file") in said and "--report" in said


def test_an_interpreter_without_the_gateway_is_told_the_way(tmp_path: Path) -> None:
    """Where there is no `edge` beside the interpreter the error names what is missing and the command that makes it."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    script = f"import sys; sys.path[:0] = {[str(ROOT / 'bench'), *sys.path]!r}; sys.executable = {str(python)!r}; " \
             "import scenario; scenario.main(['chat', '--report', sys.argv[1]], standalone_mode=False)"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "report.html")], capture_output=True, text=True,
                          timeout=TIMEOUT, check=False)
    assert f"{tmp_path / 'edge'} is missing" in done.stderr and "make scenario" in done.stderr


def test_the_guard_lets_the_gateway_pass() -> None:
    """Beside the direct path of the same run the gateway's median stays within the guard's ratio."""
    done = subprocess.run([sys.executable, str(ROOT / "bench/guard.py"), "--turns", "2", "--seconds", "2",
                           "--p99", "inf"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"answers +\| p50 +\|", done.stdout)


def test_the_example_is_small_and_whole() -> None:
    """The report that the page shows is one of the outage, and of less than 150 KB."""
    path = ROOT / "bench/reports/outage.html"
    assert path.stat().st_size < 150_000
    assert any(Report(path).errors())
