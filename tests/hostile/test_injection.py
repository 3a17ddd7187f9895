"""What a client may write into ids, names, paths and fields never becomes a line or a field of somebody's HTTP."""

from __future__ import annotations

import json

import pytest

from tests.support.gateway import KEY, Gateway
from tests.support.simulator import Simulator
from tests.support.talk import REQUEST_ID, Answer, Surface, Talk, ask, asked, chat, enveloped, in_contract, request

NASTY = ['"', "\\", "\n", "\r\n", "\r\nset-cookie: a=b\r\n\r\n<html>", "\0", "\x1b[31m", "\u2028", "\u202e", "\x7f",
         "é", "\ufeff", "\ud7ff\ue000", "</script>", "{message}", "{request_id}", "%s%n%d", "${jndi:ldap://x}",
         '"},"error":{"code":"ok"}', "a" * 5000, "../../etc/passwd", "*", "gpt-*", "null", "' OR 1=1 --", "\\u0000"]

IDS = ["id\twith", "a b", 'a"b', "a\\b", "a<b>", "é", "a,b", "{x}", "a;b", "a/b", "a%0d%0ab", "x" * 65, "x" * 5000, "",
       " ", "a'b", "a\x80b", "a=b", "(a)"]

PATHS = ["/v1/chat/completions/..", "/v1/models/../chat", "/v1/%0d%0aset-cookie:%20a=b", "/%00", "/{path}", "/'", "/$x",
         "/v1/chat/completions%20", "/v1/chat%2fcompletions", '/"onload="', "/<script>", "/v1/chat/completions;x=y",
         "//evil.example/v1/chat", "/v1//chat/completions", "/V1/CHAT/COMPLETIONS", "/v1/chat/completions/",
         "/v1/responses/", "/%ff%fe", "/a" * 2000]

KEYS = ["", " ", "Bearer", "Bearer ", "Basic c2s6", "bearer\tsk-test", f"Bearer {KEY}x", f"Bearer x{KEY}",
        f"Bearer {KEY} {KEY}", f"Bearer {KEY},", f"Bearer{KEY}", KEY, "Bearer " + "k" * 20_000, "Bearer \x80\xff",
        "Bearer ' OR '1'='1"]


def names(answer: Answer) -> list[bytes]:
    """The names of an answer's fields."""
    return [name for name, _ in answer.fields]


@pytest.mark.parametrize("value", IDS, ids=range(len(IDS)))
def test_request_ids_unfit_to_repeat(edge: Gateway, simulator: Simulator, value: str) -> None:
    """An x-request-id that is not 1 to 64 harmless letters is replaced, towards client and provider alike."""
    answer = ask(edge.port, request(asked("marked"), x_request_id=value))
    name = answer.header("x-request-id")
    assert answer.status == 200
    assert name is not None and REQUEST_ID.fullmatch(name) and name != value and answer.header("request-id") == name
    seen = next(seen for seen in simulator.requests() if seen["model"] == "marked")
    assert [value for field, value in seen["headers"] if field.lower() in ("x-request-id", "request-id")] == [name]


def test_request_ids_fit_to_repeat(edge: Gateway) -> None:
    """A harmless x-request-id is kept, in success, error and stream."""
    for data in (chat(x_request_id="Az09._:-"), request({}, x_request_id="Az09._:-"),
                 chat(stream=True, x_request_id="Az09._:-"), request(key=None, x_request_id="Az09._:-")):
        assert ask(edge.port, data).header("x-request-id") == "Az09._:-"


def test_two_request_ids(edge: Gateway) -> None:
    """Two x-request-id fields are no riddle: one answer, one id."""
    data = chat().replace(b"host: edge\r\n", b"host: edge\r\nx-request-id: one\r\nX-Request-ID: two\r\n")
    answer = ask(edge.port, data)
    assert (answer.header("x-request-id") or "").startswith(("one", "req-")) or answer.status == 400


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("surface", ["openai", "anthropic"])
def test_model_names(strict: Gateway, value: str, surface: Surface) -> None:
    """A model's name that does not exist is repeated in JSON's own writing and nowhere else."""
    path = "/v1/chat/completions" if surface == "openai" else "/v1/messages"
    answer = ask(strict.port, request(asked(f"nope{value}", max_tokens=1), path=path))
    in_contract(answer, "model_unknown", surface)
    assert answer.status == 404 and b"\r" not in answer.body and b"\0" not in answer.body
    assert b"set-cookie" not in names(answer)
    assert json.loads(answer.body)["error"]["message"].startswith(("The model `nope", "model: nope"))


