"""Proxies: the variables that curl made a custom, resolved per provider."""

from __future__ import annotations

from typing import Any

import pytest

from edge.config import ConfigError
from edge.config.building.proxies import variable

HTTPS = "https://api.example.com/v1"
HTTP = "http://vllm.example.com:8000/v1"


@pytest.mark.parametrize(("url", "environ", "expected"), [
    (HTTPS, {}, None),
    (HTTPS, {"HTTPS_PROXY": "x"}, "HTTPS_PROXY"),
    (HTTPS, {"https_proxy": "x", "HTTPS_PROXY": "y"}, "https_proxy"),
    (HTTPS, {"https_proxy": "", "HTTPS_PROXY": "y"}, "HTTPS_PROXY"),
    (HTTPS, {"HTTP_PROXY": "x"}, None),
    (HTTP, {"HTTP_PROXY": "x"}, "HTTP_PROXY"),
    (HTTP, {"HTTPS_PROXY": "x"}, None),
    (HTTPS, {"ALL_PROXY": "x"}, "ALL_PROXY"),
    (HTTP, {"all_proxy": "x", "HTTP_PROXY": "y"}, "HTTP_PROXY"),
    ("http://127.0.0.1:8000/v1", {"ALL_PROXY": "x"}, None),
    ("http://[::1]:8000/v1", {"ALL_PROXY": "x"}, None),
    ("http://localhost/v1", {"ALL_PROXY": "x"}, None),
    ("http://LOCALHOST/v1", {"ALL_PROXY": "x"}, None),
    ("http://localhost.example/v1", {"ALL_PROXY": "x"}, "ALL_PROXY"),
])
def test_variable(url: str, environ: dict[str, str], expected: str | None) -> None:
    """The scheme's variable wins over ALL_PROXY, lower case over upper case; loopback is reached directly."""
    assert variable(url, environ) == expected


@pytest.mark.parametrize(("entry", "url", "direct"), [
    ("*", HTTPS, True),
    ("example.com", HTTPS, True),
    (".example.com", HTTPS, True),
    ("*.example.com", HTTPS, True),
    ("API.Example.COM", HTTPS, True),
    ("api.example.com.", HTTPS, True),
    ("ample.com", HTTPS, False),
    ("other.com, example.com", HTTPS, True),
    ("other.com example.com", HTTPS, True),
    ("example.com:443", HTTPS, True),
    ("example.com:8443", HTTPS, False),
    ("example.com:8000", HTTP, True),
    ("10.0.0.0/8", "http://10.1.2.3/v1", True),
    ("10.0.0.0/8", "http://11.1.2.3/v1", False),
    ("10.0.0.0/8", HTTPS, False),
    ("10.1.2.3", "http://10.1.2.3/v1", True),
    ("10.1.2.3:80", "http://10.1.2.3/v1", True),
    ("10.1.2.3:81", "http://10.1.2.3/v1", False),
    ("1.2.3", "http://10.1.2.3/v1", False),
    ("fd00::/8", "http://[fd00::1]/v1", True),
    ("fd00::1", "http://[fd00:0::1]/v1", True),
    ("[fd00::1]:80", "http://[fd00::1]/v1", True),
    ("[fd00::1]:81", "http://[fd00::1]/v1", False),
    ("10.0.0.0/99", "http://10.1.2.3/v1", False),
    (",, .", HTTPS, False),
])
def test_no_proxy(entry: str, url: str, direct: bool) -> None:
    """NO_PROXY takes domains with all below them, addresses, networks and *, with ports or without."""
    environ = {"ALL_PROXY": "x", "NO_PROXY": entry}
    assert variable(url, environ) == (None if direct else "ALL_PROXY")


@pytest.mark.parametrize(("value", "expected"), [
    ("http://proxy:3128", "http://proxy:3128"),
    ("proxy:3128", "http://proxy:3128"),
    ("http://u:p@proxy:3128/", "http://u:p@proxy:3128/"),
    ("socks5://u:p@[::1]:1080", "socks5://u:p@[::1]:1080"),
    ("socks5h://proxy", "socks5h://proxy"),
])
def test_proxy_of_the_environment(config: Any, value: str, expected: str) -> None:
    """A provider gets the environment's proxy, with its credentials hidden."""
    proxy = config.load(config.good, {"HTTPS_PROXY": value}).providers[0].proxy
    assert proxy.reveal() == expected and str(proxy) == "***"


@pytest.mark.parametrize("value", ["ftp://x", "http://", "http://x:99999", "http://x/path", "socks5://x y", "://"])
def test_unusable_proxy(config: Any, value: str) -> None:
    """A variable that holds no proxy's URL is told by its name, and its value is not repeated."""
    found = config.problem(config.good, {"HTTPS_PROXY": value})
    assert (found.key, found.message) == ("HTTPS_PROXY", "is not the URL of a proxy") and "socks5h" in found.way_out


@pytest.mark.parametrize(("proxy", "expected"), [
    ("none", None), ("env:P", "socks5://p:1"), ("socks5h://127.0.0.1:1080", "socks5h://127.0.0.1:1080")])
def test_proxy_of_the_provider(config: Any, proxy: str, expected: str | None) -> None:
    """A provider's own proxy, or none, wins over the environment's."""
    text = config.good.replace("OPENAI_API_KEY}", f"OPENAI_API_KEY, proxy: '{proxy}'}}")
    found = config.load(text, {"HTTPS_PROXY": "http://other:1", "P": "socks5://p:1"}).providers[0].proxy
    assert (found.reveal() if found else None) == expected


def test_a_proxy_behind_tls_is_refused(config: Any) -> None:
    """TLS to the proxy itself is not done, and the configuration says so instead of the first request."""
    with pytest.raises(ConfigError, match="HTTPS_PROXY: is not the URL of a proxy"):
        config.load(config.good, {"HTTPS_PROXY": "https://proxy:3128"})
