"""Maintenance is switched at a running gateway: at once for all workers, in contract, and for as long as was said."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest
from click.testing import CliRunner

from edge.cli import main
from tests.support.gateway import KEY, PLAIN, Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Talk, ask, chat, in_contract, request

HELLO: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def edge(running: Simulator) -> Iterator[Gateway]:
    """A gateway that the tests share, in no maintenance between them."""
    with Gateway(configuration(running.url, workers=2)) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def over(edge: Gateway) -> Iterator[None]:
    """Whatever a test has begun is over behind it."""
    yield
    assert call(edge, "DELETE").json() == {"on": False, "since": None, "until": None, "message": ""}


def call(edge: Gateway, method: str, said: Any = None, **options: Any) -> httpx.Response:
    """One request of the admin API."""
    return httpx.request(method, f"{edge.admin}/admin/maintenance", json=said, **PLAIN, **options)


def begin(edge: Gateway, **said: Any) -> dict[str, Any]:
    """It is on."""
    answer = call(edge, "PUT", {name.strip("_"): value for name, value in said.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: Answer) -> Answer:
    """It is what clients hear meanwhile."""
    return in_contract(answer, "maintenance", status=503)


def get(edge: Gateway, path: str) -> Any:
    """A route of the gateway's own."""
    answer = ask(edge.port, request(method="GET", path=path, key=None), "GET")
    return answer.status, answer.json


def test_in_force_at_once(edge: Gateway) -> None:
    """With the admin's answer every worker refuses, on connections that were there too, and lets in with the next."""
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)) for _ in range(24)]
        for _ in range(5):
            assert {talk.send(chat()).answer().status for talk in talks} == {200}
            begin(edge, for_=60)
            for talk in talks:
                talk.send(chat())
            for talk in talks:
                assert refused(talk.answer()).header("connection") is None
            call(edge, "DELETE")
        assert {talk.send(chat()).answer().status for talk in talks} == {200}


def test_streams_go_on(edge: Gateway) -> None:
    """A stream that has begun comes to its end, and so does a request that the gateway has let in."""
    with Talk(edge.port) as stream, Talk(edge.port) as plain:
        stream.send(chat(stream=True, fault="tokens=30;delay=10"))
        assert stream.socket.recv(1, 2)
        plain.send(chat(fault="latency=300"))
        edge.wait(lambda: edge.metric("edge_requests_in_flight") == 2)
        begin(edge)
        refused(ask(edge.port, chat()))
        assert stream.answer().body.endswith(b"data: [DONE]\n\n") and plain.answer().status == 200


@pytest.mark.parametrize(("said", "least", "most", "retries"), [
    ({"for_": 30}, 29, 31, "true"), ({"for_": 3600}, 3599, 3601, "false"), ({}, 60, 60, "true"),
    ({"until": "+100"}, 98, 101, "false")])
def test_the_wait_is_true(edge: Gateway, said: dict[str, Any], least: int, most: int, retries: str) -> None:
    """Retry-After is the time until it ends, a minute where nobody knows, and the message says the same and why."""
    if "until" in said:
        said = {"until": datetime.fromtimestamp(time.time() + int(said["until"]), UTC).isoformat()}
    begin(edge, **said, message="the database moves")
    answer = refused(ask(edge.port, chat()))
    wait = int(answer.header("retry-after") or 0)
    assert least <= wait <= most and answer.header("x-should-retry") == retries
    assert answer.json["error"]["message"] == f"The gateway is in maintenance: the database moves. Retry after {wait} s"


def test_it_is_over_when_its_time_is(edge: Gateway) -> None:
    """A maintenance with an end is over then by itself, for requests at once, and the log says so."""
    begin(edge, for_=1)
    wait = int(refused(ask(edge.port, chat())).header("retry-after") or 0)
    time_is_up = time.monotonic() + wait
    edge.wait(lambda: time.monotonic() > time_is_up)
    assert ask(edge.port, chat()).status == 200
    edge.wait(lambda: '"by": "its time"' in edge.log() or '"by":"its time"' in edge.log())
    assert call(edge, "GET").json()["on"] is False


def test_it_outlives_processes_and_reloads(edge: Gateway) -> None:
    """Workers and control that are killed, and a reload, leave it as it is."""
    shown = begin(edge, for_=600, message="a long one")
    for pid in edge.children():
        os.kill(pid, signal.SIGKILL)
    edge.wait(lambda: edge.log().count(" serves") or len(edge.children()) == 3)

    def again() -> Any:
        with contextlib.suppress(httpx.HTTPError):
            return call(edge, "GET").json()
    assert edge.wait(again) == shown
    assert edge.reload().status_code == 200
    refused(ask(edge.port, chat()))
    assert call(edge, "GET").json() == shown


