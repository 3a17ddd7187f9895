"""`edge reload`, `edge stop` and `edge status`, the pidfile they go by, and what a gateway says of itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import pytest

from edge.process import pidfile
from tests.lifecycle.command import EDGE, Command, bare, lives
from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, chat

ADMIN_KEY = "sk-admin-0123456789abcdef"


def run(edge: Gateway | Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command, in an environment that knows only the pidfile."""
    folder = Path(edge.folder.name) if isinstance(edge, Gateway) else edge
    environ = {name: value for name, value in bare(folder, **variables).items() if not name.startswith("EDGE_")}
    return subprocess.run([*EDGE, *arguments], cwd=folder, env={**environ, **variables}, text=True, timeout=60,
                          capture_output=True, check=False)


@pytest.fixture(scope="module")
def made(running: Simulator) -> Iterator[Gateway]:
    """A gateway with a runtime directory of its own, an admin key that commands do not know, and a warning."""
    config = configuration(running.url, workers=2, drain_timeout=10, cache_dir=".",
                           admin={"port": 0, "key": "env:ADMIN_KEY"})
    gateway = Gateway(config, environ={"ADMIN_KEY": ADMIN_KEY})
    gateway.environ["RUNTIME_DIRECTORY"] = gateway.folder.name
    with gateway:
        yield gateway


@pytest.fixture
def edge(made: Gateway) -> Iterator[Gateway]:
    """The same with the file that it began with."""
    good = made.file.read_bytes()
    yield made
    made.file.write_bytes(good)


def pid_of(edge: Gateway) -> Path:
    """The gateway's pidfile."""
    return Path(edge.folder.name, "edge.pid")


def test_titles(edge: Gateway) -> None:
    """ps, top and pidof show what each process is, by its name and in the place of its arguments."""
    titles = ["edge: supervisor", "edge: control", "edge: worker 0", "edge: worker 1"]
    for pid, title in zip([edge.process.pid, *edge.children()], titles, strict=True):
        assert Path(f"/proc/{pid}/comm").read_text() == f"{title[:15]}\n"
        assert Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0") == title
        if tool := shutil.which("pidof"):
            assert str(pid) in subprocess.run([tool, title], capture_output=True, text=True, check=False).stdout.split()


def test_pidfile_is_its_users_alone(edge: Gateway) -> None:
    """The first line is the process; nobody else may read the file, which opens the admin port."""
    assert pid_of(edge).read_text().splitlines()[0] == str(edge.process.pid)
    assert pid_of(edge).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["pidfile", "variable", "runtime directory", "admin port"])
def test_a_gateway_is_found(edge: Gateway, how: str) -> None:
    """By its pidfile, named or in the runtime directory, the file of configuration and the admin key are not needed."""
    arguments = {"pidfile": ["--pidfile", str(pid_of(edge))],
                 "admin port": ["--admin", edge.admin, "--key", ADMIN_KEY]}.get(how, [])
    variables = {"variable": {"EDGE_PIDFILE": str(pid_of(edge))},
                 "runtime directory": {"RUNTIME_DIRECTORY": edge.folder.name}}.get(how, {})
    done = run(edge, "status", *arguments, **variables)
    assert done.returncode == 0 and f"process {edge.process.pid}" in done.stdout, done


def test_status(edge: Gateway, running: Simulator) -> None:
    """What runs: versions, file, uptime, workers with their processes, connections, requests, what is out."""
    with Talk(edge.port) as talk:
        talk.send(chat(stream=True, fault="tokens=4000;delay=20"))
        assert talk.socket.recv(1, 2)
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        httpx.post(f"{edge.admin}/admin/circuits", json={"target": "openai", "state": "open"}, headers=headers, **PLAIN)
        found = orjson.loads(run(edge, "status", "--json", "--pidfile", str(pid_of(edge))).stdout)
        shown = run(edge, "status", "--pidfile", str(pid_of(edge))).stdout
    assert (found["in_flight"], found["pid"], found["draining"]) == (1, edge.process.pid, False)
    assert found["config"]["source"] == str(edge.file) and len(found["config"]["warnings"]) == 1
    assert [worker["pid"] for worker in found["workers"]] == edge.children()[1:]
    assert 0 < found["uptime"] < 600 and found["connections"] == 1
    assert found["targets_out"] == [{"target": "openai", "state": "open", "by": "operator"}]
    for words in ("edge 0.", str(edge.file), "1 warning", "1 requests in flight", "out: openai (open, by operator)"):
        assert words in shown
    httpx.post(f"{edge.admin}/admin/circuits", json={"target": "openai", "state": "auto"}, headers=headers, **PLAIN)


