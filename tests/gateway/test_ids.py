"""Who made an id: what a request refers to is asked of the provider that gave it out, whichever worker it comes to."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from tests.gateway.client import Answer, ask, request
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.provider import Line, Provider, answer

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
NOT_FOUND = b'{"error":{"message":"No such thing at %s","type":"invalid_request_error","param":"id","code":null}}'
BUSY = b'{"error":{"message":"busy","type":"server_error","code":null}}'
WORDS = {"vector_stores", "fine_tuning", "input_items", "input_tokens"}
NUMBERS = itertools.count()


class Maker:
    """A provider that gives out ids of its own, and knows no others: 404."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ids: set[str] = set()
        self.seen: list[str] = []           # requests, each with its body
        self.down = False
        self.size = 0                       # bytes more of what a POST makes
        self.lock = threading.Lock()

    def make(self, kind: str) -> str:
        """A new id. (It does not tell whose it is.)"""
        with self.lock:
            new = f"{kind}_{next(NUMBERS):08x}"
            self.ids.add(new)
        return new

    def script(self, line: Line) -> None:
        """Answers as OpenAI does."""
        while data := line.request():
            head, _, body = data.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.seen.append(f"{method} {target}")
            self.answer(line, method, target.partition("?")[0].split("/")[2:], body)

    def answer(self, line: Line, method: str, path: list[str], body: bytes) -> None:
        """One request."""
        said: dict[str, Any] = json.loads(body) if body[:1] == b"{" else {}
        named: list[Any] = [part for part in path if "_" in part and part not in WORDS]
        named += [said[name] for name in ("previous_response_id", "input_file_id", "file_id", "training_file")
                  if name in said]
        conversation, files = said.get("conversation"), said.get("file_ids")
        named.append(conversation.get("id") if isinstance(conversation, dict) else conversation)
        named += files if isinstance(files, list) else []
        named = [one for one in named if isinstance(one, str)]
        if self.down:
            line.send(answer(BUSY, status=b"503 Service Unavailable"))
        elif any(one not in self.ids for one in named):
            text = b"" if method == "HEAD" else NOT_FOUND % self.name.encode()
            line.send(answer(text, status=b"404 Not Found"))
        elif path[-1] == "content":
            line.send(answer(json.dumps({"id": "file_of_others", "by": self.name}).encode()))
        elif path == ["responses"] and said.get("stream"):
            self.stream(line)
        elif path == ["chat", "completions"] and said.get("stream"):
            self.stream_chat(line)
        elif method == "POST" and path[-1] == "complete":
            line.send(answer(json.dumps({"id": path[1], "file": {"id": self.make("file")}, "by": self.name}).encode()))
        elif method == "POST":
            made = {"id": self.make(path[0]), "by": self.name, "output": [], "choices": []}
            if path == ["batches"]:
                made["output_file_id"] = self.make("file")
            whole = json.dumps(made | {"picture": "x" * self.size}).encode()
            head, _, _ = answer(whole).partition(b"\r\n\r\n")
            line.send(head + b"\r\n\r\n" + whole[:9])       # in the middle of the id
            line.send(whole[9:])
        else:
            whole = json.dumps({"id": named[-1] if named else "", "by": self.name}).encode()
            line.send(answer(b"" if method == "HEAD" else whole))

    def stream(self, line: Line) -> None:
        """A response as events, the connection's end behind it."""
        whole: dict[str, Any] = {"id": self.make("responses"), "status": "completed", "output": [], "usage": None}
        for kind in ("response.created", "response.completed"):
            data = json.dumps({"type": kind, "response": whole})
            line.send((SSE if kind == "response.created" else b"") + f"event: {kind}\ndata: {data}\n\n".encode())
        line.socket.close()


    def stream_chat(self, line: Line) -> None:
        """A completion as chunks, each with its id."""
        begun = {"id": self.make("chatcmpl"), "object": "chat.completion.chunk"}
        chunks = [{**begun, "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": end}]}
                  for end in (None, "stop")]
        line.send(SSE + b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks) + b"data: [DONE]\n\n")
        line.socket.close()


