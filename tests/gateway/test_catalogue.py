"""What the catalogue says of models: what they are made for, whether they are on, and who may say so meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest
from click.testing import CliRunner

from edge.cli import main
from tests.gateway.client import ask, post, request
from tests.gateway.sdk import ASKED
from tests.gateway.test_models import VERSION, listed, sdks
from tests.simulator.wire import Wire
from tests.support.gateway import KEY, PLAIN, Gateway, configuration
from tests.support.simulator import Simulator

LIMITED = "sk-limited-0123456789abcdef"
CHAT = ["chat", "tools"]


@pytest.fixture(scope="module")
def edge(running: Simulator) -> Iterator[Gateway]:
    """A gateway with a catalogue, which tests leave as they found it."""
    config = configuration(
        running.url, workers=2,
        models={"fast": ["openai/sim-1", "anthropic/sim-1"], "old": ["openai", "anthropic"], "vectors": "openai/sim-e",
                "org/big": ["openai/sim-b", "anthropic/sim-b"], "sim-*": ["openai", "anthropic"]},
        catalogue={"fast": {"capabilities": CHAT}, "old": {"enabled": False},
                   "vectors": {"capabilities": ["embeddings"]}, "sim-raw-*": {"capabilities": []},
                   "sim-off-*": {"enabled": False}, "sim-*": {"capabilities": [*CHAT, "vision"]}})
    config["keys"].append({"name": "limited", "key": "env:LIMITED", "models": ["fast", "old"]})
    with Gateway(config, environ={"LIMITED": LIMITED}) as gateway:
        yield gateway


def switch(edge: Gateway, model: str, enabled: bool) -> dict[str, Any]:
    """What an operator says, and how the model is then."""
    answer = httpx.post(f"{edge.admin}/admin/models", json={"model": model, "enabled": enabled}, **PLAIN)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["model"], found["enabled"]) == (model, enabled)
    return found


def told(edge: Gateway) -> dict[str, Any]:
    """All models by name, as an operator sees them."""
    return {each["model"]: each for each in httpx.get(f"{edge.admin}/admin/models", **PLAIN).json()["models"]}


def met(edge: Gateway, model: str, surface: str = "openai", **asked: Any) -> str:
    """The condition that a request for a model ends with."""
    answer = ask(edge.port, post(surface, model=model, **asked))
    return answer.fields.get("x-edge-condition", "ok")


def test_lists_show_what_is_on(edge: Gateway) -> None:
    """GET /v1/models has what is on and the key may use, with capabilities where these are known, to both SDKs."""
    for client in sdks(edge.url):
        assert listed(client) == ["fast", "vectors", "org/big"]
        assert client.models.retrieve("fast").model_extra["edge_capabilities"] == CHAT
        assert "edge_capabilities" not in (client.models.retrieve("org/big").model_extra or {})
        with pytest.raises((openai.NotFoundError, anthropic.NotFoundError)):
            client.models.retrieve("old")
    for client in sdks(edge.url, LIMITED):
        assert listed(client) == ["fast"]


def test_off_by_the_file(edge: Gateway) -> None:
    """A name or a pattern with enabled: false is refused on every path, and the others pass."""
    assert {met(edge, model, surface) for model in ("old", "sim-off-1") for surface in ("openai", "anthropic")} == {
        "model_disabled"}
    relayed = request({"model": "old", "prompt": "x"}, path="/v1/images/generations")
    assert ask(edge.port, relayed).fields["x-edge-condition"] == "model_disabled"
    deployed = request({"messages": ASKED}, path="/openai/deployments/old/chat/completions")
    assert ask(edge.port, deployed).fields["x-edge-condition"] == "model_disabled"
    assert {met(edge, model) for model in ("fast", "sim-1", "org/big")} == {"ok"}


def test_switched_at_once(edge: Gateway) -> None:
    """An operator's word holds with the answer, for all workers, also on connections that were there."""
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(edge.port)) for _ in range(24)]

        def statuses() -> set[int]:
            for wire in wires:
                wire.send(post("openai", model="fast"))
            return {int(wire.answer().status) for wire in wires}
        for _ in range(3):
            assert statuses() == {200}
            assert switch(edge, "fast", False)["by"] == "admin"
            assert statuses() == {403} and [listed(client) for client in sdks(edge.url)] == [["vectors", "org/big"]] * 2
            assert switch(edge, "fast", True)["by"] == "file"
        assert statuses() == {200} and listed(sdks(edge.url)[0]) == ["fast", "vectors", "org/big"]


