"""Connections through a proxy, and what it says where there is none."""

from __future__ import annotations

import errno
import os
import socket

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from edge._fast import PHRASES

PROXY_FAILURES = (ProxyError, ProxyConnectionError, ProxyTimeoutError)

# RFC 1928 section 6.
SOCKS_REPLIES = {1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
                 5: "connection refused", 6: "time to live expired", 7: "command not supported",
                 8: "address type not supported"}


async def through(url: str, host: str, port: int) -> socket.socket:
    """A connection to a host, whose name the proxy resolves. Raises one of PROXY_FAILURES, or OSError."""
    proxy = Proxy.from_url(url.replace("socks5h://", "socks5://"), rdns=True)
    return await proxy.connect(host, port)


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