class Stage:
    """A gateway with several workers before three providers of a kind."""

    def __init__(self, stack: ExitStack) -> None:
        self.makers = {name: Maker(name) for name in ("first", "second", "third")}
        urls = {name: stack.enter_context(Provider(maker.script)).url for name, maker in self.makers.items()}
        self.config = configuration(
            "", workers=3, models={"one": "first", "two": "second", "three": "third", "any": [
                {"provider": name, "priority": 1} for name in self.makers]})
        self.config["providers"] = {name: {"kind": "openai", "base_url": f"{url}/v1"} for name, url in urls.items()}
        self.config["routes"] = {"/v1/vector_stores/pinned/*": "first", "/v1/files": "second"}
        self.config["circuit_breaker"] = {"enabled": False}
        self.config["keys"].append({"name": "some", "key": "env:KEY_SOME", "models": ["one"], "scopes": [
            "relay", "responses"]})
        self.edge = stack.enter_context(Gateway(self.config, environ={"KEY_SOME": "sk-some-0123456789abcdef"}))

    def ask(self, method: str, path: str, body: Any = None, **fields: str) -> Answer:
        """One request on a connection of its own: the kernel chooses the worker."""
        for maker in self.makers.values():
            maker.seen.clear()
        if method == "HEAD":
            with self.edge.client() as client:
                found = client.head(path)
                return Answer(found.status_code, found.reason_phrase, dict(found.headers), found.content)
        return ask(self.edge.port, request(body, path=path, method=method, headers={**fields}))

    def asked(self) -> list[str]:
        """Which providers have had the last request, in order of their names."""
        return [name for name, maker in self.makers.items() for _ in maker.seen]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all of these tests."""
    with ExitStack() as stack:
        yield Stage(stack)


def made(found: Answer) -> str:
    """The id that an answer gives out."""
    assert found.status == 200, found
    if found.fields["content-type"] == "text/event-stream":
        line = next(line for line in found.body.splitlines() if line.startswith(b"data: {"))
        said = json.loads(line[6:])
        return str(said.get("response", said)["id"])
    return str(found.json()["id"])


BODY = {"model": "two", "input": "x"}
RESPONSE_USES = [
    ("GET", "/v1/responses/%s", None),
    ("GET", "/v1/responses/%s/input_items?limit=2", None),
    ("HEAD", "/v1/responses/%s", None),
    ("GET", "/responses/%s", None),
    ("GET", "/openai/responses/%s?api-version=1", None),
    ("POST", "/v1/responses/%s/cancel", None),
    ("POST", "/v1/responses/%s/cancel", {}),
    ("POST", "/v1/responses", {"model": "any", "previous_response_id": "%s"}),
    ("POST", "/v1/responses", {"model": "any", "input": "x", "previous_response_id": "%s", "stream": True}),
    ("POST", "/v1/responses/compact", {"previous_response_id": "%s"}),
    ("DELETE", "/v1/responses/%s", None),
]


def filled(value: Any, name: str) -> Any:
    """The value with the id in its place."""
    return None if value is None else json.loads(json.dumps(value).replace("%s", name))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["one", "two", "three"])
def test_responses(stage: Stage, model: str, streamed: bool) -> None:
    """A response, plain or streamed, is had, continued, cancelled and deleted at the provider that made it."""
    provider = {"one": "first", "two": "second", "three": "third"}[model]
    name = made(stage.ask("POST", "/v1/responses", {"model": model, "input": "x", "stream": streamed}))
    for method, path, body in RESPONSE_USES:
        for _ in range(3):
            found = stage.ask(method, path.replace("%s", name), filled(body, name))
            assert (found.status, stage.asked()) == (200, [provider]), (method, path, found)


CHAT = {"model": "two", "messages": []}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["one", "two", "three"])
def test_stored_completions(stage: Stage, model: str, streamed: bool) -> None:
    """A completion that its provider was to store, plain or streamed, is had, changed and deleted there alone."""
    provider = {"one": "first", "two": "second", "three": "third"}[model]
    name = made(stage.ask("POST", "/v1/chat/completions", CHAT | {"model": model, "stream": streamed, "store": True}))
    for method, path, body in (
            ("GET", f"/v1/chat/completions/{name}", None), ("GET", f"/chat/completions/{name}/messages?limit=2", None),
            ("POST", f"/v1/chat/completions/{name}", {"metadata": {}}), ("HEAD", f"/v1/chat/completions/{name}", None),
            ("DELETE", f"/v1/chat/completions/{name}", None)):
        assert (stage.ask(method, path, body).status, stage.asked()) == (200, [provider]), (method, path)


@pytest.mark.parametrize("store", [{}, {"store": False}, {"store": None}])
def test_completions_that_are_not_stored(stage: Stage, store: dict[str, Any]) -> None:
    """Ids of completions that nobody stores take no place from those that are."""
    name = made(stage.ask("POST", "/v1/chat/completions", CHAT | {"model": "three"} | store))
    assert stage.ask("GET", f"/v1/chat/completions/{name}").status == 200
    assert stage.asked() == ["first", "second", "third"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/images/generations"])
def test_long_answers(stage: Stage, path: str) -> None:
    """An id is remembered of an answer however long it is, since it stands at its beginning."""
    maker = stage.makers["third"]
    maker.size = 3 << 20
    try:
        name = made(stage.ask("POST", path, CHAT | {"model": "three", "input": "x", "store": True}))
    finally:
        maker.size = 0
    assert stage.ask("POST", f"{path}/{name}", {}).status == 200 and stage.asked() == ["third"]


FORM = (b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=a\r\n\r\n{}\r\n--b\r\n"
        b"content-disposition: form-data; name=\"model\"\r\n\r\n%b\r\n--b--\r\n")
MODELS = {"first": b"one", "second": b"two", "third": b"three"}
STORED = [
    ("/v1/videos", FORM, "/v1/videos/%s"),
    ("/v1/batches", {"endpoint": "/v1/chat/completions"}, "/v1/batches/%s"),
    ("/v1/batches", {"endpoint": "x"}, "/v1/batches/%s/cancel"),
    ("/v1/conversations", {"metadata": {}}, "/v1/conversations/%s/items"),
    ("/v1/vector_stores", {"name": "x"}, "/v1/vector_stores/%s/files"),
    ("/v1/uploads", {"bytes": 5}, "/v1/uploads/%s/parts"),
    ("/v1/containers", {"name": "x"}, "/v1/containers/%s"),
    ("/v1/evals", {"name": "x"}, "/v1/evals/%s/runs"),
]
REFERENCES = [
    ("/v1/batches", "input_file_id"), ("/v1/fine_tuning/jobs", "training_file"), ("/v1/vector_stores", "file_ids"),
    ("/v1/containers", "file_ids"), ("/v1/conversations", "file_id"), ("/v1/responses", "conversation"),
    ("/v1/responses/input_tokens", "conversation"),
]


def seeded(stage: Stage, provider: str) -> str:
    """A file at that provider which a request has named: what it makes of it is at that provider, too."""
    name = stage.makers[provider].make("file")
    found = stage.ask("GET", f"/v1/files/{name}")
    assert found.json()["by"] == provider
    return name


@pytest.mark.parametrize("provider", ["first", "second", "third"])
@pytest.mark.parametrize(("collection", "body", "use"), STORED)
def test_stored_things(stage: Stage, provider: str, collection: str, body: Any, use: str) -> None:
    """What a relayed answer gives out leads to its provider, for every method and with whatever is behind it."""
    file = seeded(stage, provider)
    if isinstance(body, bytes):
        kind = {"content-type": "multipart/form-data; boundary=b"}
        name = made(stage.ask("POST", collection, body % MODELS[provider], **kind))
    else:
        name = made(stage.ask("POST", collection, body | {"file_id": file}))
    for method in ("GET", "POST", "PATCH", "HEAD", "DELETE"):
        for path in (use, f"{use}/x", f"{use}?after=x"):
            found = stage.ask(method, path.replace("%s", name), {} if method == "POST" else None)
            assert (found.status, stage.asked()) == (200, [provider]), (method, path)


@pytest.mark.parametrize("provider", ["first", "second", "third"])
@pytest.mark.parametrize(("path", "member"), REFERENCES)
def test_bodies_that_refer(stage: Stage, provider: str, path: str, member: str) -> None:
    """A body's member that refers to something stored decides where no model does, in all forms that it may have."""
    name = seeded(stage, provider)
    forms: list[Any] = [[name], [name, name]] if member == "file_ids" else [name]
    forms += [{"id": name}] if member == "conversation" else []
    for form in forms:
        model = {"model": "any"} if path == "/v1/responses" else {}
        found = stage.ask("POST", path, {member: form, "x": "\u00e9", **model})
        assert (found.status, stage.asked()) == (200, [provider]), form


