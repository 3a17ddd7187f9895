"""The access log: a line for each request, with what it was and how it ended, and never what was in it."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import pytest

from edge.contract.conditions import conditions
from tests.support.gateway import KEY, PLAIN, Gateway, configuration
from tests.support.simulator import Simulator

CHAT = "/v1/chat/completions"
CANARY = "canary-5b1c7f"
HOSTILE = f"{CANARY}\x1b[31m\n\x9b漢"
SLOW = 30                   # seconds for what takes milliseconds
WRITERS_TURNS = 0.6         # seconds in which the writer of the access log has looked more than once
TIMES = {"seconds", "sent_after", "first_byte_after", "overhead", "at"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The provider."""
    with Simulator() as simulator:
        simulator.faults([{"match": {"model": "sick"}, "fault": "status=500"},
                          *({"match": {"model": model}, "fault": "status=400"} for model in ("rejected", HOSTILE))])
        yield simulator


def logging(simulator: Simulator, path: Path | str, **section: Any) -> dict[str, Any]:
    """A configuration with an access log."""
    config = configuration(simulator.url, access_log={"path": str(path), **section})
    config["models"] = {"good": "openai", "sick": "openai", "rejected": "openai", "claude": "anthropic",
                        "twice": [{"provider": "openai", "model": "sick"}, {"provider": "openai", "model": "good"}],
                        CANARY[:6] + "*": "openai"}
    return {**config, "retry": {"max": 1, "backoff": 0.01, "budget": 1}, "circuit_breaker": {"enabled": False}}


@pytest.fixture(scope="module")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Writes into a file beside its own."""
    with Gateway(logging(simulator, tmp_path_factory.mktemp("log") / "access.log")) as gateway:
        yield gateway


def path_of(gateway: Gateway) -> Path:
    """The log's."""
    return Path(orjson.loads(gateway.file.read_bytes())["access_log"]["path"])


def ask(gateway: Gateway, model: Any, request: str = "", path: str = CHAT, key: str = KEY, **members: Any) -> str:
    """One request, to its end; the id that it was told."""
    headers = {"authorization": f"Bearer {key}", **({"x-request-id": request} if request else {})}
    body = {"model": model, "messages": [{"role": "user", "content": f"hello {CANARY}"}], **members}
    answer = httpx.post(gateway.url + path, json=body, headers=headers, **PLAIN)
    return answer.headers["x-request-id"]


def line(gateway: Gateway, request: str) -> dict[str, Any]:
    """The one line of a request, which comes soon after its end."""
    def lines() -> list[dict[str, Any]]:
        whole = path_of(gateway).read_bytes().rpartition(b"\n")[0].splitlines() if path_of(gateway).exists() else []
        return [said for each in whole if (said := orjson.loads(each))["request_id"] == request]

    found: list[dict[str, Any]] = gateway.wait(lines, SLOW)
    assert len(found) == 1
    return found[0]


def timeless(said: Any) -> Any:
    """A line without what is another each time."""
    if isinstance(said, list):
        return [timeless(each) for each in said]
    if not isinstance(said, dict):
        return said
    return {name: timeless(value) for name, value in said.items()
            if name not in TIMES | {"time", "request_id", "bytes_in", "bytes_out", "upstream_request_id"}}


