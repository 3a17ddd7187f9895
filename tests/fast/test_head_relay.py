"""Which fields go on to the other side, and as what bytes."""

from __future__ import annotations

import pytest

from edge._fast.http import head


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


DROPPED_FROM_REQUESTS = words("""
connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade
http2-settings host content-length authorization x-api-key api-key x-goog-api-key cookie accept-encoding
x-request-id request-id traceparent forwarded x-forwarded-for x-forwarded-proto x-forwarded-anything
x-real-ip via cf-ray cf-connecting-ip true-client-ip x-client-ip x-cluster-client-ip fastly-client-ip
x-edge-anything x-http-method-override x-http-method x-method-override x-original-url x-original-uri x-original-host
x-original-method x-rewrite-url x-rewrite-uri x-override-url x-url x-host x-http-host-override
openai-organization openai-project anthropic-organization-id anthropic-workspace-id chatgpt-account-id
ocp-apim-subscription-key x-goog-user-project x-amz-security-token origin referer sec-fetch-mode sec-ch-ua
access-control-request-method anthropic-dangerous-direct-browser-access x-originating-ip x-remote-addr
""")
DROPPED_FROM_RESPONSES = words("""
connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade
content-length set-cookie set-cookie2 alt-svc strict-transport-security server via x-request-id request-id
traceparent x-should-retry x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset x-edge-anything
openai-organization openai-project anthropic-organization-id anthropic-workspace-id access-control-allow-origin
access-control-allow-credentials x-accel-redirect x-accel-limit-rate x-sendfile nel report-to clear-site-data
""")
RELAYED_TO_PROVIDERS = words("""
content-type content-encoding accept user-agent x-simulate anthropic-version anthropic-beta
openai-beta x-stainless-retry-count x-stainless-lang retry-after idempotency-key tracestate
x-forwarded x-forwarded- x-edge- cf- set-cookie server x-edgeways cfx-ray x c x-
""")
RELAYED_TO_CLIENTS = words("""
content-type content-encoding date retry-after retry-after-ms openai-processing-ms
anthropic-ratelimit-tokens-limit x-ratelimit-limit-requests cf-ray cookie x-forwarded-for cache-control
x-accel-buffering openai-version openai-model x-http-method-override origin
""")
VALUES = {"content-length": "1", "connection": "close", "host": "a"}


def request(fields: str) -> bytes:
    """A request with some field lines."""
    return f"POST / HTTP/1.1\r\n{fields}\r\n".encode()


def response(fields: str) -> bytes:
    """A response with some field lines."""
    return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode()


@pytest.mark.parametrize("name", DROPPED_FROM_REQUESTS)
def test_keeps_from_providers(name: str) -> None:
    """What is hop by hop, the gateway's own or about the client does not reach the provider, in any case."""
    for spelling in (name, name.upper(), name.title()):
        own = "" if name == "host" else "Host: a\r\n"
        line = f"{spelling}: {VALUES.get(name, 'b')}\r\n"
        assert head.relayed(request(own + line + "z: z\r\n")) == b"z: z\r\n"


@pytest.mark.parametrize("name", DROPPED_FROM_RESPONSES)
def test_keeps_from_clients(name: str) -> None:
    """What is hop by hop, binds a browser to the provider or is the gateway's to say stays behind."""
    for spelling in (name, name.upper(), name.title()):
        line = f"{spelling}: {VALUES.get(name, 'b')}\r\n"
        assert head.relayed(response(line + "z: z\r\n"), response=True) == b"z: z\r\n"


@pytest.mark.parametrize("name", RELAYED_TO_PROVIDERS)
def test_relays_to_providers(name: str) -> None:
    """An end-to-end field goes on to the provider as it was spelled."""
    for spelling in (name, name.upper(), name.title()):
        assert head.relayed(request(f"Host: a\r\n{spelling}: b\r\n")) == f"{spelling}: b\r\n".encode()


@pytest.mark.parametrize("name", RELAYED_TO_CLIENTS)
def test_relays_to_clients(name: str) -> None:
    """An end-to-end field goes on to the client as it was spelled."""
    for spelling in (name, name.upper(), name.title()):
        assert head.relayed(response(f"{spelling}: b\r\n"), response=True) == f"{spelling}: b\r\n".encode()


@pytest.mark.parametrize("name", [name for name in DROPPED_FROM_REQUESTS if "-" in name] + ["content-type"])
def test_keeps_names_that_mean_another_from_providers(name: str) -> None:
    """A name that is a known one to servers that read "_" as "-" is kept from providers, and goes on to clients."""
    for spelling in (name.replace("-", "_"), name.replace("-", "_", 1).upper()):
        assert head.relayed(request(f"Host: a\r\n{spelling}: b\r\nz_z: z\r\n")) == b"z_z: z\r\n"
        assert head.relayed(response(f"{spelling}: b\r\n"), response=True) == f"{spelling}: b\r\n".encode()


def test_drops_framing_and_expectation() -> None:
    """Transfer-Encoding and Expect end at the gateway, which frames and waits anew."""
    fields = "Host: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    assert head.relayed(request(fields)) == b""
    assert head.relayed(response("Transfer-Encoding: chunked\r\n"), response=True) == b""


@pytest.mark.parametrize(
    "connection", ["Foo, bar", "foo,BAR,close", ", foo ,\tbar,", "foo\r\nA: a\r\nConnection: Bar"]
)
def test_drops_what_connection_nominates(connection: str) -> None:
    """A field that Connection names, before or after it, stays at this hop (RFC 9110 7.6.1)."""
    fields = f"FOO: 1\r\nConnection: {connection}\r\nbar: 2\r\nfoo: 3\r\nfoobar: 4\r\nba: 5\r\n"
    a = b"A: a\r\n" if "A: a" in connection else b""
    assert head.relayed(request("Host: a\r\n" + fields)) == a + b"foobar: 4\r\nba: 5\r\n"
    assert head.relayed(response(fields), response=True) == a + b"foobar: 4\r\nba: 5\r\n"


def test_nomination_compares_names_exactly() -> None:
    """Characters that only look alike in another case are different names."""
    assert head.relayed(request("Host: a\r\nConnection: ^\r\n~: 1\r\n^: 2\r\n")) == b"~: 1\r\n"


def test_writes_one_form() -> None:
    """Whatever the white space was, fields go on as name, colon, space, value, in their order."""
    fields = "A:1\r\nB:  2\r\nC: 3 \r\nD:\t4\r\nE:\r\nHost: a\r\nF: \r\nG: 7\r\nVia:\r\nH: 8  8\r\nI: 9\t\r\n"
    wanted = b"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nG: 7\r\nH: 8  8\r\nI: 9\r\n"
    assert head.relayed(request(fields)) == wanted


def test_more_lines_than_bytes_to_spare() -> None:
    """The written fields fit where the contract says, also when every one of 128 grows by its space."""
    fields = "Host:a\r\n" + "a:b\r\n" * 127
    assert head.relayed(request(fields)) == b"a: b\r\n" * 127


def test_needs_the_whole_head() -> None:
    """A head that is not whole relays nothing."""
    with pytest.raises(head.HeadError, match="more"):
        head.relayed(b"GET / HTTP/1.1\r\n")
