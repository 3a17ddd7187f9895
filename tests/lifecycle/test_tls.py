"""TLS to providers: verified with the roots of the system and the operator's, and nothing else is talked to."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults, figures
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, chat, in_contract

OLD = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Servers:
    """Providers with certificates of several kinds; `ca` and `other_ca` are files of roots."""

    ca: Path
    other_ca: Path
    good: Simulator
    expired: Simulator
    stranger: Simulator


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The providers."""
    folder = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    certificates = {"good": authority.issue_cert("127.0.0.1", "localhost"),
                    "expired": authority.issue_cert("127.0.0.1", not_after=OLD),
                    "stranger": authority.issue_cert("somebody.example")}
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    with contextlib.ExitStack() as stack:
        running = {}
        for name, certificate in certificates.items():
            file = folder / f"{name}.pem"
            certificate.private_key_and_cert_chain_pem.write_to_path(file)
            running[name] = stack.enter_context(Simulator(tls_cert=str(file), tls_key=str(file)))
        yield Servers(folder / "ca.pem", folder / "other.pem", **running)


def provider(simulator: Simulator, ca: Path | None, base_url: str = "") -> dict[str, Any]:
    """An entry of `providers`."""
    entry = {"kind": "openai", "base_url": base_url or simulator.openai_url, "key": "env:PROVIDER_KEY"}
    return entry if ca is None else {**entry, "ca_bundle": str(ca)}


@pytest.fixture(scope="module")
def edge(servers: Servers) -> Iterator[Gateway]:
    """One gateway; the model's name chooses the provider."""
    providers = {
        "good": provider(servers.good, servers.ca),
        "localhost": provider(servers.good, servers.ca, f"https://localhost:{servers.good.port}/v1"),
        "no-roots": provider(servers.good, None), "other-roots": provider(servers.good, servers.other_ca),
        "expired": provider(servers.expired, servers.ca), "stranger": provider(servers.stranger, servers.ca),
        "plain": provider(servers.good, servers.ca, f"http://127.0.0.1:{servers.good.port}/v1"),
    }
    config = configuration("", providers=providers, models={f"{name}-model": name for name in providers}, timeout=3)
    with Gateway(config, environ={"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}) as running:
        yield running
        assert faults(running) == []


@pytest.mark.parametrize("name", ["good", "localhost"])
def test_verified_by_ca_bundle(edge: Gateway, servers: Servers, name: str) -> None:
    """A provider whose certificate the operator's roots vouch for is served, plain and streaming, on one connection."""
    servers.good.reset()
    with Talk(edge.port) as talk:
        for number in range(6):
            stream = number == 5            # the last: what comes right behind one may need another connection
            answer = talk.send(chat(f"{name}-model", stream=stream)).answer()
            assert answer.status == 200
            assert answer.body.endswith(b"data: [DONE]\n\n") if stream else answer.json["choices"]
    assert len({seen["connection"] for seen in servers.good.requests()}) == 1


@pytest.mark.parametrize("name, words", [
    ("no-roots", "unable to get local issuer"), ("other-roots", "unable to get local issuer"), ("expired", "expired"),
    ("stranger", "mismatch")])
def test_not_verified(edge: Gateway, servers: Servers, name: str, words: str) -> None:
    """A certificate that cannot be verified is provider_unreachable with "TLS failure", and no request is sent."""
    before = len(servers.good.requests() + servers.expired.requests() + servers.stranger.requests())
    for _ in range(3):
        answer = in_contract(ask(edge.port, chat(f"{name}-model")), "provider_unreachable")
        assert "TLS failure" in answer.json["error"]["message"]
    edge.wait(lambda: words in edge.log())
    assert len(servers.good.requests() + servers.expired.requests() + servers.stranger.requests()) == before


def test_failures_are_counted_right(edge: Gateway) -> None:
    """Handshakes that fail, many at once, leave no connection counted, and none is missing from the pool afterwards."""
    before = figures(edge)["workers"][0]["upstream_connections"]
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)).send(chat("expired-model")) for _ in range(40)]
        for talk in talks:
            in_contract(talk.answer(), "provider_unreachable")
    assert at_rest(edge)["workers"][0]["upstream_connections"] == before
    assert ask(edge.port, chat("good-model")).status == 200


def test_plain_http_to_a_tls_port(edge: Gateway) -> None:
    """http:// to a port that speaks TLS is an error in contract that blames the provider."""
    answer = ask(edge.port, chat("plain-model"))
    assert answer.status == 502 and answer.header("x-edge-blame") == "upstream"
    in_contract(answer, answer.header("x-edge-condition") or "")


def test_long_bodies_and_streams(edge: Gateway) -> None:
    """Large requests, large answers and many streams go through TLS whole."""
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)) for _ in range(20)]
        for number, talk in enumerate(talks):
            fault = "big=600000" if number % 2 else "tokens=300"
            talk.send(chat("good-model", stream=number % 2 == 0, fault=fault, text="t" * 100_000))
        for number, talk in enumerate(talks):
            answer = talk.answer()
            whole = len(answer.body) > 600_000 if number % 2 else answer.body.endswith(b"data: [DONE]\n\n")
            assert answer.status == 200 and whole, (number, len(answer.body), answer.body[-300:])


def test_cut_over_tls(edge: Gateway) -> None:
    """A TLS connection that is cut or reset in an answer is provider_cut; one closed behind it does not show."""
    for fault in ("cut=700", "reset=700"):
        in_contract(ask(edge.port, chat("good-model", fault=fault)), "provider_cut")
    with Talk(edge.port) as talk:
        for _ in range(8):
            assert talk.send(chat("good-model", fault="close-idle")).answer().status == 200


def test_client_that_leaves_over_tls(edge: Gateway, servers: Servers) -> None:
    """A client that leaves cancels a request over TLS too."""
    servers.good.reset()
    with Talk(edge.port) as talk:
        talk.send(chat("good-model", fault="hang"))
        servers.good.wait_for(lambda state: state["log"])
    servers.good.wait_for(lambda state: state["log"][0]["outcome"] == "cancelled")
    at_rest(edge)


def test_ssl_cert_file(servers: Servers) -> None:
    """SSL_CERT_FILE names the roots where there is no ca_bundle."""
    config = configuration("", providers={"good": provider(servers.good, None)})
    with Gateway(config, environ={"SSL_CERT_FILE": str(servers.ca)}) as edge:
        assert ask(edge.port, chat()).status == 200
    with Gateway(config, environ={"SSL_CERT_FILE": str(servers.other_ca)}) as edge:
        in_contract(ask(edge.port, chat()), "provider_unreachable")


def test_a_new_bundle_by_reload(servers: Servers, tmp_path: Path) -> None:
    """A bundle whose content has changed is read anew by a reload."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(servers.other_ca.read_bytes())
    with Gateway(configuration("", providers={"good": provider(servers.good, bundle)})) as edge:
        in_contract(ask(edge.port, chat()), "provider_unreachable")
        bundle.write_bytes(servers.ca.read_bytes())
        assert edge.reload().status_code == 200
        assert ask(edge.port, chat()).status == 200