OURS = {"address": "127.0.0.1", "method": "POST", "path": CHAT, "route": "chat", "key": "test"}
FAILED = {"target": "openai/sick", "condition": "provider_error", "blame": "upstream", "upstream_status": 500}
ENDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"model": "good"}, {
        **OURS, "model": "good", "target": "openai/good", "condition": "ok", "blame": None, "status": 200,
        "upstream_status": 200, "attempts": 1}),
    "stream": ({"model": "good", "stream": True}, {
        **OURS, "model": "good", "target": "openai/good", "condition": "ok", "blame": None, "status": 200,
        "upstream_status": 200, "attempts": 1, "stream": True}),
    "second attempt": ({"model": "twice"}, {
        **OURS, "model": "twice", "target": "openai/good", "condition": "ok", "blame": None, "status": 200,
        "upstream_status": 200, "attempts": 2, "failed": [{"attempt": 1, **FAILED}]}),
    "failed": ({"model": "sick"}, {
        **OURS, "model": "sick", "target": "openai/sick", "condition": "provider_error", "blame": "upstream",
        "status": 502, "upstream_status": 500, "attempts": 2,
        "failed": [{"attempt": 1, **FAILED}, {"attempt": 2, **FAILED}]}),
    "rejected": ({"model": "rejected"}, {
        **OURS, "model": "rejected", "target": "openai/rejected", "condition": "provider_rejected", "blame": "client",
        "status": 400, "upstream_status": 400, "attempts": 1}),
    "no key": ({"model": "good", "key": "sk-nobody-0123456789abcdef"}, {
        "address": "127.0.0.1", "method": "POST", "path": CHAT, "route": "chat", "condition": "key_unknown",
        "blame": "tenant", "status": 401, "attempts": 0}),
    "no model": ({"model": "nowhere"}, {
        **OURS, "model": "nowhere", "condition": "model_unknown", "blame": "client", "status": 404, "attempts": 0}),
    "no field": ({"model": 7}, {**OURS, "condition": "field_type", "blame": "client", "status": 400, "attempts": 0}),
    "no path": ({"model": "good", "path": "/v1/nowhere"}, {
        "address": "127.0.0.1", "method": "POST", "path": "/v1/nowhere", "condition": "endpoint_unknown",
        "blame": "client", "status": 404, "attempts": 0}),
    "other dialect": ({"model": "claude", "path": "/v1/messages", "max_tokens": 9}, {
        **OURS, "path": "/v1/messages", "route": "messages", "model": "claude", "target": "anthropic/claude",
        "condition": "ok", "blame": None, "status": 200, "upstream_status": 200, "attempts": 1}),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_line_says_what_a_request_was(gateway: Gateway, name: str) -> None:
    """Every end of a request has one line, with its key, model, target, condition, status and attempts."""
    asked, expected = ENDS[name]
    said = line(gateway, ask(gateway, **asked))
    for each in said.get("failed", ()):
        each.pop("reason", None)
    tokens = {key: said.pop(key) for key in list(said) if key.endswith("_tokens")}
    assert timeless(said) == expected
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ", said["time"])
    assert 0 <= said["overhead"] <= said["seconds"] < SLOW
    if expected["condition"] == "ok":
        assert 0 < said["sent_after"] <= said["first_byte_after"] <= said["seconds"]
        assert said["bytes_in"] > 50 and said["bytes_out"] > 50
        assert tokens.get("input_tokens", 0) > 0 or asked.get("stream")
    else:
        assert not tokens


def test_a_client_that_left_has_a_line(gateway: Gateway) -> None:
    """A request whose client goes before its answer ends as client_closed, with no status."""
    with pytest.raises(httpx.TimeoutException):
        httpx.post(gateway.url + CHAT, json={"model": "good", "messages": [{"role": "user", "content": "x"}]},
                   headers={"authorization": f"Bearer {KEY}", "x-request-id": "left-1", "x-simulate": "hang"},
                   **{**PLAIN, "timeout": 0.5})
    said = line(gateway, "left-1")
    assert (said["condition"], "status" in said) == ("client_closed", False)


@pytest.mark.parametrize("model", ['canary"\\\x00\x1f\x7f', "canary\u00e9\U0001f600", "canary" + "\u20ac" * 200])
def test_names_from_outside_are_text(gateway: Gateway, model: str) -> None:
    """A model's name is told as it came, and no more than 256 bytes of it, whatever is in it."""
    body = b'{"model": "%b", "messages": [{"role": "user", "content": "x"}]}' % b"".join(
        b"\\u%04x" % unit for unit in memoryview(model.encode("utf-16-le")).cast("H"))
    answer = httpx.post(gateway.url + CHAT, content=body, headers={
        "authorization": f"Bearer {KEY}", "content-type": "application/json"}, **PLAIN)
    said = line(gateway, answer.headers["x-request-id"])["model"]
    if len(model.encode()) <= 256:
        assert said == model
    else:
        assert said.endswith("...") and model.startswith(said[:-3]) and 250 < len(said[:-3].encode()) <= 256


def test_probes_have_no_line(gateway: Gateway) -> None:
    """What asks whether the gateway lives is no traffic."""
    for path in ("/health", "/livez", "/readyz"):
        httpx.get(gateway.url + path, headers={"x-request-id": "probe"}, **PLAIN)
    line(gateway, ask(gateway, "good", "behind-them"))
    assert "probe" not in path_of(gateway).read_text()