def test_model_names_in_escapes(strict: Gateway, simulator: Simulator) -> None:
    """A name written in escapes is the name that it spells: it neither passes the list nor breaks out of it."""
    good = b'{"model": "\\u0067pt-4o", "messages": [{"role": "user", "content": "x"}]}'
    assert ask(strict.port, request(good)).status == 200
    for name in (b"gpt-4\\u006f\\u0000", b"gpt-4o\\r\\n", b"gpt-4o\\\\", b"\\ud83e\\udd8a"):
        in_contract(ask(strict.port, request(good.replace(b"\\u0067pt-4o", name))), "model_unknown")


def test_alias_with_quotes(strict: Gateway, simulator: Simulator) -> None:
    """A target's name with quotes in it is spliced in as JSON."""
    assert ask(strict.port, request(asked("spliced"))).status == 200
    body = next(json.loads(seen["body"]) for seen in simulator.requests() if "quotes" in (seen["model"] or ""))
    assert body == asked('with "quotes" and \\')


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_paths(edge: Gateway, simulator: Simulator, path: str) -> None:
    """A path that is no route is an error in contract, and names itself in JSON's writing only."""
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = ask(edge.port, request(asked() if method == "POST" else None, path=path, method=method), method)
        assert answer.status in (400, 404, 405), path
        enveloped(answer)
        assert b"set-cookie" not in names(answer)
    assert all(seen["model"] == "canary" for seen in simulator.requests())


@pytest.mark.parametrize("path", ["/v1/files/../../outside", "/v1/files/..", "/v1/files/./../x", "/v1/files/%2e%2e/x",
                                  "/v1/files/.%2E/x", "/v1/files/a/../../chat/completions", "/v1/audio/..%2fchat"])
def test_paths_out_of_a_relayed_one(edge: Gateway, simulator: Simulator, path: str) -> None:
    """A relayed path with dot segments is refused: behind the provider's front it would be another path."""
    enveloped(ask(edge.port, request(asked("dotted"), path=path)))
    in_target = [seen["target"] for seen in simulator.requests() if seen["model"] != "canary"]
    assert in_target == []


@pytest.mark.parametrize("query", ["?a=%0d%0ax:y", "?a=b&c[]=d", "?" + "a" * 3000, "?{}", "??//", "?%00"])
def test_queries(edge: Gateway, simulator: Simulator, query: str) -> None:
    """A query goes to the provider as it came, or is refused, and is nothing but a query there."""
    answer = ask(edge.port, request(asked("queried"), path=f"/v1/chat/completions{query}"))
    seen = [seen for seen in simulator.requests() if seen["model"] == "queried"]
    if answer.status == 200:
        assert [one["target"] for one in seen] == [f"/v1/chat/completions{query}"]
    else:
        in_contract(answer, "request_malformed")
        assert seen == []


def test_credentials_go_no_further(edge: Gateway, simulator: Simulator) -> None:
    """The client's key, cookies for us and fields that Connection names stay here; the provider's key goes out once."""
    with Talk(edge.port) as talk:
        talk.send(chat("fields", x_api_key="sk-client-two", proxy_authorization="Basic abc", te="trailers",
                       connection="keep-alive, x-private", x_private="secret", keep_alive="5", upgrade="h2c",
                       x_public="shown", content_encoding="identity"))
        assert talk.answer().status == 200
    seen = next(seen for seen in simulator.requests() if seen["model"] == "fields")
    fields = {name.lower(): value for name, value in seen["headers"]}
    assert fields["authorization"] == "Bearer sk-provider" and fields["x-public"] == "shown"
    assert len(fields) == len(seen["headers"])
    assert not fields.keys() & {"x-api-key", "proxy-authorization", "te", "x-private", "keep-alive", "upgrade",
                                "connection"}
    assert KEY not in str(seen["headers"]) and "sk-client-two" not in str(seen["headers"])


@pytest.mark.parametrize("field", ["transfer-encoding", "content-length", "host", "authorization", "content-type"])
def test_connection_cannot_take_away_what_is_ours(edge: Gateway, simulator: Simulator, field: str) -> None:
    """Connection naming an essential field does not strip what the provider needs, nor change the framing."""
    answer = ask(edge.port, chat("stripped", connection=f"{field}, close"))
    if answer.status == 200:
        seen = next(seen for seen in simulator.requests() if seen["model"] == "stripped")
        fields = {name.lower(): value for name, value in seen["headers"]}
        assert fields["authorization"] == "Bearer sk-provider" and "content-length" in fields and "host" in fields
        assert json.loads(seen["body"]) == asked("stripped")
    else:
        enveloped(answer)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_keys(edge: Gateway, simulator: Simulator, key: str) -> None:
    """A key that is not exactly ours is 401 in contract, and is not repeated in the answer."""
    data = request(asked(), key=None, authorization=key).replace("\x80\xff".encode(), b"\x80\xff")
    answer = enveloped(ask(edge.port, data))
    assert answer.status == 401
    assert KEY.encode() not in answer.body and b"kkkk" not in answer.body
    assert all(seen["model"] == "canary" for seen in simulator.requests())