def test_reload(edge: Gateway) -> None:
    """A reload that comes into force says so, with the version, the file and its warnings."""
    before = edge.metric("edge_config_version")
    done = run(edge, "reload", "--pidfile", str(pid_of(edge)))
    assert (done.returncode, done.stdout) == (0, f"configuration version {before + 1:.0f} in force: {edge.file}\n")
    assert "warning: " in done.stderr and "cache_dir" in done.stderr
    assert [line for line in edge.log_lines() if line["level"] == "warning" and "cache_dir" in line["message"]]


WRONG = b"""port: 0
listen_addr: 127.0.0.1
prot: 1
timeout: -5
providers: {openai: {key: file:/nowhere}}
keys: [{name: a, key: env:TEST_KEY}]
"""


def test_reload_of_a_wrong_file(edge: Gateway) -> None:
    """Every problem is told with file, line, column, code, key and way out, with exit code 78; nothing changes."""
    before = edge.metric("edge_config_version")
    edge.file.write_bytes(WRONG)
    done = run(edge, "reload", "--pidfile", str(pid_of(edge)))
    assert (done.returncode, done.stdout) == (78, "")
    told = re.findall(rf"^{edge.file}:(\d+):(\d+): (CONFIG_00\d) (.*)\n    way out: .+$", done.stderr, re.M)
    assert [(int(line), code) for line, _, code, _ in told] == [(3, "CONFIG_003"), (4, "CONFIG_003"), (5, "CONFIG_003")]
    assert done.stderr.endswith("3 problems: the configuration is not in force\n")
    assert edge.metric("edge_config_version") == before


@pytest.mark.parametrize(("text", "expected"), [
    (WRONG, [("CONFIG_003", 3, 1, "prot"), ("CONFIG_003", 4, 1, "timeout"),
             ("CONFIG_003", 5, 22, "providers.openai.key")]),
    (b"port: [\n", [("CONFIG_001", 1, 8, None)]),
    (b"port: 1\nlisten_addr: ::1\nkeys: [{name: a, key: env:TEST_KEY}]\n", [("CONFIG_002", None, None, "providers")]),
    (b"\xff", [("CONFIG_001", 1, 1, None)])])
def test_answer_to_a_wrong_file(edge: Gateway, text: bytes, expected: list[Any]) -> None:
    """POST /admin/reload gives all problems as JSON beside the contract's envelope, which tells the first."""
    edge.file.write_bytes(text)
    answer = httpx.post(f"{edge.admin}/admin/reload", headers={"authorization": f"Bearer {ADMIN_KEY}"}, **PLAIN)
    said = answer.json()
    assert answer.status_code == 500 and said["error"]["message"]
    assert [(each["code"], each["line"], each["column"], each["key"]) for each in said["problems"]] == expected
    assert all(each["file"] == str(edge.file) and each["message"] and each["way_out"] for each in said["problems"])
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_nobody_else_gets_in(edge: Gateway) -> None:
    """Neither no key nor a wrong one stops the gateway, and the command says what it needs."""
    for arguments in ([], ["--key", "wrong"]):
        done = run(edge, "stop", "--admin", edge.admin, *arguments)
        assert done.returncode == 1 and "EDGE_ADMIN_KEY" in done.stderr
    assert edge.process.poll() is None


@pytest.mark.parametrize("change", [
    lambda lines: [str(os.getpid()), *lines[1:]], lambda lines: ["1", *lines[1:]],
    lambda lines: [lines[0], str(int(lines[1]) + 1), *lines[2:]], lambda lines: lines[:1], lambda lines: [],
    lambda lines: ["-1", *lines[1:]], lambda lines: ["99999999999999999999", *lines[1:]], lambda lines: ["\0" * 5000]])