def test_nothing_secret_is_written(gateway: Gateway) -> None:
    """No output has a word of a body, a key, or a query: not the log, nor standard error, nor the admin port."""
    secrets = [CANARY, KEY, "sk-provider", "query-5b1c7f", "agent-5b1c7f", "sk-other-5b1c7f"]
    headers = {"user-agent": "agent-5b1c7f", "x-simulate": f"status=500;body={CANARY}"}
    for number, key in enumerate((KEY, KEY, "sk-other-5b1c7f-0123456789abcdef")):
        httpx.post(f"{gateway.url}{CHAT}?key=query-5b1c7f", json={
            "model": "sick" if number else "good", "messages": [{"role": "user", "content": CANARY}],
            "user": CANARY, "metadata": {"x": CANARY}},
            headers={**headers, "authorization": f"Bearer {key}", "x-request-id": f"secret-{number}"}, **PLAIN)
    written = [line(gateway, f"secret-{number}") for number in range(3)]
    told = httpx.get(f"{gateway.admin}/admin/requests?last=1000", **PLAIN).text
    assert [said["path"] for said in written] == [CHAT] * 3 and "secret-1" in told
    everything = path_of(gateway).read_text() + gateway.log() + told
    assert [secret for secret in secrets if secret in everything] == []


def test_kept_requests_are_found_by_their_ids(gateway: Gateway) -> None:
    """What failed, or needed another attempt, is told by the admin port as the log has it; what went well is not."""
    ids = {model: ask(gateway, model) for model in ("sick", "twice", "good")}
    line(gateway, ids["good"])
    found = {model: httpx.get(f"{gateway.admin}/admin/requests", params={"id": request}, **PLAIN).json()["request"]
             for model, request in ids.items()}
    assert found == {"sick": line(gateway, ids["sick"]), "twice": line(gateway, ids["twice"]), "good": None}
    last = httpx.get(f"{gateway.admin}/admin/requests?last=2", **PLAIN).json()["requests"]
    assert [said["request_id"] for said in last] == [ids["twice"], ids["sick"]]


def why(gateway: Gateway, request: str) -> subprocess.CompletedProcess[str]:
    """`edge why`."""
    return subprocess.run([sys.executable, "-m", "edge", "why", request, "--admin", gateway.admin],
                          capture_output=True, text=True, timeout=60, check=False)


def test_why_tells_each_attempt(gateway: Gateway) -> None:
    """`edge why` tells a request's attempts, how each ended, and cause and fix; of one that went well it says so."""
    failed, good = ask(gateway, "sick"), ask(gateway, "good")
    line(gateway, good)
    told = why(gateway, failed)
    fix = conditions().meanings["provider_error"].fix
    assert told.returncode == 0 and fix in told.stdout
    for words in ("attempt 1 at openai/sick: provider_error (500", "attempt 2 at openai/sick", "answered 502"):
        assert words in told.stdout
    assert why(gateway, good).returncode == 1


@pytest.mark.parametrize("how", ["signal", "alone", "reload"])
def test_the_file_is_opened_anew(gateway: Gateway, how: str) -> None:
    """After the file was moved away lines go into a new one, with a signal, a reload, and without either."""
    path = path_of(gateway)
    line(gateway, ask(gateway, "good", f"before-{how}"))
    path.rename(path.with_suffix(f".{how}"))
    if how == "signal":
        os.kill(gateway.process.pid, signal.SIGUSR1)
    elif how == "reload":
        assert gateway.reload().status_code == 200
    line(gateway, ask(gateway, "good", f"after-{how}"))
    assert f"after-{how}" not in path.with_suffix(f".{how}").read_text()
    assert f"before-{how}" not in path.read_text()


def test_conditions_are_sampled(simulator: Simulator, tmp_path: Path) -> None:
    """Of a condition with a share of 0 there is no line, of one with a half about as many, of the others all."""
    sample = {"ok": 0.5, "model_unknown": 0}
    with Gateway(logging(simulator, tmp_path / "log", sample=sample)) as gateway, gateway.client() as client:
        for _ in range(60):
            for model in ("good", "nowhere"):
                client.post(CHAT, json={"model": model, "messages": [{"role": "user", "content": "x"}]})
        line(gateway, ask(gateway, "rejected"))
        found = [orjson.loads(each)["condition"] for each in (tmp_path / "log").read_bytes().splitlines()]
        assert set(found) == {"ok", "provider_rejected"} and 5 < found.count("ok") < 55


