"""How providers are reached: names resolved once in a while, addresses raced, proxies, TLS verified, keys sent."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from edge._fast import PHRASES
from edge.dialects.kinds import KEY_HEADERS
from edge.values.snapshot import Provider

# getaddrinfo tells no time to live, and goes through nsswitch as every other program of the host does. Half a
# minute is what providers' load balancers announce; a name that has resolved once outlives a resolver's failure.
DNS_SECONDS = 30.0
STALE_SECONDS = 3600.0
STAGGER_SECONDS = 0.25      # RFC 8305 section 8

# What a provider, its name or a proxy may cause (TLS's errors are OSErrors); `reason` has words for them.
FAILURES = (OSError, UnicodeError, ProxyError, ProxyConnectionError, ProxyTimeoutError)

# RFC 1928 section 6.
SOCKS_REPLIES = {1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
                 5: "connection refused", 6: "time to live expired", 7: "command not supported",
                 8: "address type not supported"}

VERSION = "anthropic-version"

Address = tuple[socket.AddressFamily, Any]


class Names:
    """Host names -> addresses, remembered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.known: dict[tuple[str, int], tuple[float, list[Address]]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Addresses in the order to try them. gaierror when there are none and never were."""
        with contextlib.suppress(ValueError):
            family = socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
            return [(family, (host, port))]
        resolved, addresses = self.known.get((host, port), (-STALE_SECONDS, []))
        age = time.monotonic() - resolved
        if addresses and age < DNS_SECONDS:
            return addresses
        try:
            found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror:
            if addresses and age < STALE_SECONDS:
                return addresses
            raise
        addresses = interleave([(family, address) for family, _, _, _, address in found])
        self.known[host, port] = (time.monotonic(), addresses)
        return addresses


def interleave(addresses: list[Address]) -> list[Address]:
    """Families in turn, the resolver's favourite first (RFC 8305 section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    second = [a for a in addresses if a[0] != addresses[0][0]]
    mixed = [a for pair in zip(first, second, strict=False) for a in pair]
    return mixed + first[len(second):] + second[len(first):]


class Reach:
    """What a process knows of the ways to providers: addresses of names, and contexts for TLS."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.names = Names(loop)
        self.contexts: dict[str | None, ssl.SSLContext] = {}

    async def open(self, provider: Provider, tls: Any) -> socket.socket:
        """The steps: address, perhaps a proxy, TCP, perhaps TLS with `tls` as its protocol. Raises one of FAILURES."""
        url = urlsplit(provider.base_url)
        host, port = url.hostname or "", port_of(url)
        if provider.proxy is not None:
            proxy = Proxy.from_url(provider.proxy.reveal().replace("socks5h://", "socks5://"), rdns=True)
            sock = await proxy.connect(host, port)
        else:
            sock = await race(self.loop, await self.names.resolve(host, port))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                await self.loop.create_connection(lambda: tls, sock=sock, ssl=self.context(provider.ca_bundle),
                                                  server_hostname=host)
        except BaseException:
            sock.close()
            raise
        return sock

    def context(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The system's roots (SSL_CERT_FILE and SSL_CERT_DIR heeded), and the operator's own beside them."""
        if ca_bundle not in self.contexts:
            if no_descriptor_left():            # OpenSSL would trust nobody, without a word
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            context = ssl.create_default_context()
            if ca_bundle is not None:
                context.load_verify_locations(ca_bundle)
            self.contexts[ca_bundle] = context
        return self.contexts[ca_bundle]

    def forget(self) -> None:
        """A reload: certificates and addresses are read anew."""
        self.contexts.clear()
        self.names.known.clear()


async def race(loop: asyncio.AbstractEventLoop, addresses: list[Address]) -> socket.socket:
    """Connects to the first address (of one or more) that answers, each started a moment later, or when one failed."""
    pending: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException | None = None
    waiting = list(addresses)
    try:
        while waiting or pending:
            if waiting:
                pending.add(loop.create_task(dial(loop, waiting.pop(0))))
            done, pending = await asyncio.wait(pending, timeout=STAGGER_SECONDS if waiting else None,
                                               return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    return task.result()
                failure = task.exception() or failure
    finally:
        for task in pending:
            task.add_done_callback(close_late)
            task.cancel()
    try:
        raise failure or OSError("no address")
    finally:
        # Its traceback holds this frame, and would keep all of it alive until the collector comes.
        del failure, done, task


def close_late(task: asyncio.Task[socket.socket]) -> None:
    """A connection that came after the race was won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def dial(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    """One TCP connection. OSError where it fails.

    Not loop.sock_connect: uvloop's starts threads for its getaddrinfo, and a process of one thread makes cheaper
    system calls (no reference counting of descriptors).
    """
    sock = socket.socket(address[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        error = sock.connect_ex(address[1])
        if error == errno.EINPROGRESS:
            writable = asyncio.Event()
            loop.add_writer(sock, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


def heads(provider: Provider, *, versioned: bool = False) -> tuple[bytes, ...]:
    """The fixed part of a request's head, once per provider key: from behind the target to the client's fields.

    With `versioned` it names a version where Anthropic's API wants one (400 without): no client's comes along.
    """
    parts = urlsplit(provider.base_url)
    # identity: usage is read in passing, and an answer that nobody can read cannot be judged either.
    lines = [" HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}", "accept-encoding: identity"]
    lines += [f"{name}: {value.reveal()}" for name, value in provider.headers]
    if versioned and provider.kind == "anthropic" and VERSION not in (name.lower() for name, _ in provider.headers):
        lines.append(f"{VERSION}: 2023-06-01")
    name = provider.key_header or KEY_HEADERS[provider.kind]
    scheme = "Bearer " if name.lower() == "authorization" else ""
    keyed = [[*lines, f"{name}: {scheme}{key.reveal()}"] for key in provider.keys] or [lines]
    return tuple("".join(line + "\r\n" for line in group).encode() for group in keyed)


def place(provider: Provider) -> tuple[bytes, bytes]:
    """The base URL's path, without a slash at its end, and its query from the question mark on; b"": it has none."""
    url = urlsplit(provider.base_url)
    return url.path.rstrip("/").encode(), f"?{url.query}".encode() if url.query else b""


def joined(target: bytes, query: bytes) -> bytes:
    """A request's target with its provider's query, whose names go before the target's own."""
    if not query:
        return target
    path, _, given = target.partition(b"?")
    names = _names(query[1:])
    return b"&".join([path + query, *(pair for pair in given.split(b"&") if pair and names.isdisjoint(_names(pair)))])


def _names(query: bytes) -> set[bytes]:
    """The names in a query as servers may read them: decoded, whatever their case, semicolons too between them."""
    return {unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).lower()
            for pair in query.replace(b";", b"&").split(b"&")}


def no_descriptor_left() -> bool:
    """Whether the process or the host has run out of them: a resolver's or a proxy's error does not say so."""
    try:
        os.close(os.dup(2))
    except OSError:
        return True
    return False


def port_of(url: SplitResult) -> int:
    """The URL's port, or its scheme's."""
    return url.port or (443 if url.scheme == "https" else 80)


def reason(error: BaseException) -> str:
    """A few stable words for a client and a log; never the exception's own text, which may name hosts."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # "Hostname mismatch, certificate is not valid for 'HOST'."
        return f"TLS failure: certificate verify failed: {error.verify_message.partition(', certificate is not')[0]}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failure: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror | UnicodeError):       # the latter: no name at all, by IDNA's rules
        return "DNS failure"
    if isinstance(error, ProxyError | ProxyConnectionError | ProxyTimeoutError):
        return f"Proxy failure: {proxy_reason(error)}"
    if isinstance(error, ConnectionRefusedError):
        return "Connection refused"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "Connection reset"
    known = isinstance(error, OSError) and error.errno in errno.errorcode
    return os.strerror(error.errno) if known else "Network unreachable"     # type: ignore[attr-defined]


def proxy_reason(error: BaseException) -> str:
    """What a proxy has said; a status of HTTP in the words of RFC 9110, not in its own."""
    if isinstance(error, ProxyTimeoutError):
        return "no answer in time"
    if isinstance(error, ProxyConnectionError):
        number = error.errno or 0
        return (os.strerror(number) if number in errno.errorcode else "cannot be reached").lower()
    code = getattr(error, "error_code", None) or 0
    if code in PHRASES:
        return f"it answered {code} {PHRASES[code]}"
    return SOCKS_REPLIES.get(code, "it does not speak as a proxy does, or refuses the login")