def test_no_innocent_process_is_met(edge: Gateway, tmp_path: Path, change: Any) -> None:
    """A pidfile whose process is gone, or another by now, or that holds anything else, leads nowhere."""
    file = tmp_path / "edge.pid"
    file.write_text("\n".join(change(pid_of(edge).read_text().splitlines())))
    for command in ("stop", "reload", "status"):
        done = run(edge, command, "--pidfile", str(file))
        assert done.returncode == 1 and f"{file}: no edge runs by it" in done.stderr
    assert edge.process.poll() is None


def test_pidfile_of_another(edge: Gateway, tmp_path: Path, simulator: Simulator) -> None:
    """A second gateway does not take a running one's pidfile, and takes one that a crash has left."""
    config = tmp_path / "edge.yaml"
    config.write_bytes(orjson.dumps(configuration(simulator.url)))
    keys = {"PROVIDER_KEY": "sk-x", "TEST_KEY": "sk-test-0123456789abcdef"}
    arguments = ["serve", "--config", str(config), "--pidfile"]
    done = run(tmp_path, *arguments, str(pid_of(edge)), **keys)
    assert done.returncode == 1 and f"process {edge.process.pid}" in done.stderr and "way out" in done.stderr
    assert pidfile.read(pid_of(edge)) is not None
    done = run(tmp_path, *arguments, "/nowhere/edge.pid", **keys)
    assert done.returncode == 1 and "/nowhere/edge.pid: cannot be written" in done.stderr
    stale = tmp_path / "stale.pid"
    stale.write_text("1\n5\nhttp://127.0.0.1:1\nx\n")
    with Command(tmp_path, bare(tmp_path, **keys), *arguments[1:], str(stale)) as second:
        said = second.until(lambda said: "serves on" in said)
        assert stale.read_text().startswith(f"{second.process.pid}\n")
    assert not stale.exists()
    # D7: the first line says what is about to run.
    assert said.splitlines()[0] == f"edge 0.1.0: {config}, configuration version 1, 0 warnings"


@pytest.mark.parametrize("now", [False, True])
def test_stop(simulator: Simulator, tmp_path: Path, now: bool) -> None:
    """Stopping waits for the end and says what for; --now cuts what is on its way."""
    gateway = Gateway(configuration(simulator.url, workers=2, drain_timeout=20))
    gateway.environ["EDGE_PIDFILE"] = str(tmp_path / "edge.pid")
    with gateway as edge, Talk(edge.port) as talk:
        talk.send(chat(stream=True, fault=f"tokens={1000 if now else 120};delay=50"))
        assert talk.socket.recv(1, 2)
        family = [edge.process.pid, *edge.children()]
        with subprocess.Popen([*EDGE, "stop", *["--now"] * now, "--pidfile", str(tmp_path / "edge.pid")],
                              stdout=subprocess.PIPE, text=True) as stopping:
            edge.process.wait(30)
            said = stopping.communicate(timeout=30)[0]
        assert stopping.returncode == 0 and said.endswith("stopped\n")
        assert ("waiting for 1 request, " in said) is not now
        assert talk.answer().body.endswith(b"data: [DONE]\n\n") is not now
        assert [pid for pid in family if lives(pid)] == [] and not (tmp_path / "edge.pid").exists()


def test_upgrade_keeps_the_pidfile(simulator: Simulator, tmp_path: Path) -> None:
    """After an upgrade the same file leads to the gateway, which has its title again."""
    gateway = Gateway(configuration(simulator.url))
    gateway.environ["EDGE_PIDFILE"] = str(tmp_path / "edge.pid")
    with gateway as edge:
        before = (tmp_path / "edge.pid").read_text()
        edge.process.send_signal(signal.SIGUSR2)
        edge.wait(lambda: "upgrade complete" in edge.log(), 40)
        assert (tmp_path / "edge.pid").read_text() == before
        assert run(edge, "status", "--pidfile", str(tmp_path / "edge.pid")).returncode == 0
        assert Path(f"/proc/{edge.process.pid}/comm").read_text() == "edge: superviso\n"


