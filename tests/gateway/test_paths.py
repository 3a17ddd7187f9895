"""Which path is which route: what clients put before it, what a relayed path must not hold, and methods."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.gateway.client import ask, asked, request
from tests.gateway.test_models import VERSION, bare
from tests.support.gateway import Gateway
from tests.support.simulator import Simulator


@pytest.fixture(scope="module")
def edge(running: Simulator) -> Iterator[Gateway]:
    """One before both kinds of providers, every name served."""
    with bare(running) as gateway:
        yield gateway


def targets(simulator: Simulator) -> list[str]:
    """The targets of the requests that the provider has had."""
    return [each["target"] for each in simulator.requests()]


BODIES = {
    "/chat/completions": asked("openai"), "/completions": {"model": "sim", "prompt": "x"},
    "/responses": {"model": "sim", "input": "x"}, "/embeddings": {"model": "sim", "input": "x"},
    "/messages": asked("anthropic"), "/messages/count_tokens": asked("anthropic"),
    "/images/generations": {"model": "sim", "prompt": "x"}, "/moderations": {"input": "x"},
}
GOTTEN = ("/models", "/models/gpt-4o", "/files")


@pytest.mark.parametrize("before", ["", "/v1", "/v1/v1", "/openai/v1", "/openai"])
@pytest.mark.parametrize("path", [*BODIES, *GOTTEN])
def test_base_urls(edge: Gateway, simulator: Simulator, path: str, before: str) -> None:
    """Every route is served without the /v1 of a base URL, with one too many, and with what Azure's clients write."""
    sent = request(BODIES.get(path), path=f"{before}{path}?a=b", method="POST" if path in BODIES else "GET")
    assert ask(edge.port, sent).status == 200
    assert targets(simulator) == [f"/v1{path}?a=b"]


@pytest.mark.parametrize(("path", "meant"), [
    ("/v1/chat", "/v1/chat/completions"), ("/v1/chat/completion", "/v1/chat/completions"),
    ("/V1/Chat/Completions", "/v1/chat/completions"), ("/v1/chat/completions/", "/v1/chat/completions"),
    ("/v2/chat/completions", "/v1/chat/completions"), ("/api/v1/chat/completions", "/v1/chat/completions"),
    ("/v1/embedding", "/v1/embeddings"), ("/v1/message", "/v1/messages"), ("/v1/model", "/v1/models"),
    ("/v1//embeddings", "/v1/embeddings"), ("/v1/audio", "/v1/audio"),
    ("/" + "x" * 5000 + "/responses", "/v1/responses"), ("/model", "/v1/models"), ("/v1/statz", "/stats"),
])
def test_unknown_paths(edge: Gateway, path: str, meant: str) -> None:
    """A 404 names the path that was probably meant, whatever was sent."""
    found = ask(edge.port, request(asked("openai"), path=path))
    assert found.status == 404 and found.fields["x-edge-condition"] == "endpoint_unknown"
    assert found.json()["error"]["message"].endswith(f"Did you mean {meant}?")


@pytest.mark.parametrize("path", [
    "/", "//", "/v1", "/v1/", "/v1/v1/", "/api", "/api/hello", "/api/v1/hello", "/v1/nowhere", "/openai/",
    "/openai/deployments/x/y", "/v1/v1/v1/x", "/favicon.ico", "/robots.txt", "/index.html",
    "/.well-known/openid-configuration"])
def test_paths_like_no_other(edge: Gateway, path: str) -> None:
    """A 404 for a path that is like none of ours names no other."""
    for method in ("GET", "POST"):
        found = ask(edge.port, request({} if method == "POST" else None, path=path, method=method))
        assert found.status == 404 and found.fields["x-edge-condition"] == "endpoint_unknown"
        assert found.json()["error"]["message"] == f"Unknown request URL: {method} {path}"


@pytest.mark.parametrize(("path", "headers", "dialect"), [
    ("/v1/nowhere", {}, "openai"), ("/v1/nowhere", VERSION, "anthropic"), ("/messages/x", {}, "anthropic"),
    ("/v1/messages/x/y", {}, "anthropic"), ("/v1/v1/messages/x", {}, "anthropic")])