def test_lines_for_people(simulator: Simulator, tmp_path: Path) -> None:
    """The console's form has a line of words for each request, what matters first."""
    with Gateway(logging(simulator, tmp_path / "log", format="console")) as gateway:
        ask(gateway, "good", "for-people")
        said = gateway.wait(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text(), SLOW)
    assert re.fullmatch(r"\S+Z 127\.0\.0\.1 POST /v1/chat/completions 200 ok \d+\.\d{3}s key=test model=good "
                        r"target=openai/good attempts=1 input_tokens=\d+ output_tokens=\d+ id=for-people\n", said)


def test_nothing_of_a_client_moves_a_terminal(simulator: Simulator, tmp_path: Path) -> None:
    """What a client has called a model does nothing to the terminal that a line or a story of it is shown on."""
    with Gateway(logging(simulator, tmp_path / "log", format="console")) as gateway:
        name = ask(gateway, HOSTILE, "hostile")
        said = gateway.wait(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text(), SLOW)
        told = why(gateway, name).stdout
    assert said.count("\n") == 1 and f"model={CANARY}?[31m??漢 " in said
    assert f"model {CANARY}?[31m??漢 " in told


def test_standard_output(simulator: Simulator) -> None:
    """`-` writes to standard output."""
    with Gateway(logging(simulator, "-")) as gateway:
        ask(gateway, "good", "to-stdout")
        assert gateway.process.stdout is not None
        said = b""
        while b"to-stdout" not in said:
            piece = os.read(gateway.process.stdout.fileno(), 65536)
            assert piece
            said += piece


def test_what_cannot_be_written_disturbs_nobody(simulator: Simulator) -> None:
    """On a full disk requests are served as ever, and the lines that are lost are counted and told of once."""
    with Gateway(logging(simulator, "/dev/full")) as gateway, gateway.client() as client:
        for _ in range(20):
            body = {"model": "good", "messages": [{"role": "user", "content": "x"}]}
            assert client.post(CHAT, json=body).status_code == 200
        gateway.wait(lambda: gateway.metric("edge_access_log_lines_lost_total", reason="unwritten") == 20, SLOW)
        assert gateway.log().count("the access log is not written") == 1


@pytest.mark.parametrize("reader", [False, True])
def test_a_reload_leaves_a_pipe_that_hangs(simulator: Simulator, tmp_path: Path, reader: bool) -> None:
    """Where a pipe takes no lines, at its opening or when it is full, another file is begun by a reload."""
    os.mkfifo(tmp_path / "pipe")
    with ExitStack() as stack:
        if reader:
            pipe = os.open(tmp_path / "pipe", os.O_RDWR)
            stack.callback(os.close, pipe)
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        gateway = stack.enter_context(Gateway(logging(simulator, tmp_path / "pipe")))
        begun = time.monotonic()
        while time.monotonic() < begun + WRITERS_TURNS:
            ask(gateway, "good")
        assert gateway.reload(logging(simulator, tmp_path / "file")).status_code == 200
        assert line(gateway, ask(gateway, "good"))["condition"] == "ok"
        assert gateway.metric("edge_access_log_lines_lost_total", reason="unwritten") > 0
        assert '"reason":"it takes no lines"' in gateway.log().replace('": "', '":"')


@pytest.mark.parametrize("last", ["", "x", "-1", "1.5", "\u0661", "9" * 5000])
def test_how_many_are_told(gateway: Gateway, last: str) -> None:
    """What is no number of requests is refused in contract; more than are kept are all."""
    answer = httpx.get(f"{gateway.admin}/admin/requests", params={"last": last}, **PLAIN)
    expected = (200, None) if last.isascii() and last.isdigit() else (400, "field_value")
    assert (answer.status_code, answer.headers.get("x-edge-condition")) == expected


def test_a_writer_that_hangs_disturbs_nobody(simulator: Simulator, tmp_path: Path) -> None:
    """A pipe that nobody reads holds up neither requests, nor the admin port, nor the end."""
    os.mkfifo(tmp_path / "pipe")
    with Gateway(logging(simulator, tmp_path / "pipe")) as gateway, gateway.client() as client:
        for model, status in (("good", 200), ("sick", 502), ("good", 200)):
            body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
            assert client.post(CHAT, json=body).status_code == status
        told = httpx.get(f"{gateway.admin}/admin/requests?last=9", **PLAIN).json()["requests"]
        assert [said["condition"] for said in told] == ["provider_error"]
        assert gateway.stop(signal.SIGTERM) == 0
