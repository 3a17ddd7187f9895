"""What a request is for: on every path one model decides about routing, aliases, what a key may use and counts."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from tests.gateway.client import ask, asked, request
from tests.gateway.two_providers import BOUNDARY, FILE, FORM, HELD, JSON, Stage, form
from tests.support.gateway import KEY


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all of these tests."""
    with ExitStack() as stack:
        yield Stage(stack)


def written(model: str, kind: str) -> bytes:
    """A body that names the model."""
    if kind == JSON:
        return json.dumps({"input": "x", "model": model, "prompt": "y"}).encode()
    return form(('"prompt"', "y", ""), ('"model"', model, ""), FILE)


READ = [
    *(
        (path, JSON)
        for path in (
            "/v1/images/generations",
            "/v1/moderations",
            "/v1/responses/compact",
            "/v1/responses/input_tokens",
            "/v1/audio/speech",
            "/v1/fine_tuning/jobs",
            "/v1/videos",
            "/images/generations",
            "/openai/v1/videos",
            "/v1/v1/audio/speech",
        )
    ),
    *(
        (path, FORM)
        for path in (
            "/v1/images/edits",
            "/v1/images/variations",
            "/v1/audio/transcriptions",
            "/v1/audio/translations",
            "/v1/videos",
            "/audio/transcriptions",
        )
    ),
]


@pytest.mark.parametrize("coding", [None, "Identity", "gzip"])
@pytest.mark.parametrize(("path", "kind"), READ)
def test_models_of_relayed_paths(stage: Stage, path: str, kind: str, coding: str | None) -> None:
    """Relayed requests go where their model is served, under its name there, and a key may use its own models alone."""

    def sent(model: str) -> bytes:
        body = written(model, kind)
        return gzip.compress(body) if coding == "gzip" else body

    for key, model, provider, there in (
        ("test", "sim-1", "first", "sim-1"),
        ("test", "alias", "second", "real"),
        ("some", "alias", "second", "real"),
        ("some", "sim-ok", "first", "sim-ok"),
        ("test", "unheard-of", "first", "unheard-of"),
        ("test", "org/model", "second", "org/model"),
        ("scoped", "alias", "second", "real"),
    ):
        found, seen = stage.ask(sent(model), path=path, key=key, content_type=kind, coding=coding)
        assert found.status == 200 and seen is not None, (key, model)
        assert (seen.provider, seen.body) == (provider, written(there, kind))
    for key, model in itertools.product(("some", "scoped"), ("sim-1", "unheard-of", "sim-ok ", "ALIAS", "real")):
        found, seen = stage.ask(sent(model), path=path, key=key, content_type=kind, coding=coding)
        assert (found.status, found.fields["x-edge-condition"], seen) == (403, "model_denied", None), (key, model)


def test_relayed_requests_are_counted_by_model(stage: Stage) -> None:
    """A relayed request counts for its model as the configuration has it, never for a name that a client made up."""
    labels = {"route": "relay", "provider": "first", "model": "sim-*"}
    before = stage.edge.metric("edge_requests_total", **labels)
    stage.ask({"model": "sim-counted"}, path="/v1/images/generations")
    assert stage.edge.metric("edge_requests_total", **labels) == before + 1
    stage.ask({"model": "made-up"}, path="/v1/images/generations")
    assert stage.edge.metric("edge_requests_total", model="made-up") == 0


UNREADABLE = [
    ("GET", "/v1/files", None, None),
    ("DELETE", "/v1/files/x", None, None),
    ("GET", "/v1/responses/resp_1", None, None),
    ("POST", "/v1/files", form(FILE), FORM),
    ("POST", "/v1/batches", {"model": "alias", "input_file_id": "x"}, JSON),
    ("POST", "/v1/evals/x/runs", {"model": "alias", "data_source": {"model": "sim-1"}}, JSON),
    ("POST", "/v1/messages/batches", {"model": "alias", "requests": [{"params": {"model": "claude"}}]}, JSON),
    ("POST", "/v1/responses/resp_1/cancel", {"model": "alias"}, JSON),
    ("POST", "/v1/videos/x/remix", {"model": "alias"}, JSON),
    ("POST", "/v1/moderations", {"input": "x"}, JSON),
    ("POST", "/v1/moderations", {"model": None}, JSON),
    ("POST", "/v1/moderations", b"", JSON),
    ("POST", "/v1/audio/transcriptions", form(FILE), FORM),
    ("POST", "/v1/moderations", {"model": "alias"}, "text/plain"),
    ("POST", "/v1/moderations", {"model": "alias"}, None),
    ("PUT", "/v1/images/x", {"model": "alias"}, JSON),
    ("POST", "/v1/rerank", {"query": "x"}, JSON),
    ("POST", "/v1/images/edits", form(('"model"', "alias", ""), FILE), "multipart/form-data"),
    ("POST", "/v1/images/edits", form(('"model"', "alias", ""), FILE), "multipart/mixed; boundary=" + BOUNDARY),
    ("POST", "/v1/images/edits", form(('"model"', "alias", ""), ('"file"', "x" * HELD, "")), FORM),  # goes on unread
]