def test_the_dialect_of_a_404(edge: Gateway, path: str, headers: dict[str, str | None], dialect: str) -> None:
    """An unknown path is told in the dialect that asks: by its version's header, or by the path itself."""
    told = ask(edge.port, request({}, path=path, headers=headers)).json()
    assert ("type" in told) == (dialect == "anthropic")


RELAYED = ("/v1/files", "/v1/chat/completions", "/v1/responses", "/v1/messages/batches", "/files", "/openai/files")
# What a server on the way, or the provider's own, may fold, cut or decode into another path.
FOLDS = [
    "//", "//x", "/x//y", "/;x", "/x;y", "/x;", ";x/y", "/..;/admin", "/.;/x", "/.", "/..", "/./x", "/../x",
    "/x/..", "/x/../y", "/...", "/x.", "/x./y", "/%2e", "/%2e%2e/x", "/.%2E/x", "/%2E./x", "/x%2ey",
    "/%252e%252e/x", "/%25%32e/x", "/%25252e/x", "/x%2fy", "/x%2Fy", "/%2f", "/x%252fy", "/x%5cy", "/..%5cx",
    "/%5C..%5Cx", "/x%255cy", "/x%00", "/%00/x", "/x%00y", "/x%0a", "/x%0dy", "/x%09", "/x%1f", "/x%7f",
    "/x%20", "/%20x", "/x%20/y", "/x%3by", "/..%3b/x", "/x%3fy", "/x%23y", "/%c0%ae%c0%ae/x", "/x%c0%afy",
    "/%e0%80%ae/x", "/x%ff", "/x%80", "/%ef%bc%8e%ef%bc%8e/x", "/x%ef%bc%8fy", "/x%ef%bc%9by", "/%e2%80%a5/x",
    "/x%c2%85", "/x%e2%80%a8y",
]


@pytest.mark.parametrize("fold", FOLDS)
def test_paths_that_could_be_others(edge: Gateway, simulator: Simulator, fold: str) -> None:
    """A path that a server could take for another lies in no relayed path, whatever the method."""
    for base, method in itertools.product(RELAYED, ("GET", "POST", "DELETE")):
        found = ask(edge.port, request({} if method == "POST" else None, path=base + fold, method=method))
        assert (found.status, found.fields["x-edge-condition"]) == (404, "endpoint_unknown"), (base, method)
    assert targets(simulator) == []


@pytest.mark.parametrize("path", [
    "/v1/files/file-1", "/v1/files/file-1/content", "/v1/files/", "/v1/files/a.b", "/v1/files/.a", "/v1/files/a%20b",
    "/v1/files/a%C3%A9", "/v1/files/%E6%97%A5", "/v1/files/a%25b%7C", "/v1/files/ft:gpt-4o:org::1", "/v1/files/a@b,c=d",
    "/v1/chat/completions/chatcmpl-1", "/v1/responses/resp_1/input_items", "/v1/files/a?x=/../?y=//;z%2f%00"])
def test_paths_that_are_what_they_are(edge: Gateway, simulator: Simulator, path: str) -> None:
    """What can be read in one way alone is relayed byte for byte."""
    ask(edge.port, request(path=path, method="GET"))
    assert targets(simulator) == [path]


@pytest.mark.parametrize("headers", [{}, VERSION])
@pytest.mark.parametrize(("path", "answered"), [
    ("/v1/models/org%2Fmodel", True), ("/v1/models/org/model", True), ("/models/org%2fmodel", True),
    ("/v1/models/a%20b%3Ac", True), ("/v1/models/org%2F..%2Fx", False), ("/v1/models/%2e%2e%2ffiles", False),
    ("/v1/models/org%2F%2Fmodel", False), ("/v1/models/org%2F", False), ("/v1/models/org%252Fmodel", False),
    ("/v1/models/a;b", False), ("/v1/models/..", False)])
