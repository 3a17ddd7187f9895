"""Providers behind HTTP and SOCKS5 proxies, by the customary variables and by the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.gateway import Gateway, configuration
from tests.support.looks import faults
from tests.support.proxy import Proxy
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, chat, in_contract

NONE = {name: "" for stem in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (stem, stem.upper())}
HOST = "provider.test"              # RFC 2606: it resolves nowhere but at the proxy


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of roots; the provider's certificate and key are beside it."""
    folder = tmp_path_factory.mktemp("proxy")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def secure(roots: Path) -> Iterator[Simulator]:
    """A provider with TLS for its name."""
    with Simulator(tls_cert=str(roots.parent / "server.pem")) as running:
        yield running


def config(base_url: str, roots: Path | None = None, **more: Any) -> dict[str, Any]:
    """One provider."""
    bundle = {} if roots is None else {"ca_bundle": str(roots)}
    entry = {"kind": "openai", "base_url": base_url, "key": "env:PROVIDER_KEY", **bundle, **more}
    return configuration("", providers={"far": entry}, timeout=3)


def served(edge: Gateway, times: int = 4) -> None:
    """Requests on one connection, the last one streaming: what comes behind a stream may need another one."""
    with Talk(edge.port) as talk:
        for number in range(times):
            answer = talk.send(chat(stream=number == times - 1)).answer()
            assert answer.status == 200, answer
    assert faults(edge) == []


@pytest.mark.parametrize("scheme, login", [("http", ""), ("http", "user:pass-word"), ("socks5", "user:pass-word"),
                                           ("socks5h", "")])
def test_https_through_a_proxy(secure: Simulator, roots: Path, scheme: str, login: str) -> None:
    """HTTPS_PROXY leads a provider's TLS through it, name unresolved; connections are kept."""
    with Proxy(login=login) as proxy, \
            Gateway(config(f"https://{HOST}:{secure.port}/v1", roots),
                    environ={**NONE, "HTTPS_PROXY": proxy.url(scheme)}) as edge:
        served(edge)
        assert proxy.asked == [("http" if scheme == "http" else "socks5", HOST, secure.port)]
        assert "pass-word" not in edge.log()


@pytest.mark.parametrize("variable, used", [("ALL_PROXY", True), ("all_proxy", True), ("http_proxy", True),
                                            ("HTTPS_PROXY", False)])
def test_plain_http_through_a_proxy(simulator: Simulator, variable: str, used: bool) -> None:
    """A plain provider goes by http_proxy and ALL_PROXY, never by the variable of the other scheme."""
    with Proxy() as proxy, Gateway(config(f"http://{HOST}:{simulator.port}/v1"),
                                   environ={**NONE, variable: proxy.url("http")}) as edge:
        if used:
            served(edge)
            assert proxy.asked == [("http", HOST, simulator.port)]
        else:
            answer = in_contract(ask(edge.port, chat()), "provider_unreachable")
            assert "DNS failure" in answer.json["error"]["message"]
            assert proxy.asked == []


def test_no_proxy(simulator: Simulator) -> None:
    """NO_PROXY and loopback addresses are reached directly."""
    with Proxy() as proxy:
        environ = {**NONE, "ALL_PROXY": proxy.url("http"), "HTTPS_PROXY": proxy.url("http")}
        with Gateway(config(f"http://{HOST}:{simulator.port}/v1"), environ={**environ, "NO_PROXY": f".{HOST}"}) as edge:
            in_contract(ask(edge.port, chat()), "provider_unreachable")
        with Gateway(config(simulator.openai_url), environ=environ) as edge:
            served(edge)
        assert proxy.asked == []


def test_proxy_of_the_configuration(secure: Simulator, roots: Path) -> None:
    """`proxy` of a provider comes before the environment's, also for loopback; `none` means directly."""
    with Proxy() as proxy, Proxy() as other:
        environ = {**NONE, "HTTPS_PROXY": other.url("http"), "OUR_PROXY": proxy.url("socks5")}
        with Gateway(config(f"https://{HOST}:{secure.port}/v1", roots, proxy="env:OUR_PROXY"), environ=environ) as edge:
            served(edge)
        assert proxy.asked == [("socks5", HOST, secure.port)] and other.asked == []
        with Gateway(config(f"https://{HOST}:{secure.port}/v1", roots, proxy="none"), environ=environ) as edge:
            in_contract(ask(edge.port, chat()), "provider_unreachable")
        assert other.asked == []


def test_proxies_that_fail(simulator: Simulator, secure: Simulator, roots: Path) -> None:
    """A proxy that refuses, wants a login, is gone or speaks another protocol is provider_unreachable, in few words."""
    with Proxy(login="user:right") as strict, Proxy(refuses=True) as closed:
        places = {"refuses": closed.url("")[3:], "login": f"user:wrong-word@127.0.0.1:{strict.port}",
                  "gone": "127.0.0.1:1", "other": f"127.0.0.1:{simulator.port}"}
        one = config(f"https://{HOST}:{secure.port}/v1", roots)["providers"]["far"]
        providers = {f"{scheme}-{name}": {**one, "proxy": f"{scheme}://{place}"}
                     for scheme in ("http", "socks5") for name, place in places.items()}
        with Gateway(configuration("", providers=providers, models={f"by-{name}": name for name in providers})) as edge:
            for name in providers:
                answer = in_contract(ask(edge.port, chat(f"by-{name}")), "provider_unreachable")
                assert "Proxy failure" in answer.json["error"]["message"], name
                assert "127.0.0.1" not in answer.json["error"]["message"]
                assert "wrong-word" not in edge.log() + repr(answer)
            assert faults(edge) == []