def test_names_and_patterns(edge: Gateway) -> None:
    """A word on a name goes before one on its pattern, and both before the file's; what is taken back is gone."""
    try:
        switch(edge, "sim-*", False)
        assert met(edge, "sim-1") == "model_disabled" and met(edge, "fast") == "ok"
        switch(edge, "sim-1", True)
        assert met(edge, "sim-1") == "ok" and met(edge, "sim-2") == "model_disabled"
        switch(edge, "sim-*", True)
        switch(edge, "sim-1", False)
        assert met(edge, "sim-1") == "model_disabled" and met(edge, "sim-2") == "ok"
        switch(edge, "old", True)
        assert met(edge, "old") == "ok" and told(edge)["old"]["by"] == "admin"
        switch(edge, "sim-off-*", True)
        assert met(edge, "sim-off-1") == "ok"
    finally:
        for model, enabled in (("sim-1", True), ("sim-*", True), ("old", False), ("sim-off-*", False)):
            switch(edge, model, enabled)
    assert met(edge, "old") == met(edge, "sim-off-1") == "model_disabled" and met(edge, "sim-1") == "ok"


def test_words_outlive_processes_and_reloads(edge: Gateway) -> None:
    """What an operator said holds when workers and control were killed, and in another version of the configuration."""
    try:
        switch(edge, "org/big", False)
        for pid in edge.children():
            os.kill(pid, signal.SIGKILL)

        def again() -> Any:
            with contextlib.suppress(httpx.HTTPError):
                return told(edge)
        assert edge.wait(again)["org/big"]["enabled"] is False
        assert edge.wait(lambda: edge.reload().status_code == 200)
        assert met(edge, "org/big") == "model_disabled" and told(edge)["org/big"]["by"] == "admin"
    finally:
        switch(edge, "org/big", True)
    assert met(edge, "org/big") == "ok"


def test_sdks_raise_what_they_have_for_it(edge: Gateway) -> None:
    """A model that is off is the SDKs' PermissionDeniedError; what a model is not made for their BadRequestError."""
    ours, theirs = sdks(edge.url)
    for model, errors in (("old", (openai.PermissionDeniedError, anthropic.PermissionDeniedError)),
                          ("sim-raw-1", (openai.BadRequestError, anthropic.BadRequestError))):
        with pytest.raises(errors[0], match=model):
            ours.chat.completions.create(model=model, messages=ASKED)
        with pytest.raises(errors[1], match=model):
            theirs.messages.create(model=model, max_tokens=8, messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="it lacks embeddings"):
        ours.embeddings.create(model="fast", input="x")
    assert ours.embeddings.create(model="vectors", input="x").data


def image(**part: Any) -> list[Any]:
    """Messages with such a part."""
    return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, part]}]


DEEP: Any = "x"
for _ in range(90):
    DEEP = [DEEP]
