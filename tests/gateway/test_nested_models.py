"""The model of a request is the one at the top of its body, or its path's: no other member, field or parameter is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.gateway.two_providers import FILE, FORM, JSON, Stage, form


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all of these tests."""
    with ExitStack() as stack:
        yield Stage(stack)


DEEP = b'{"model":' * 200 + b'"sim-forbidden"' + b"}" * 200
FORBIDDEN = {
    "a tool's": b'"tools":[{"type":"image_generation","model":"sim-forbidden"}]',
    "a tool's, twice": b'"tools":[{"model":"sim-forbidden","model":"x"},{"Model":1,"mod\\u0065l":[]}]',
    "a choice of tools'": b'"tool_choice":{"type":"function","model":"sim-forbidden","models":["sim-forbidden"]}',
    "metadata's": b'"metadata":{"model":"sim-forbidden","MODEL":"sim-forbidden","models":["sim-forbidden"]}',
    "a message's": b'"messages":[{"role":"user","content":[{"model":"sim-forbidden"}],"model":{"model":"x"}}]',
    "a text's": b'"user":"\\",\\"model\\":\\"sim-forbidden\\",\\"x\\":\\""',
    "deep inside": b'"more":' + DEEP,
    "a name as a value": b'"more":["model","sim-forbidden",{"x":"model"}]',
    "an empty name's": b'"":{"model":"sim-forbidden"}',
}
ROUTES = {
    "/v1/chat/completions": ("alias", b'"messages":[]'), "/v1/completions": ("alias", b'"prompt":"x"'),
    "/v1/responses": ("alias", b'"input":"x"'), "/v1/embeddings": ("alias", b'"input":"x"'),
    "/v1/messages": ("opus", b'"max_tokens":5,"messages":[]'), "/v1/messages/count_tokens": ("opus", b'"messages":[]'),
}
RELAYED = ("/v1/images/generations", "/v1/moderations", "/v1/responses/compact", "/v1/audio/speech", "/v1/videos",
           "/v1/fine_tuning/jobs", "/v1/rerank")
PATHS = ROUTES | dict.fromkeys(RELAYED, ("alias", b'"input":"x"'))


def bodies(path: str, inside: bytes, model: bytes) -> list[bytes]:
    """The body with what is inside of it before and behind its model."""
    needed = PATHS[path][1]
    members = [each for each in needed.split(b",") if each.partition(b":")[0] not in inside] + [b'"model":' + model]
    return [b"{ %b }" % b" ,\n".join(order) for order in ([inside, *members], [*members, inside])]


@pytest.mark.parametrize("where", FORBIDDEN)
@pytest.mark.parametrize("path", PATHS)
def test_members_inside(stage: Stage, path: str, where: str) -> None:
    """A model inside of tools, messages or anything else is the provider's business: a key's models do not hold for it,
    it leads nowhere, and no byte of it changes."""
    name = PATHS[path][0].encode()
    sent = bodies(path, FORBIDDEN[where], b'"%b"' % name)
    for body, there in zip(sent, bodies(path, FORBIDDEN[where], b'"real"'), strict=True):
        _, seen = stage.ask(body, path=path, key="some")
        assert seen is not None and seen.body == there, body


@pytest.mark.parametrize("where", FORBIDDEN)
@pytest.mark.parametrize("path", PATHS)
def test_members_at_the_top(stage: Stage, path: str, where: str) -> None:
    """Beside all of these the one at the top counts: a key's models hold for it, and it is there once."""
    for body in bodies(path, FORBIDDEN[where], b'"sim-forbidden"'):
        found, seen = stage.ask(body, path=path, key="some")
        assert (found.status, found.fields["x-edge-condition"], seen) == (403, "model_denied", None)
    for double in (b'"alias","model":"alias"', b'"alias","mod\\u0065l":"sim-forbidden"', b'"alias","Model":"x"',
                   b'"alias","model\\u0000x":"sim-forbidden"'):
        for body in bodies(path, FORBIDDEN[where], double):
            found, seen = stage.ask(body, path=path)
            assert (found.status, found.fields["x-edge-condition"], seen) == (400, "field_value", None)


@pytest.mark.parametrize("where", FORBIDDEN)
@pytest.mark.parametrize("path", PATHS)
def test_members_inside_alone(stage: Stage, path: str, where: str) -> None:
    """Without one at the top there is none: it is missing, or, on a relayed path, unknown."""
    body = bodies(path, FORBIDDEN[where], b"null")[0]
    found, seen = stage.ask(body, path=path, key="some")
    if path in ROUTES:
        assert (found.status, found.fields["x-edge-condition"], seen) == (400, "field_missing", None)
        assert "model" in found.json()["error"]["message"]
        return
    assert (found.status, found.fields["x-edge-condition"], seen) == (403, "scope_missing", None)
    _, seen = stage.ask(body, path=path)
    assert seen is not None and seen.body == body