def test_health_stays_what_balancers_need(edge: Gateway) -> None:
    """Alive and ready on both ports, so that no balancer answers in the gateway's place; and what goes on is told."""
    until = begin(edge, for_=600)["until"]
    assert get(edge, "/livez") == (200, {"status": "ok"})
    for path in ("/health", "/readyz"):
        status, told = get(edge, path)
        assert (status, told["status"], told["until"]) == (200, "maintenance", until)
    for path, word in (("livez", "ok"), ("readyz", "ok"), ("health", "maintenance")):
        answer = httpx.get(f"{edge.admin}/{path}", **PLAIN)
        assert (answer.status_code, answer.json()["status"]) == (200, word)
    assert httpx.get(f"{edge.admin}/admin/status", **PLAIN).json()["maintenance"]["until"] == until
    assert edge.metric("edge_maintenance") == 1
    call(edge, "DELETE")
    assert edge.metric("edge_maintenance") == 0 and get(edge, "/health")[1]["status"] == "ok"


def test_sdks_raise_what_they_have_for_it(edge: Gateway) -> None:
    """Both SDKs raise their error of a 503, with the status, the condition's words and no retries of a long one."""
    begin(edge, for_=600, message="the database moves")
    with pytest.raises(openai.InternalServerError, match="the database moves") as ours:
        openai.OpenAI(base_url=f"{edge.url}/v1", api_key=KEY).chat.completions.create(model="gpt-4o", messages=HELLO)
    with pytest.raises(anthropic.APIStatusError, match="the database moves") as theirs:
        anthropic.Anthropic(base_url=edge.url, api_key=KEY).messages.create(
            model="claude-opus-4-6", max_tokens=8, messages=HELLO)
    for caught in (ours, theirs):
        assert caught.value.status_code == 503


@pytest.mark.parametrize(("said", "condition"), [
    ({"for": -1}, "setting_invalid"), ({"for": 0}, "setting_invalid"), ({"for": True}, "setting_invalid"),
    ({"for": "1h"}, "setting_invalid"), ({"for": 1e300}, "setting_invalid"), ({"for": [1]}, "setting_invalid"),
    ({"until": "yesterday"}, "setting_invalid"), ({"until": "2020-01-01"}, "setting_invalid"),
    ({"until": "9999-12-31"}, "setting_invalid"), ({"until": 5}, "setting_invalid"),
    ({"until": "2031-01-01", "for": 5}, "setting_invalid"), ({"message": 5}, "setting_invalid"),
    ({"message": "a\nb"}, "setting_invalid"), ({"message": "x" * 501}, "setting_invalid"),
    ({"message": "\u00fc" * 251}, "setting_invalid"), ({"untill": None}, "setting_invalid"), ([], "field_type"),
    ("on", "field_type")])
def test_what_cannot_be_said(edge: Gateway, said: Any, condition: str) -> None:
    """What is wrong with an order is told in contract, with the field and the way out, and nothing has changed."""
    answer = call(edge, "PUT", said)
    assert answer.headers["x-edge-condition"] == condition and 400 <= answer.status_code < 500
    assert call(edge, "GET").json()["on"] is False and ask(edge.port, chat()).status == 200


def test_words_from_outside_break_nothing(edge: Gateway) -> None:
    """An operator's message of 500 bytes with quotes, braces and letters of all kinds arrives as it is."""
    message = '"{reason}" \\ \u00fc\U0001f6e0 '.ljust(200, "x") + "</script>"
    begin(edge, for_=60, message=message)
    assert f": {message}. Retry" in refused(ask(edge.port, chat())).json["error"]["message"]


def test_commands(edge: Gateway) -> None:
    """`edge maintenance` begins, shows and ends it, for people and for programs, and says what it cannot do."""
    def run(*words: str) -> Any:
        return CliRunner().invoke(main, ["maintenance", *words, "--admin", edge.admin])
    assert run("show").output == "no maintenance\n"
    begun = run("on", "--for", "10m", "--message", "the database moves")
    assert begun.exit_code == 0 and begun.output.endswith("Z: the database moves\n"), begun.output
    assert json.loads(run("show", "--json").output)["message"] == "the database moves"
    assert "until `edge maintenance off`" in run("on").output
    refused(ask(edge.port, chat()))
    assert json.loads(run("off", "--json").output)["on"] is False
    assert ask(edge.port, chat()).status == 200
    for words in (("on", "--for", "soon"), ("on", "--for", "1w"), ("on", "--for", "-5"), ("pause",)):
        assert run(*words).exit_code == 2
    for words in (("on", "--until", "yesterday"), ("on", "--until", "2020-01-01"), ("on", "--for", "9999d")):
        assert run(*words).exit_code == 1 and "Error: " in run(*words).output