SAYS_SO = 'look: {"type":"image"}, "type": "image_url", \\"'
IMAGES: dict[str, tuple[list[Any], bool]] = {
    "url": (image(type="image_url", image_url={"url": "http://x"}), True),
    "Anthropic's": (image(type="image", source={"type": "base64", "data": "eA=="}), True),
    "type behind": (image(source={"type": "url"}, type="image"), True),
    "of a response": (image(type="input_image", image_url="http://x"), True),
    "in a tool's result": (image(type="tool_result", content=[{"type": "image"}]), True),
    "later message": ([{"role": "user", "content": "x"}, *image(type="image")], True),
    "escapes before it": ([{"role": "user", "content": '\\\\"' * 9}, *image(type="image")], True),
    "text": ([{"role": "user", "content": SAYS_SO}], False),
    "the word": ([{"role": "user", "content": "image"}], False),
    "text part": (image(type="text", text=SAYS_SO), False), "another name": (image(kind="image"), False),
    "in what a tool is called with": (image(type="tool_use", input={"type": "image"}), False),
    "deeper there": (image(type="tool_use", input={"a": {"type": "image"}, "b": [{"type": "image"}]}), False),
    "no part": ([{"role": "user", "content": "x", "type": "image"}], False),
    "number for a type": (image(type=5, image=True), False),
    "too deep": ([{"role": "user", "content": [{"type": "text", "x": DEEP}, {"type": "image"}]}], False),
    "empty": ([], False),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_seen(edge: Gateway, name: str) -> None:
    """An image in a message is for models with vision; what only looks like one, wherever it stands, passes."""
    messages, shows = IMAGES[name]
    for spaces in (None, (" , ", " : ")):
        body = json.dumps({"model": "fast", "messages": messages}, separators=spaces).encode()
        answer = ask(edge.port, request(body, path="/v1/chat/completions"))
        assert (answer.fields.get("x-edge-condition") == "model_capability") == shows, answer
    assert met(edge, "sim-1", messages=messages or ASKED) == "ok"


@pytest.mark.parametrize(("model", "member", "condition"), [
    ("sim-raw-1", {}, "model_capability"), ("fast", {"tools": []}, "ok"), ("fast", {"tools": [{"type": "x"}]}, "ok"),
    ("vectors", {}, "model_capability"), ("fast", {"response_format": {"type": "text"}}, "ok"),
    ("fast", {"response_format": {"type": "json_schema", "json_schema": {}}}, "model_capability"),
    ("org/big", {"tools": [{"type": "x"}], "response_format": {"type": "json_object"}}, "ok")])
def test_what_a_request_needs(edge: Gateway, model: str, member: dict[str, Any], condition: str) -> None:
    """Path and members show what is needed; of a model of which nothing is said everything may be asked."""
    assert met(edge, model, **member) == condition


@pytest.mark.parametrize(("said", "condition"), [
    ({"model": "nobody", "enabled": False}, "field_value"), ({"model": "", "enabled": False}, "field_value"),
    ({"model": "sim-\n", "enabled": False}, "field_value"), ({"model": "s*", "enabled": False}, "field_value"),
    ({"model": "sim-" + "x" * 3000, "enabled": False}, "field_value"), ({"model": "fast"}, "field_missing"),
    ({"model": 5, "enabled": True}, "field_type"), ({"model": "fast", "enabled": 1}, "field_type"),
    ({"model": "fast", "enabled": True, "x": 1}, "setting_invalid"), ([], "field_type"), ("x", "field_type")])
def test_what_cannot_be_said(edge: Gateway, said: Any, condition: str) -> None:
    """What is wrong with an order is told in contract, and nothing has changed."""
    before = told(edge)
    answer = httpx.post(f"{edge.admin}/admin/models", json=said, **PLAIN)
    assert answer.headers["x-edge-condition"] == condition and 400 <= answer.status_code < 500
    assert told(edge) == before


def test_commands(edge: Gateway) -> None:
    """`edge models` lists and switches, for people and for programs, and names what was meant."""
    def run(*words: str) -> Any:
        return CliRunner().invoke(main, ["models", *words, "--admin", edge.admin])
    rows = {line.split()[0]: line.split() for line in run("list").output.splitlines()}
    assert rows["old"][1:3] == ["off", "file"] and rows["fast"][1:4] == ["on", "file", "chat,"]
    assert rows["sim-*"][1] == "on" and rows["vectors"][-1] == "openai/sim-e"
    try:
        assert run("disable", "org/big").output == "org/big  off\n" and met(edge, "org/big") == "model_disabled"
        assert json.loads(run("list", "--json").output)[3]["by"] == "admin"
    finally:
        assert json.loads(run("enable", "org/big", "--json").output)["enabled"] is True
    wrong = run("disable", "org/bigg")
    assert wrong.exit_code == 1 and "org/big" in wrong.output


def test_the_list_of_a_key_is_in_each_dialect(edge: Gateway) -> None:
    """The member that SDKs do not know stands beside those that they do."""
    for headers in ({}, VERSION):
        found = httpx.get(f"{edge.url}/v1/models", headers={"authorization": f"Bearer {KEY}", **headers}).json()["data"]
        assert [each.get("edge_capabilities") for each in found] == [CHAT, ["embeddings"], None]


def test_fallbacks_by_capability(running: Simulator) -> None:
    """`has:` stands for all other models with these capabilities that are on, in the file's order."""
    config = configuration(
        running.url, models={"first": "openai/fault:status=500", "off": "openai/sim-off", "plain": "openai/sim-plain",
                             "clever": "openai/sim-clever"},
        catalogue={"off": {"capabilities": CHAT, "enabled": False}, "plain": {"capabilities": ["chat"]},
                   "clever": {"capabilities": CHAT}}, fallback={"first": "has:chat,tools"}, retry={"max": 3})
    with Gateway(config) as own:
        answer = ask(own.port, post("openai", model="first"))
        assert (answer.status, answer.fields["x-edge-target"]) == (200, "openai/sim-clever")