def test_ids_inside_answers(stage: Stage) -> None:
    """Files that a batch or a finished upload names are their provider's, for what changes something as well."""
    file = seeded(stage, "third")
    batch = stage.ask("POST", "/v1/batches", {"input_file_id": file}).json()
    assert stage.ask("POST", "/v1/batches", {"input_file_id": batch["output_file_id"]}).status == 200
    upload = made(stage.ask("POST", "/v1/uploads", {"file_id": file}))
    done = stage.ask("POST", f"/v1/uploads/{upload}/complete", {"part_ids": []}).json()
    assert stage.ask("DELETE", f"/v1/files/{done['file']['id']}").status == 200 and stage.asked() == ["third"]


def test_sdk(stage: Stage) -> None:
    """The SDK goes on with a response of the second provider, and has it again."""
    with openai.OpenAI(base_url=f"{stage.edge.url}/v1", api_key=KEY, max_retries=0) as client:
        first = client.responses.create(model="two", input="x")
        again = client.responses.create(model="any", input="y", previous_response_id=first.id)
        for one in (first, again):
            assert client.responses.retrieve(one.id).id == one.id and one.id in stage.makers["second"].ids
        client.responses.delete(first.id)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("provider", ["first", "second", "third"])
def test_ids_that_nobody_remembers(stage: Stage, method: str, provider: str) -> None:
    """A provider that does not know an id is followed by the next, and a GET that has found it is remembered."""
    name = stage.makers[provider].make("file")
    names = list(stage.makers)
    path = f"/v1/files/{name}"
    assert stage.ask(method, path).status == 200
    assert stage.asked() == names[:names.index(provider) + 1]
    assert stage.ask("GET", path).status == 200
    assert stage.ask("POST", path, {}).status == 200 and stage.asked() == [provider]


