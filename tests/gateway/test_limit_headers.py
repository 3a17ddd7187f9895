"""Limits as OpenAI's and Anthropic's SDKs read them: `rate_limit_headers: gateway`, which is not so by default."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

from tests.gateway import client
from tests.gateway.client import SURFACES, ask, post, receive, scripted
from tests.gateway.script import Script, answer, completion, message
from tests.gateway.sdk import ASKED, all_of, done
from tests.simulator.wire import Wire
from tests.support.gateway import KEY, Gateway

Start = Callable[..., Gateway]
OURS = {"rate_limit_headers": "gateway"}
NONE = {"requests_per_second": 0}
LIMITS = {"requests_per_minute": 60, "tokens_per_minute": 6000, "input_tokens_per_minute": 3000,
          "output_tokens_per_minute": 1200}
GO = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)(?:\.(\d{1,3}))?s)?|(\d+)ms")
MODEL = "sim-1"


def seconds(text: str, now: float) -> float:
    """A duration as Go writes it, or the time until a date of RFC 3339."""
    if text.endswith("Z"):
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() - now
    found = GO.fullmatch(text)
    assert found and text and not (found[4] or "").endswith("0"), text
    hours, minutes, whole, part, ms = found.groups()
    assert int(minutes or 0) < 60 and int(whole or 0) < 60 and 0 < int(ms or 1) < 1000
    return (int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(f"{whole or 0}.{part or 0}")
            + int(ms or 0) / 1000)


def told(fields: Any) -> dict[str, tuple[int, int, float]]:
    """Of each kind of limit that an answer's head tells of: the limit, what is left, and seconds until it is full."""
    now = time.time()
    found: dict[str, tuple[int, int, float]] = {}
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        for form in ("x-ratelimit-{1}-{0}", "anthropic-ratelimit-{0}-{1}"):
            names = [form.format(kind, what) for what in ("limit", "remaining", "reset")]
            if any(name in fields for name in names):
                assert kind not in found
                limit, left, reset = (fields[name] for name in names)
                assert str(reset).endswith("Z") == form.startswith("anthropic")
                found[kind] = int(limit), int(left), seconds(reset, now)
    return found


def fits(found: dict[str, tuple[int, int, float]], surface: str, requests: int, tokens: range) -> None:
    """These are LIMITS, of which `requests` were taken, and of `tokens` of output one number, just now."""
    kinds = ["requests", "tokens"] if surface == "openai" else ["requests", "tokens", "input-tokens", "output-tokens"]
    assert list(found) == kinds
    limit, left, reset = found["requests"]
    assert (limit, left) == (60, 60 - requests) and requests - 1.5 <= reset <= requests + 1
    # Of all limits of tokens that of the output has least left.
    for kind in kinds[1::2]:
        limit, left, reset = found[kind]
        assert limit == 1200 and 1200 - left in tokens and abs(reset - (1200 - left) / 20) <= 1.1
    if surface == "anthropic":
        limit, left, _ = found["input-tokens"]
        assert limit == 3000 and 2800 < left <= 3000


async def create(sdk: Any, surface: str, **more: Any) -> Any:
    """What the SDK gives for a raw call with `max_tokens` of 100; of a stream when it has been read."""
    calls = sdk.chat.completions if surface == "openai" else sdk.messages
    raw = await done(calls.with_raw_response.create(
        **{"model": MODEL, "messages": ASKED, "max_tokens": 100, **more}))
    assert (await all_of(await done(raw.parse()))) if "stream" in more else await done(raw.parse())
    return raw


CLIENTS = [("openai", openai.OpenAI), ("openai", openai.AsyncOpenAI),
           ("anthropic", anthropic.Anthropic), ("anthropic", anthropic.AsyncAnthropic)]


@pytest.mark.parametrize(("surface", "kind"), CLIENTS, ids=lambda value: getattr(value, "__name__", value))
async def test_sdks_read_them(limited: Start, surface: str, kind: Any) -> None:
    """The SDKs find what is left of the limits in the headers that they know: on answers, on streams, and on errors,
    whoever has made these."""
    gateway = limited(LIMITS, rate_limit=NONE, **OURS)
    sdk: Any = kind(base_url=gateway.url + ("/v1" if surface == "openai" else ""), api_key=KEY, max_retries=0)
    fits(told((await create(sdk, surface)).headers), surface, 1, range(95, 101))
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    fits(told((await create(sdk, surface, stream=True)).headers), surface, 2, range(95, 201))
    errors: Any = openai if surface == "openai" else anthropic
    for count, (spec, status) in enumerate([("status=400", 400), ("status=500", 502), ("status=429", 429)], 3):
        with pytest.raises(errors.APIStatusError) as error:
            await create(sdk, surface, extra_headers={"x-simulate": spec})
        assert error.value.status_code == status
        fits(told(error.value.response.headers), surface, count, range(95, 301))
    with pytest.raises(errors.RateLimitError) as error:
        await create(sdk, surface, max_tokens=1200)
    assert error.value.response.headers["x-edge-condition"] == "rate_limited"
    fits(told(error.value.response.headers), surface, 5, range(1, 201))
    await done(sdk.close())