def test_closed_stdio(simulator: Simulator, tmp_path: Path) -> None:
    """A gateway that is started without standard input, output and error serves, and no socket takes their places."""
    config = tmp_path / "edge.yaml"
    config.write_bytes(orjson.dumps(configuration(simulator.url)))
    environ = {**os.environ, "PROVIDER_KEY": "sk-x", "TEST_KEY": "sk-test-0123456789abcdef",
               "EDGE_PIDFILE": str(tmp_path / "edge.pid"), "PYTHONPATH": str(Path.cwd())}
    line = f"exec {' '.join(EDGE)} serve --config {config} <&- >&- 2>&-"
    with subprocess.Popen(["bash", "-c", line], env=environ, cwd=tmp_path) as process:
        while pidfile.read(tmp_path / "edge.pid") is None or "-" in run(
                tmp_path, "status", "--pidfile", str(tmp_path / "edge.pid")).stdout.split("worker 0: process ")[-1][:2]:
            assert process.poll() is None
        for number in (0, 1, 2):
            assert Path(f"/proc/{process.pid}/fd/{number}").readlink() == Path("/dev/null")
        assert run(tmp_path, "stop", "--pidfile", str(tmp_path / "edge.pid")).returncode == 0
    assert process.returncode == 0


@pytest.mark.parametrize(("variables", "words", "way_out"), [
    ({"EDGE_LISTEN_ADDR": "203.0.113.7"}, "cannot listen on 203.0.113.7:0: Cannot assign", "(EDGE_LISTEN_ADDR)"),
    ({"EDGE_LISTEN_ADDR": "2001:db8::1"}, "cannot listen on [2001:db8::1]:0: ", "(EDGE_LISTEN_ADDR)"),
    ({"EDGE_LISTEN_ADDR": "fe80::1"}, "cannot listen on [fe80::1]:0: ", "(EDGE_LISTEN_ADDR)"),
    ({"EDGE_ADMIN__LISTEN_ADDR": "127.0.0.1", "EDGE_ADMIN__PORT": "TAKEN"}, "in use", "(EDGE_ADMIN__PORT)"),
    ({"EDGE_ADMIN__LISTEN_ADDR": "203.0.113.7", "EDGE_ADMIN__KEY": ADMIN_KEY}, "203.0.113.7:0: Cannot assign",
     "(EDGE_ADMIN__LISTEN_ADDR)")])
def test_addresses_that_cannot_be_had(edge: Gateway, tmp_path: Path, variables: dict[str, str], words: str,
                                      way_out: str) -> None:
    """An address that is not this machine's, or taken, is told with the key to change; IPv6 is in brackets."""
    given = {name: value.replace("TAKEN", str(edge.admin_port)) for name, value in variables.items()}
    done = run(tmp_path, "serve", **{"EDGE_PORT": "0", "EDGE_ADMIN__PORT": "0", **given})
    assert done.returncode == 1 and words in done.stderr and way_out in done.stderr.splitlines()[-1], done
    assert "Traceback" not in done.stderr


def test_first_lines_over_ipv6(tmp_path: Path) -> None:
    """What is printed of a gateway on IPv6 can be pasted, and the first line says that it is a quick start."""
    variables = bare(tmp_path, EDGE_LISTEN_ADDR="::1", EDGE_ADMIN__LISTEN_ADDR="::1")
    with Command(tmp_path, variables, "--workers", "1") as edge:
        said = edge.until(lambda said: "serves on" in said)
    assert said.startswith("edge 0.1.0: quick start, configuration version 1, 0 warnings\n")
    urls = re.findall(r"http://(\S+?)(?:/metrics)?[ \n]", said.partition("listens")[0])
    assert len(urls) == 2 and all(re.fullmatch(r"\[::1\]:\d+", url) for url in urls)


def test_a_stray_file_is_named(tmp_path: Path, simulator: Simulator) -> None:
    """A file that lies in the working directory and takes the quick start's place is told as just that."""
    (tmp_path / "edge.yaml").write_bytes(orjson.dumps(configuration(simulator.url)))
    keys = {"PROVIDER_KEY": "sk-x", "TEST_KEY": "sk-test-0123456789abcdef"}
    with Command(tmp_path, bare(tmp_path, **keys)) as edge:
        said = edge.until(lambda said: "serves on" in said)
    assert said.startswith(f"edge 0.1.0: {tmp_path}/edge.yaml (found there; --config names another), ")