@pytest.mark.parametrize(("method", "asked"), [
    ("GET", 3), ("HEAD", 3), ("DELETE", 3), ("POST", 1), ("PUT", 1), ("PATCH", 1)])
def test_ids_that_there_are_not(stage: Stage, method: str, asked: int) -> None:
    """Nobody's id is the last provider's own 404, and what could change something is asked of the first alone."""
    found = stage.ask(method, "/v1/files/file_nobody", {} if method == "POST" else None)
    assert (found.status, len(stage.asked())) == (404, asked)
    if method != "HEAD":
        assert found.json()["error"]["message"].endswith("third" if asked == 3 else "first")


@pytest.mark.parametrize("down", ["first", "second"])
def test_providers_that_fail(stage: Stage, down: str) -> None:
    """Who has a thing and fails is not taken for who has it not: the client hears of the failure, not of 404."""
    name = seeded(stage, "second") if down == "second" else stage.makers["second"].make("file")
    stage.makers[down].down = True
    try:
        found = stage.ask("GET", f"/v1/files/{name}")
        assert found.status >= 500 and stage.asked() == [down]
    finally:
        stage.makers[down].down = False
    assert stage.ask("GET", f"/v1/files/{name}").status == 200


def test_contents_are_no_word_of_a_provider(stage: Stage) -> None:
    """A file's content that looks like an answer leads nobody's requests elsewhere."""
    stage.makers["third"].ids.add("file_of_others")
    name = seeded(stage, "second")
    assert stage.ask("GET", f"/v1/files/{name}/content").json()["id"] == "file_of_others"
    stage.ask("POST", "/v1/files/file_of_others", {})
    assert stage.asked() == ["first"]