def asked(gateway: Gateway, surface: str = "openai", **more: Any) -> dict[str, tuple[int, int, float]]:
    """What the head of an answer tells."""
    return told(ask(gateway.port, post(surface, **more)).fields)


@pytest.mark.parametrize("surface", SURFACES)
def test_not_by_default(limited: Start, surface: str) -> None:
    """Unless it is set, clients get what the provider says of its own limits."""
    found = asked(limited(LIMITS), surface)
    assert found["requests"][:2] == ((10000, 9999) if surface == "openai" else (4000, 3999))


@pytest.mark.parametrize("surface", SURFACES)
def test_what_nobody_limits(limited: Start, surface: str) -> None:
    """Where nothing is limited nothing is told, also not what the provider says; of what is limited that alone."""
    gateway = limited(NONE, rate_limit=NONE, **OURS)
    for spec in (None, "status=400", "status=500"):
        assert asked(gateway, surface, spec=spec) == {}
    assert asked(gateway, surface, stream=True) == {}
    gateway = limited({"requests_per_second": 0.5, "burst_size": 3}, rate_limit=NONE, **OURS)
    found = asked(gateway, surface)
    assert list(found) == ["requests"] and found["requests"][:2] == (3, 2) and abs(found["requests"][2] - 2) <= 1.1
    gateway = limited({"input_tokens_per_minute": 600}, rate_limit=NONE, **OURS)
    assert list(asked(gateway, surface)) == (["tokens"] if surface == "openai" else ["tokens", "input-tokens"])


def test_the_tightest_is_told(limited: Start) -> None:
    """Of several limits of a kind the one with the least left is told, whosever it is; a shadow's never."""
    gateway = limited({"requests_per_second": 50, "burst_size": 50, "requests_per_minute": 40}, **OURS, model_limits={
        "sim-*": {"requests_per_minute": 30, "tokens_per_minute": 7000}, "alias": {"requests_per_minute": 2,
                                                                                  "shadow": True}},
                      rate_limit={"requests_per_second": 0, "requests_per_minute": 35, "tokens_per_minute": 9000})
    assert {kind: each[0] for kind, each in asked(gateway).items()} == {"requests": 30, "tokens": 7000}
    assert {kind: each[0] for kind, each in asked(gateway, model="alias").items()} == {"requests": 35, "tokens": 9000}
    assert asked(gateway, model="alias")["requests"][1] == 32


def test_the_one_that_refuses_is_told(limited: Start) -> None:
    """A refusal tells of the limit that has refused, also where another one of its kind has less left."""
    gateway = limited({"requests_per_second": 1, "burst_size": 1}, model_limits={"sim-*": {"tokens_per_minute": 900}},
                      rate_limit={"requests_per_second": 0, "output_tokens_per_minute": 600}, **OURS)
    assert ask(gateway.port, post("openai", spec="tokens=590")).status == 200
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    found = ask(gateway.port, post("openai", max_tokens=850))
    assert found.fields["x-edge-condition"] == "global_rate_limited"
    limit, left, reset = told(found.fields)["tokens"]
    assert limit == 600 and left < 60 and reset >= int(found.fields["retry-after"]) - 1
    assert found.fields["x-ratelimit-limit"] == "600"


@pytest.mark.parametrize("rate", [0.0001, 0.00027, 0.001, 0.0166, 0.1, 0.7, 1, 3, 700])
@pytest.mark.parametrize("surface", SURFACES)
def test_resets(limited: Start, surface: str, rate: float) -> None:
    """A reset is the time in which a full limit is there again, told as the dialect has it: milliseconds or days; the
    Unix time of X-RateLimit-Reset is not before it either."""
    gateway = limited({"requests_per_second": rate, "burst_size": 2}, rate_limit=NONE, **OURS)
    begun = time.time()
    fields = ask(gateway.port, post(surface)).fields
    late = time.time() - begun + 0.002 + (surface == "anthropic")
    reset = told(fields)["requests"][2]
    assert 1 / rate - late <= reset + (surface == "anthropic") * (time.time() - begun) <= 1 / rate + late
    assert int(fields["x-ratelimit-reset"]) >= begun + reset - 0.01 - (surface == "anthropic")