def test_names_of_relayed_models(edge: Gateway, simulator: Simulator, path: str, answered: bool,
                                 headers: dict[str, str | None]) -> None:
    """A model's name may hold slashes, escaped or not; what would leave the models is none."""
    found = ask(edge.port, request(path=path, method="GET", headers=headers))
    assert found.status == (200 if answered else 404)
    assert targets(simulator) == ["/v1" + path.removeprefix("/v1")] * answered


@pytest.mark.parametrize("path", ["/v1/models/org%2Fmodel", "/v1/models/org/model", "/v1/models/org%2fmodel",
                                  "/models/org%2Fmodel"])
def test_names_of_the_catalogue(running: Simulator, path: str) -> None:
    """The catalogue's own models are found by either writing of their name."""
    with bare(running, models={"org/model": ["openai", "anthropic"]}) as named:
        for headers in ({}, VERSION):
            assert ask(named.port, request(path=path, method="GET", headers=headers)).json()["id"] == "org/model"


OURS = ("/v1/files", "/v1/batches", "/v1/messages/batches", "/v1/conversations", "/v1/containers", "/v1/evals",
        "/v1/uploads", "/v1/vector_stores", "/v1/videos")


@pytest.mark.parametrize("path", OURS)
def test_our_prefixes_end_at_a_slash(edge: Gateway, simulator: Simulator, path: str) -> None:
    """A path of ours is relayed with all that lies below it, and no other that only begins so."""
    for rest in ("ystem", "x/y", "-1", ".x", "%20x", ":x", ",x/"):
        found = ask(edge.port, request(path=path + rest, method="GET"))
        assert (found.status, found.fields["x-edge-condition"]) == (404, "endpoint_unknown"), rest
    assert targets(simulator) == []
    served = [path, f"{path}/", f"{path}/x", f"{path}/x/y", f"{path}?a=b"]
    for each in served:
        ask(edge.port, request(path=each, method="GET"))
    assert targets(simulator) == served


def test_the_operators_prefixes_come_first(running: Simulator, simulator: Simulator) -> None:
    """An operator's * stands for anything behind it, and takes paths from ours, also from those that stand alone."""
    with bare(running, routes={"/v1/file*": "anthropic", "/v1/mod*": "anthropic"}) as own:
        for path in ("/v1/filesystem", "/v1/file", "/v1/files/x", "/v1/moderations", "/v1/modx"):
            ask(own.port, request({}, path=path))
    told = [{name.lower() for name, _ in each["headers"]} for each in simulator.requests()]
    assert [("x-api-key" in names, "authorization" in names) for names in told] == [(True, False)] * 5


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
ALLOWED = {
    **dict.fromkeys(("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages",
                     "/v1/messages/count_tokens", "/responses", "/openai/deployments/sim/chat/completions"), "POST"),
    **dict.fromkeys(("/v1/models", "/v1/models/gpt-4o", "/models", "/health", "/livez", "/readyz", "/stats"),
                    "GET, HEAD"),
    **dict.fromkeys(("/v1/files", "/v1/files/x", "/v1/images/generations", "/files"),
                    "GET, HEAD, POST, PUT, PATCH, DELETE"),
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("path", ALLOWED)
def test_methods(edge: Gateway, gateway: Gateway, simulator: Simulator, path: str, named: bool) -> None:
    """A method that a route does not take is 405 with those that it takes, and reaches no provider."""
    serving = gateway if named else edge
    for headers in ({}, VERSION):
        for method in METHODS:
            if method in ALLOWED[path].split(", "):
                continue
            found = ask(serving.port, request(path=path, method=method, headers=headers))
            assert (found.status, found.fields["allow"]) == (405, ALLOWED[path]), method
            assert found.fields["x-edge-condition"] == "method_not_allowed"
    assert targets(simulator) == []


@pytest.mark.parametrize("method", ["PROPFIND", "purge", "delete", "M" * 15])
@pytest.mark.parametrize(("path", "status"), [("/v1/chat/completions", 405), ("/v1/nowhere", 404)])
def test_methods_are_called_by_their_names(edge: Gateway, method: str, path: str, status: int) -> None:
    """A refusal names the method that was sent, also one that nobody knows."""
    found = ask(edge.port, request(path=path, method=method))
    assert found.status == status and method in found.json()["error"]["message"]
