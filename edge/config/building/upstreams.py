"""Providers of the file made into providers of the snapshot."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from edge.config.building import patterns, proxies
from edge.config.building.headers import SECRET_NAME, headers, is_free
from edge.config.building.references import Secrets
from edge.config.report import Report
from edge.config.sections.providers import UPSTREAM, HealthCheck, Provider
from edge.config.tree import find
from edge.dialects.kinds import KEY_HEADERS
from edge.strict_yaml import Path as Key
from edge.values import snapshot
from edge.values.snapshot import Secret

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")       # a metric label, and what is before / in a target
# Azure's hosts, of all its clouds: they want api-key (learn.microsoft.com, Azure OpenAI REST reference).
_AZURE = re.compile(r"https://[^/?#@]+\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)(?=[:/?#]|$)",
                    re.IGNORECASE)
_ROUTES = ("/chat/completions", "/messages", "/responses", "/embeddings")   # pasted with a base URL more often than not
_CHECK_PATH = re.compile(r"/[!-\"$-~]*")       # visible ASCII but #


class Upstreams:
    """Makes one provider at a time; what is wrong goes to the report."""

    def __init__(self, report: Report, secrets: Secrets, folder: Path, environ: Mapping[str, str]) -> None:
        self._report = report
        self._secrets = secrets
        self._folder = folder
        self._environ = environ
        self._faults: dict[Path, str] = {}      # of files of certificates; empty: none

    def make(self, name: str, given: Provider, timeout: float | None) -> snapshot.Provider:
        """`timeout` is the file's own. With problems noted the result is not to be used."""
        at: Key = ("providers", name)
        if not NAME.fullmatch(name):
            self._report.problem(at, "is no name for a provider", "use up to 64 letters, digits, . - _")
        for index, pattern in enumerate(given.models):
            patterns.check(self._report, (*at, "models", index), pattern)
        keys = self._keys(at, given)
        fields = headers(self._report, self._secrets, (*at, "headers"), given.headers)
        key_header = self._key_header(at, given, keyed=bool(keys))
        base_url = self._base_url(at, given, carries=bool(keys or fields))
        times, default = given.timeouts, UPSTREAM
        total = first(times.total, default.total_timeout)
        return snapshot.Provider(
            name=name, kind=given.kind, base_url=base_url, keys=keys, key_header=key_header, headers=fields,
            connect_timeout=times.connect, idle_timeout=times.idle, total_timeout=total,
            first_byte_timeout=first(times.first_byte, timeout, default.first_byte_timeout),
            plain_timeout=first(times.total, timeout, total),
            max_connections=given.max_connections or 0, max_idle=given.max_idle, keep_alive=given.keep_alive,
            ca_bundle=self._ca_bundle((*at, "ca_bundle"), given.ca_bundle, secure=base_url.startswith("https:")),
            proxy=self._proxy((*at, "proxy"), given, base_url), models=tuple(given.models),
            stream_usage=asks_usage(given), adaptive=given.adaptive,
            health_check=self._health_check((*at, "health_check"), given.health_check))

    def _keys(self, at: Key, given: Provider) -> tuple[Secret, ...]:
        if given.key is not None and given.keys:
            self._report.problem((*at, "key"), "stands beside keys", "put all of them under keys")
        places = [((*at, "keys", index), text) for index, text in enumerate(given.keys)]
        if given.key is not None:
            places.append(((*at, "key"), given.key))
        found: list[Secret] = []
        for place, text in places:
            secret = self._secrets.get(text, place)
            if secret is None:
                continue
            if not secret.reveal().isascii():
                self._report.problem(place, "holds a character beyond ASCII", "check what was pasted")
            elif secret in found:
                self._report.problem(place, "is the same key again", "remove it")
            else:
                found.append(secret)
        return tuple(found)

    def _key_header(self, at: Key, given: Provider, *, keyed: bool) -> str | None:
        """The key goes in one header, and nothing else goes in that one; None: in that of its kind."""
        if given.key_header is not None and not is_free(
                self._report, (*at, "key_header"), given.key_header):
            return None
        named = given.key_header or ("api-key" if given.kind == "openai" and _AZURE.match(given.base_url) else None)
        carrier = (named or KEY_HEADERS[given.kind]).lower()
        for name in given.headers:
            if keyed and name.lower() == carrier:
                self._report.problem((*at, "headers", name), "is the header that carries the key",
                                     "remove it or the key, or set key_header")
        if keyed and named is None and "/openai/deployments/" in given.base_url:
            self._report.warn(at, "Azure takes its key in another header: set key_header: api-key")
        return None if carrier == KEY_HEADERS[given.kind] else named

    def _base_url(self, at: Key, given: Provider, carries: bool) -> str:
        place, text = (*at, "base_url"), given.base_url
        url = read_url(text)
        if url is None:
            self._report.problem(
                place, "is not an http:// or https:// URL with a host and no more than a path and a query",
                "for example base_url: https://api.openai.com/v1; credentials go to key or headers")
            return text
        secret = next((name for name, _ in parse_qsl(url.query, keep_blank_values=True) if SECRET_NAME.search(name)),
                      None)
        if secret is not None:
            self._report.problem(place, f"holds a secret: {secret[:64]}", "URLs are logged: use key and key_header")
        url = url._replace(path=url.path.rstrip("/"))
        if given.kind == "anthropic" and url.path.endswith("/v1"):
            self._report.warn(place, "Anthropic's base URL has no /v1: it was left out")
            url = url._replace(path=url.path.removesuffix("/v1").rstrip("/"))
        text = url.geturl()
        if given.kind == "openai" and not url.path:
            self._report.warn(place, "has no path: the base URL of most OpenAI-like servers ends in /v1")
        if route := next((end for end in _ROUTES if url.path.endswith(end)), None):
            self._report.warn(place, f"ends in {route}: the path of each request is put behind it; leave {route} out")
        local = is_local(url.hostname or "")
        if url.scheme == "http" and carries and not local:
            self._report.warn(place, "keys and headers travel unencrypted: use https")
        if not carries and not local:
            self._report.warn(at, "has no key")
        return text

    def _ca_bundle(self, place: Key, text: str | None, *, secure: bool) -> str | None:
        """Whom to trust besides the system's roots; `secure`: the provider is asked by TLS."""
        if text is None:
            return self._courtesy_bundle if secure else None
        path = self._folder / text
        if reason := self._fault(path):
            self._report.problem(place, f"{path} {reason}", "name a file of PEM certificates")
        return str(path)

    def _fault(self, path: Path) -> str:
        """Why it is no file of certificates. (A machine's roots take OpenSSL 30 ms: once is enough.)"""
        if path not in self._faults:
            try:
                ssl.create_default_context(cafile=path)
                self._faults[path] = ""
            except (ssl.SSLError, ValueError):
                self._faults[path] = "is no PEM file of certificates"
            except OSError as error:
                self._faults[path] = f"cannot be read: {error.strerror}"
        return self._faults[path]

    @cached_property
    def _courtesy_bundle(self) -> str | None:
        """What Python's HTTP clients are told to trust, on a machine whose TLS is inspected."""
        name = bundle(self._environ)
        if name is None:
            return None
        if self._fault(Path(self._environ[name])):
            self._report.warnings.append(
                f"environment: {name} names no PEM file of certificates and was not used: set ca_bundle")
            return None
        return str(Path(self._environ[name]).absolute())

    def _health_check(self, place: Key, given: HealthCheck | None) -> snapshot.HealthCheck | None:
        if given is None:
            return None
        if not _CHECK_PATH.fullmatch(given.path):
            short = isinstance(find(self._report.layers.data, place), str)
            self._report.problem(place if short else (*place, "path"), "is no path",
                                 "begin it with /; it is put behind base_url, e.g. /models")
        return snapshot.HealthCheck(**given.model_dump())

    def _proxy(self, place: Key, given: Provider, base_url: str) -> Secret | None:
        if given.proxy is not None:
            if given.proxy.get_secret_value() == "none":
                return None
            secret = self._secrets.get(given.proxy, place, plain=True)
            if secret is None:
                return None
            url = proxies.parse(secret.reveal())
            if url is not None and url.password is not None and "@" in given.proxy.get_secret_value():
                self._report.warn(place, "a password in plain text: use env:NAME or file:/path")
        else:
            name = proxies.variable(base_url, self._environ) if read_url(base_url) else None
            if name is None:
                return None
            secret, place = Secret(self._environ[name].strip()), (name,)
            url = proxies.parse(secret.reveal())
        if url is None:
            way_out = f"write {', '.join(proxies.SCHEMES)} as in socks5h://127.0.0.1:1080"
            if len(place) == 1:
                self._report.variable(str(place[0]), "is not the URL of a proxy", way_out)
            else:
                self._report.problem(place, "is not the URL of a proxy", way_out)
            return None
        return Secret(url.geturl())


def bundle(environ: Mapping[str, str]) -> str | None:
    """The variable that names more roots to trust, where there is one; SSL_CERT_FILE is OpenSSL's own affair."""
    return next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), None)


def first(*values: float | None) -> float:
    """The first one that is set."""
    return next(value for value in values if value is not None)


def asks_usage(given: Provider) -> bool:
    """Whether chat streams are asked for their tokens: OpenAI's own API knows the option, some servers refuse it."""
    if given.stream_usage is not None:
        return given.stream_usage
    url = read_url(given.base_url)
    return given.kind == "openai" and url is not None and url.hostname == "api.openai.com"


def read_url(text: str) -> SplitResult | None:
    """A URL over HTTP with a host and without credentials; None: it is none."""
    try:
        url = urlsplit(text)
        good = url.scheme in ("http", "https") and url.hostname and url.port != 0 and url.username is None
    except ValueError:
        return None
    visible = all("!" <= character <= "~" for character in text)
    return url if good and visible and "#" not in text else None


def is_local(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
