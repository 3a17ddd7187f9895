"""Everything that is configured at its longest, at once, and heads of both sides that are as long as they may be."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from edge import _fast
from edge.config.sections import maximums
from edge.values.snapshot import Bounds
from edge.values.snapshot import Provider as Upstream
from tests.config.test_bounds import LEASTS, NUMBERS, Path, placed
from tests.support.gateway import Gateway, configuration
from tests.support.provider import GOOD, Line, Provider, answer, echo
from tests.support.talk import Talk, ask, asked, in_contract, request

NAME = "\N{OX}" * maximums.MAX_MODEL           # four bytes a character
HEAD = 65536                                # bytes, of clients' and of providers'


def long_headed(line: Line) -> None:
    """A script: a good answer, its head as long as may be, and of a stream as well."""
    while head := line.request():
        stream = b'"stream"' in head.partition(b"\r\n\r\n")[2]
        body = b'data: {"choices":[]}\n\ndata: [DONE]\n\n' if stream else GOOD % b"ok"
        kind = b"content-type: text/event-stream" if stream else b"x-kind: json"
        bare = answer(body, kind, b"x-long: ")
        if stream:
            bare = bare.replace(b"content-type: application/json\r\n", b"")
        room = HEAD - bare.index(b"\r\n\r\n") - 4
        line.send(bare.replace(b"x-long: ", b"x-long: " + b"v" * room))


@pytest.fixture(scope="module")
def full() -> Iterator[Gateway]:
    """The gateway with all of it."""
    headers = {f"h{i:03}": "v" * 1016 for i in range(16)}
    with Provider(long_headed) as provider:
        config = configuration(provider.url, models={NAME: [{"provider": "openai"}]}, limits={
            "head_bytes": maximums.MAX_HEAD, "target_bytes": maximums.MAX_HEAD})
        entry = config["providers"]["openai"]
        entry["base_url"] = f"{provider.url}/".ljust(maximums.MAX_URL, "u")
        entry["key"] = "k" * maximums.MAX_SECRET
        entry["headers"] = headers
        with Gateway(config) as running:
            yield running
            assert running.metric("edge_requests_total", condition="internal_error") == 0
            assert running.metric("edge_worker_restarts_total") == 0


def padded(data: bytes, by: str, size: int) -> bytes:
    """The request with its head filled up: in a field, in many, or in its query."""
    head, end, body = data.partition(b"\r\n\r\n")
    room = size - len(head) - 4
    if by == "field":
        head += b"\r\nx-fill: " + b"v" * (room - 10)
    elif by == "fields":
        lines = b"".join(b"\r\nx-fill-%02d:%s" % (i, b"v" * (room // 100 - 12)) for i in range(100))
        head += lines + b"\r\nx-rest:" + b"v" * (room - len(lines) - 9)
    else:
        head = head.replace(b" HTTP/1.1", b"?" + b"q" * (room - 1) + b" HTTP/1.1", 1)
    assert len(head) + 4 == size
    return head + end + body


@pytest.mark.parametrize("by", ["field", "fields", "query"])
@pytest.mark.parametrize("stream", [False, True])
def test_everything_at_its_longest_is_served(full: Gateway, by: str, stream: bool) -> None:
    """Configured texts, a client's head and an answer's head, all at their limits at once, fit."""
    data = request(asked(NAME, stream=True) if stream else asked(NAME))
    with Talk(full.port) as talk:
        for _ in range(2):
            found = talk.send(padded(data, by, HEAD)).answer()
            assert found.status == 200, found
            assert len(found.header("x-long") or "") > 60000
            assert found.header("x-edge-target") == f"openai/{'????' * maximums.MAX_MODEL}"


@pytest.mark.parametrize("by", ["field", "fields", "query"])
def test_a_head_one_over_is_refused(full: Gateway, by: str) -> None:
    """One byte more of a head than is configured is refused in contract; the worker goes on."""
    with Talk(full.port) as talk:
        found = talk.send(padded(request(asked(NAME)), by, HEAD + 1)).answer()
    assert found.status in (414, 431)
    in_contract(found, "uri_too_long" if found.status == 414 else "headers_too_large")


def test_the_data_plane_takes_no_more_than_fits() -> None:
    """What would not fit is a ValueError where it is loaded, whatever the configuration let pass."""
    slab = _fast.Slab(1)
    gateway = _fast.Gateway(slab, 0, lambda pool: None, lambda error, request_id: None)
    provider = Upstream("p", "openai", "http://localhost")

    def pool(base: int, head: int) -> object:
        return _fast.Pool(gateway, provider, b"/" * base, 0, (b"h" * head,), 0)

    fits = pool(1000, 64536)
    for base, head in ((1000, 64537), (65537, 0), (0, 300_000)):
        with pytest.raises(ValueError, match="too long"):
            pool(base, head)
    target = _fast.Target(fits, None, [0])
    target.place("n" * 4079, 0, 0, 1)
    for size in (4080, 2_000_000):
        with pytest.raises(ValueError, match="too long"):
            target.place("n" * size, 0, 0, 1)
    for bounds in (Bounds(head_bytes=65537), Bounds(head_bytes=1024, target_bytes=1025)):
        with pytest.raises(ValueError, match="too high"):
            gateway.load(SimpleNamespace(bounds=bounds))


@pytest.mark.parametrize("numbers", [LEASTS, NUMBERS], ids=["least", "most"])
def test_every_number_at_its_end_serves(tmp_path: pathlib.Path, numbers: dict[Path, float]) -> None:
    """With all numbers of the configuration at their lowest, or highest, at once a gateway serves: none overflows."""
    with Provider(echo) as provider:
        config = configuration(provider.url, models={"m": [{"provider": "openai", "model": "n"}]})
        config["providers"]["openai"]["health_check"] = {"path": "/models"}
        config["access_log"] = {"path": str(tmp_path / "access.log")}
        config["tracing"] = {"endpoint": f"{provider.url}/v1/traces"}
        config["store"] = str(tmp_path / "edge.db")
        for at, number in numbers.items():
            if at[0] not in ("port", "workers", "redis") and at != ("admin", "port"):
                config = placed(config, at, number)
        with Gateway(config) as edge:
            for path in ("/health", "/v1/files"):
                assert ask(edge.port, request(path=path, method="GET"), "GET").status == 200, path