THEIRS = ("x-ratelimit-limit-requests: 7", "X-RateLimit-Remaining-Tokens: 7", "x-ratelimit-limit-tokens_usage_based: 7",
          "Anthropic-RateLimit-Requests-Limit: 7", "anthropic-ratelimit-unified-status: allowed",
          "anthropic-ratelimit-tokens-reset: 2020-01-01T00:00:00Z", "x-ratelimit-: 7", "x-ratelimits: kept",
          "anthropic-ratelimi: kept")


@pytest.mark.parametrize("case", ["chat", "message", "relayed", "error"])
def test_the_providers_own_do_not_pass(limited: Start, script: Script, case: str) -> None:
    """Nothing that a provider says of its own limits goes on beside the gateway's, in no letters; other names do."""
    gateway = limited(LIMITS, rate_limit=NONE, **OURS)
    surface = "anthropic" if case == "message" else "openai"
    fields = "".join(f"{line}\r\n" for line in ("content-type: application/json", *THEIRS))
    refusal = b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}'
    reply = {"chat": answer(completion(), fields=fields), "message": answer(message(), fields=fields),
             "relayed": answer(b"{}", fields=fields),
             "error": answer(refusal, status="400 Bad Request", fields=fields)}[case]
    request = client.request({"model": "scripted"}, path="/v1/scripted/x") if case == "relayed" else \
        post(surface, model="scripted", max_tokens=100)
    found = scripted(gateway, script, request, reply)
    assert found.status == (400 if case == "error" else 200)
    assert {name for name, value in found.fields.items() if value in ("7", "allowed", "2020-01-01T00:00:00Z")} == set()
    assert found.fields["x-ratelimits"] == found.fields["anthropic-ratelimi"] == "kept"
    assert told(found.fields)["requests"][:2] == (60, 59)


def test_streams_of_raw_bytes(limited: Start) -> None:
    """A stream's head has them, with its first event, while what was reserved is gone."""
    gateway = limited(LIMITS, rate_limit=NONE, **OURS)
    with Wire(gateway.port) as wire:
        seen = receive(wire.send(post("openai", stream=True, spec="tokens=4;stall=30", max_tokens=800)), b"data: ")
        lines = seen.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        limit, left, _ = told(dict(line.split(": ", 1) for line in lines))["tokens"]
        assert limit == 1200 and 400 <= left <= 410
        assert 400 <= asked(gateway)["tokens"][1] <= 1200
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    assert asked(gateway)["tokens"][1] > 1000


def test_a_reload_switches_them(limited: Start, configure: Callable[..., dict[str, Any]]) -> None:
    """The setting is in force with the next request after a reload, also on connections that are there."""
    gateway = limited(LIMITS, rate_limit=NONE)
    config = configure(rate_limit=NONE)
    config["keys"][0]["rate_limit"] = LIMITS
    with Wire(gateway.port) as wire:
        for settings, limit in (({}, 10000), (OURS, 60), ({}, 10000)):
            assert gateway.reload({**config, **settings}).status_code == 200
            assert told(client.read(wire.send(post("openai")).answer()).fields)["requests"][0] == limit


@pytest.mark.parametrize("surface", SURFACES)
def test_pages_may_read_them(limited: Start, surface: str) -> None:
    """A browser's page may read those of its dialect."""
    for settings in ({}, OURS):
        gateway = limited(LIMITS, rate_limit=NONE, cors={"origins": ["*"]}, **settings)
        found = ask(gateway.port, post(surface, headers={"origin": "https://app.example.com"}))
        exposed = set(found.fields["access-control-expose-headers"].split(", "))
        names = {name for name in found.fields if name.startswith(("x-ratelimit-", "anthropic-ratelimit-"))}
        assert {"x-ratelimit-limit", "openai-version"} <= exposed and (names <= exposed) == bool(settings)


def test_own_answers_tell_nothing(limited: Start) -> None:
    """What the gateway answers itself, or refuses before its limits are asked, tells of none."""
    gateway = limited(LIMITS, rate_limit=NONE, **OURS)
    for path in ("/v1/models", "/health", "/nowhere"):
        assert told(httpx.get(gateway.url + path, headers={"authorization": f"Bearer {KEY}"}).headers) == {}