@pytest.mark.parametrize(("method", "path", "body", "kind"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_read(stage: Stage, method: str, path: str, body: Any, kind: str | None) -> None:
    """A request whose model cannot be known is for keys that may use all, or that name the scope themselves."""
    for key in ("test", "scoped"):
        found, seen = stage.ask(body, path=path, method=method, content_type=kind, key=key)
        assert found.status == 200 and seen is not None, key
    found, seen = stage.ask(body, path=path, method=method, content_type=kind, key="some")
    assert (found.status, found.fields["x-edge-condition"], seen) == (403, "scope_missing", None)
    assert "relay" in found.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "alias"} x', b'{"model": "alias", "x": 1e999}', b"\xff"])
def test_relayed_json_that_is_none(stage: Stage, body: bytes) -> None:
    """A body that is no JSON object goes on as it is, but not for a key whose models must be known."""
    found, seen = stage.ask(body, path="/v1/images/generations")
    assert found.status == 200 and seen is not None and seen.body == body
    found, seen = stage.ask(body, path="/v1/images/generations", key="scoped")
    assert (found.status, found.fields["x-edge-condition"], seen) == (400, "json_invalid", None)


@pytest.mark.parametrize(
    ("path", "key", "model", "provider", "there"),
    [
        ("/v1/rerank", "test", "alias", "second", "real"),
        ("/v1/rerank", "test", "sim-1", "second", "sim-1"),  # its provider is the operator's word
        ("/v1/rerank", "some", "alias", "second", "real"),
        ("/score/x", "test", "alias", "first", "alias"),
    ],
)
def test_paths_of_the_operators_own(stage: Stage, path: str, key: str, model: str, provider: str, there: str) -> None:
    """An operator's path goes to its provider whatever the model; the model's name there and the key's models hold."""
    _, seen = stage.ask({"model": model}, path=path, key=key)
    assert seen is not None and (seen.provider, seen.line) == (provider, f"POST /v1{path.removeprefix('/v1')}")
    assert json.loads(seen.body) == {"model": there}
    assert stage.ask({"model": "sim-1"}, path=path, key="some")[0].fields["x-edge-condition"] == "model_denied"


# ---- members and fields that some decoders take for others ----

ALIKE = ["Model", "MODEL", "mOdel", "mod\\u0065l", "\\u004dodel", "model"]
CHAT = [
    ("Stream", "stream", "true"),
    ("\\u0053tream", "stream", "true"),
    ("\u017ftream", "stream", "true"),
    ("\\u017Ftream", "stream", "true"),
    ("max_to\u212aens", "max_tokens", "5"),
    ("max_to\\u212aens", "max_tokens", "5"),
    ("Max_Tokens", "max_tokens", "5"),
    ("TOOLS", "tools", "[]"),
    ("me\u017fsages", "messages", "[]"),
    ("temperature", "temperature", "1"),
    ("N", "n", "1"),
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("name", "meant", "value"), [*((name, "model", '"sim-forbidden"') for name in ALIKE), *CHAT])
def test_members_that_are_almost_others(stage: Stage, name: str, meant: str, value: str, first: bool) -> None:
    """A member that differs from one we act on in letter case, escapes or not at all is 400 and named."""
    pairs = ['"model":"sim-ok"', '"messages":[]', '"temperature":0', f'"{name}":{value}']
    for path in ("/v1/chat/completions", *(["/v1/images/generations", "/v1/rerank"] if meant == "model" else [])):
        found, seen = stage.ask(f"{{{','.join(reversed(pairs) if first else pairs)}}}".encode(), path=path)
        assert (found.status, found.fields["x-edge-condition"], seen) == (400, "field_value", None)
        error = found.json()["error"]
        assert error["param"] == meant and meant in error["message"]


@pytest.mark.parametrize(
    "name", ["models_", "model_", "mode", "Modell", "user", "User", "\u043codel", "x-model", "model "]
)
def test_members_that_are_others(stage: Stage, name: str) -> None:
    """Other names are nobody's business, at any depth."""
    body = asked("openai", **{name: "x"}, metadata={"Model": "a", "model": "b"}) | {"model": "sim-ok"}
    assert stage.ask(json.dumps(body, ensure_ascii=False).encode(), path="/v1/chat/completions")[0].status != 400


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/images/generations", "/v1/rerank"])
@pytest.mark.parametrize(
    ("models", "status"),
    [(["sim-ok"], 200), (["sim-ok", "alias"], 200), ([], 200), (None, 200), (["sim-ok", "other"], 403), ([1], 403)],
)
def test_more_models_than_one(stage: Stage, path: str, models: Any, status: int) -> None:
    """A key that may use some models may not name others for a provider to choose from; other keys may."""
    body = asked("openai", models=models) | {"model": "sim-ok"}
    found, seen = stage.ask(body, path=path, key="scoped")
    assert found.status == status and (seen is None) == (status == 403)
    assert found.fields.get("x-edge-condition") == ("model_denied" if status == 403 else None)
    assert stage.ask(body, path=path)[0].status == 200


FIELDS_ALIKE = [
    '"Model"',
    "Model",
    '"MODEL"',
    '"mod\\el"',
    '"mod%65l"',
    '" model"',
    '"model "',
    '"model[]"',
    '"model[0]"',
    '"\uff4dodel"',
    "model",
    '"model"',
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", FIELDS_ALIKE)
def test_fields_that_are_almost_others(stage: Stage, name: str, first: bool) -> None:
    """So is a form's field that some reader takes for the model."""
    parts = [('"model"', "sim-ok", ""), FILE, (name, "sim-forbidden", "")]
    body = form(*(reversed(parts) if first else parts))
    found, seen = stage.ask(body, path="/v1/images/edits", content_type=FORM)
    assert (found.status, found.fields["x-edge-condition"], seen) == (400, "field_value", None)
    assert found.json()["error"]["param"] == "model"


# ---- what the routes' table says of other members ----

GOOD = {
    "/v1/chat/completions": [
        {"stop": "x"},
        {"stop": ["x"]},
        {"stop": None},
        {"seed": 5},
        {"seed": None},
        {"frequency_penalty": -2},
        {"presence_penalty": 2.0},
        {"response_format": {"type": "text"}},
        {"stream_options": None},
        {"tools": []},
        {"tool_choice": "auto"},
        {"tool_choice": {"type": "function"}},
        {"logit_bias": {}},
        {"logprobs": True},
    ],
    "/v1/responses": [
        {"tools": []},
        {"tool_choice": {}},
        {"reasoning": {}},
        {"text": {}},
        {"include": []},
        {"metadata": None},
    ],
    "/v1/messages": [
        {"system": "x"},
        {"system": []},
        {"stop_sequences": []},
        {"top_k": 0},
        {"thinking": {"type": "disabled"}},
        {"metadata": {}},
        {"tools": []},
        {"tool_choice": {"type": "auto"}},
        {"system": None},
    ],
}
WRONG = {
    "/v1/chat/completions": [
        {"stop": 5},
        {"stop": {}},
        {"seed": "5"},
        {"frequency_penalty": "0"},
        {"presence_penalty": 2.1},
        {"frequency_penalty": -3},
        {"response_format": "json"},
        {"tools": {}},
        {"tool_choice": []},
        {"metadata": "x"},
        {"logit_bias": []},
        {"logprobs": 1},
    ],
    "/v1/responses": [{"tools": "x"}, {"tool_choice": 1}, {"reasoning": "high"}, {"previous_response_id": 5}],
    "/v1/messages": [
        {"system": {}},
        {"system": 1},
        {"stop_sequences": "x"},
        {"top_k": -1},
        {"top_k": "5"},
        {"thinking": True},
        {"metadata": "x"},
        {"tools": {}},
        {"tool_choice": "auto"},
    ],
}


@pytest.mark.parametrize(
    ("path", "member", "good"),
    [
        (path, member, good)
        for table, good in ((GOOD, True), (WRONG, False))
        for path, members in table.items()
        for member in members
    ],
)
def test_types_of_members(stage: Stage, path: str, member: dict[str, Any], good: bool) -> None:
    """Members have the types that the providers' references give them, null where it stands for nothing."""
    model = "claude" if path == "/v1/messages" else "sim-ok"
    found, _ = stage.ask({"model": model, "messages": [], "max_tokens": 5, **member}, path=path)
    assert (found.status == 400) != good
    if not good:
        (name,) = member
        assert name in found.json()["error"]["message"]


# ---- Azure's clients ----


@pytest.mark.parametrize("body", [{}, {"x": 1}, {"model": "whatever", "x": 1}, {"model": None}])
@pytest.mark.parametrize(
    ("name", "provider", "there"),
    [
        ("alias", "second", "real"),
        ("sim-1", "first", "sim-1"),
        ("org%2Fmodel", "second", "org/model"),
        ("org/model", "second", "org/model"),
    ],
)
def test_deployments(stage: Stage, name: str, provider: str, there: str, body: dict[str, Any]) -> None:
    """Azure's path of a deployment names the model, whatever the body says, and api-version goes no further."""
    body = body | {"messages": []} if body else body
    path = f"/openai/deployments/{name}/{'chat/completions' if body else 'images/generations'}"
    found, seen = stage.ask(body, path=f"{path}?api-version=2024-10-21&a=b")
    assert found.status in (200, 502) and seen is not None and seen.provider == provider
    assert seen.line == f"POST /v1{path[path.index(name) + len(name) :]}?a=b"
    assert json.loads(seen.body) == {**body, "model": there}
    found, _ = stage.ask(body, path=path.replace(name, "sim-forbidden"), key="some")
    assert found.fields["x-edge-condition"] == "model_denied"


@pytest.mark.parametrize("model", [(), (('"model"', "whatever", ""),)])
def test_deployments_of_forms(stage: Stage, model: tuple[Any, ...]) -> None:
    """A form to a deployment has the deployment's name as its model's."""
    path = "/openai/deployments/alias/audio/transcriptions"
    found, seen = stage.ask(form(*model, FILE), path=path, content_type=FORM)
    assert found.status == 200 and seen is not None
    expected = form(('"model"', "real", ""), FILE)
    assert seen.body.lower() == expected.lower() and seen.provider == "second"


def test_azures_sdk(stage: Stage) -> None:
    """The SDK's class for Azure is served: chat, embeddings and files' forms, with its key in api-key."""
    with openai.AzureOpenAI(
        azure_endpoint=stage.edge.url, api_key=KEY, api_version="2024-10-21", max_retries=0
    ) as client:
        client.images.generate(model="alias", prompt="x")
        seen = stage.seen.get(timeout=5)
        assert (seen.provider, seen.line, json.loads(seen.body)["model"]) == (
            "second",
            "POST /v1/images/generations",
            "real",
        )
        client.audio.transcriptions.create(model="alias", file=("a.mp3", b"abc"))
        seen = stage.seen.get(timeout=5)
        assert (seen.provider, seen.line) == (
            "second",
            "POST /v1/audio/transcriptions",
        ) and b"\r\nreal\r\n" in seen.body
        client.files.list()
        assert stage.seen.get(timeout=5).line == "GET /v1/files"
    refused = ask(stage.edge.port, request({}, path="/v1/moderations", headers={"authorization": None, "api-key": KEY}))
    assert refused.fields["x-edge-condition"] == "key_malformed"


# ---- defaults ----


@pytest.mark.parametrize("contract", ["tokenpak", "anthropic"])
@pytest.mark.parametrize("body", ['{"model":"claude","messages":[]%s}', ' { %s"messages":[], "model" : "claude"}'])
@pytest.mark.parametrize("member", ["", '"max_tokens":null', '"max_tokens":7'])
def test_max_tokens_of_messages(contract: str, body: str, member: str) -> None:
    """Where the contract is TokenPak's, whose example leaves it out, max_tokens has a default; else it is required."""
    with ExitStack() as stack:
        stage = Stage(stack, contract=contract)
        text = body % (member and (member + "," if body.startswith(" ") else "," + member))
        found, seen = stage.ask(text.encode(), path="/v1/messages")
        if contract == "tokenpak" or member.endswith("7"):
            assert seen is not None
            assert json.loads(seen.body)["max_tokens"] == (7 if member.endswith("7") else 4096)
        else:
            assert (found.status, found.fields["x-edge-condition"], seen) == (400, "field_missing", None)