@pytest.mark.parametrize("where", FORBIDDEN)
@pytest.mark.parametrize("path", ["chat/completions", "embeddings", "images/generations", "audio/speech"])
def test_deployments(stage: Stage, path: str, where: str) -> None:
    """At Azure's path of a deployment that is the model, and the body's top has its name, whatever is inside."""
    known = f"/v1/{path}"
    for model in (b'"sim-forbidden"', b'"alias"', b"5"):
        sent, there = bodies(known, FORBIDDEN[where], model), bodies(known, FORBIDDEN[where], b'"real"')
        for body, expected in zip(sent, there, strict=True):
            _, seen = stage.ask(body, path=f"/openai/deployments/alias/{path}", key="some")
            assert seen is not None and (seen.provider, seen.body) == ("second", expected)
            found, seen = stage.ask(body, path=f"/openai/deployments/sim-forbidden/{path}", key="some")
            assert (found.fields["x-edge-condition"], seen) == ("model_denied", None)


INNER = ["tools[0][model]", "metadata[model]", "tools[model]", "options.model", "model.name", "model_id", "model-name",
         "models.x", "x[model][0]"]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("name", INNER)
def test_fields_inside(stage: Stage, name: str, first: bool) -> None:
    """Nor is a form's field that is inside of another, or only begins so, nor one that a file's content looks like."""
    file = (FILE[0], b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nsim-forbidden\r\n', FILE[2])

    def sent(model: str) -> bytes:
        parts = [(f'"{name}"', "sim-forbidden", ""), ('"model"', model, ""), file]
        return form(*(parts if first else reversed(parts)))

    for path in ("/v1/images/edits", "/v1/audio/transcriptions", "/v1/videos"):
        _, seen = stage.ask(sent("alias"), path=path, content_type=FORM, key="some")
        assert seen is not None and (seen.provider, seen.body) == ("second", sent("real"))
        found, _ = stage.ask(sent("sim-forbidden"), path=path, content_type=FORM, key="some")
        assert found.fields["x-edge-condition"] == "model_denied"


QUERIES = ["model=sim-forbidden", "a=b&model=alias", "MODEL=x", "mod%65l=x", "%6dodel=x", "model[]=x", "model[0]=x",
           "a=b;model=x", "model", "model=", "a=b&&model=x", "+model=x", "model%20=x", "models=x", "model%00=x"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", [*PATHS, "/openai/deployments/alias/chat/completions", "/v1/images/edits"])
def test_parameters(stage: Stage, path: str, query: str) -> None:
    """A parameter in the path's query that some servers put before the body's model is 400 and named; but behind an
    operator's own path it may be what decides there, for a key that may use all models."""
    if path == "/v1/images/edits":
        body, kind = form(('"model"', "alias", ""), FILE), FORM
    else:
        known = path if path in PATHS else "/v1/chat/completions"
        body, kind = bodies(known, b'"x":1', f'"{PATHS[known][0]}"'.encode())[0], JSON
    for key in ("some", "scoped") if path == "/v1/rerank" else ("some", "test"):
        found, seen = stage.ask(body, path=f"{path}?{query}", content_type=kind, key=key)
        assert (found.status, found.fields["x-edge-condition"], seen) == (400, "field_value", None)
        assert "model" in found.json()["error"]["message"]
    assert stage.ask(body, path=f"{path}?beta=true&remodel=x&a=model", content_type=kind, key="some")[1] is not None


@pytest.mark.parametrize("path", ["/v1/chat/completions/c-1", "/v1/evals", "/v1/models", "/v1/fine_tuning/jobs"])
def test_parameters_of_lists(stage: Stage, path: str) -> None:
    """A list may be narrowed to a model, which does no work there."""
    assert stage.ask(path=f"{path}?model=sim-1", method="GET", content_type=None)[0].status == 200


@pytest.mark.parametrize("path", ["/v1/images/generations", "/v1/rerank"])
@pytest.mark.parametrize("models", ["sim-forbidden", {"model": "sim-forbidden"}, ["sim-ok", ["sim-forbidden"]], True, 5,
                                    [{"model": "sim-ok"}], [None]])
def test_more_models_in_other_forms(stage: Stage, path: str, models: Any) -> None:
    """More models than one, in whatever form, are for a key that may use all, or each of them."""
    body = {"model": "sim-ok", "models": models}
    found, seen = stage.ask(body, path=path, key="some")
    assert (found.status, found.fields["x-edge-condition"], seen) == (403, "model_denied", None)
    assert stage.ask(body, path=path)[1] is not None
    assert stage.ask(body | {"models": "sim-ok"}, path=path, key="some")[1] is not None


@pytest.mark.parametrize("count", [1, 3, 40, 1000])
def test_what_a_key_may_use_is_told(count: int) -> None:
    """Who may not use a model hears whose key that is, and which models it may use, as far as a message goes."""
    names = [f"model-{number:04d}" for number in range(count)]
    with ExitStack() as stack:
        stage = Stage(stack, names)
        found, _ = stage.ask({"model": "sim-1", "messages": []}, path="/v1/chat/completions", key="some")
        message = found.json()["error"]["message"]
    assert message.startswith("This gateway's API key may not use the model sim-1. It may use model-0000")
    told = [name for name in names if name in message]
    assert told == names[:len(told)] and len(message) < 400
    assert message.endswith(told[-1] if len(told) == count else f" and {count - len(told)} more")
    assert "sk-" not in json.dumps(found.json())