def test_operators_own_paths(stage: Stage) -> None:
    """An operator's path stays with its provider, and what that gives out there is known everywhere else."""
    name = made(stage.ask("POST", "/v1/files", FORM % b"one", **{"content-type": "multipart/form-data; boundary=b"}))
    assert stage.asked() == ["second"]
    for method, path, body in (("GET", f"/v1/files/{name}", None), ("POST", "/v1/batches", {"input_file_id": name})):
        assert stage.ask(method, path, body).status == 200 and stage.asked() == ["second"]
    for method in ("GET", "POST"):
        assert stage.ask(method, f"/v1/vector_stores/pinned/{name}").status == 404
        assert stage.asked() == ["first"]


@pytest.mark.parametrize("value", [
    b'"\\ud800"', b'""', b'{"id":"x","n":1e999}', b"{}", b'{"id":5}', b'{"id":"x","id":"y"}', b"[5]", b"[[]]", b"null"])
@pytest.mark.parametrize("member", [b"conversation", b"file_ids", b"input_file_id"])
def test_references_that_are_none(stage: Stage, member: bytes, value: bytes) -> None:
    """What no provider can have given out goes on to the first, as it came."""
    stage.ask("POST", "/v1/vector_stores", b'{"%b":%b}' % (member, value))
    assert stage.asked() == ["first"]


def test_models_of_a_key(stage: Stage) -> None:
    """An id gives no right: a model that the key may not use stays forbidden, and the model's targets decide."""
    name = made(stage.ask("POST", "/v1/responses", BODY))
    some = {"authorization": "Bearer sk-some-0123456789abcdef"}
    found = stage.ask("POST", "/v1/responses", BODY | {"previous_response_id": name}, **some)
    assert (found.status, found.fields["x-edge-condition"], stage.asked()) == (403, "model_denied", [])
    stage.ask("POST", "/v1/responses", {"model": "one", "previous_response_id": name}, **some)
    assert stage.asked() == ["first"]


def test_reloads(stage: Stage) -> None:
    """Ids outlast a reload; a provider that it removes is asked for nothing, and is found again when it is back."""
    names = [seeded(stage, "second"), seeded(stage, "third")]
    providers = stage.config["providers"]
    fewer = stage.config | {
        "providers": {"new": providers["third"], **{name: providers[name] for name in ("first", "third")}},
        "models": {"one": "first"}, "routes": {}}
    assert stage.edge.reload(fewer).status_code == 200
    assert stage.ask("GET", f"/v1/files/{names[0]}").status == 404 and "second" not in stage.asked()
    assert stage.ask("POST", f"/v1/files/{names[1]}", {}).status == 200 and stage.asked() == ["third"]
    assert stage.edge.reload(stage.config).status_code == 200
    for name, provider in zip(names, ("second", "third"), strict=True):
        assert stage.ask("POST", f"/v1/files/{name}", {}).status == 200 and stage.asked() == [provider]
