"""Connections through a proxy, and what it says where there is none."""

from __future__ import annotations

import errno
import os
import socket

from edge._fast import PHRASES

# RFC 1928 section 6.
SOCKS_REPLIES = {1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
                 5: "connection refused", 6: "time to live expired", 7: "command not supported",
                 8: "address type not supported"}


class ProxyFailure(OSError):
    """There is no connection, and the text says why, in a few stable words."""


async def through(url: str, host: str, port: int) -> socket.socket:
    """A connection to a host, whose name the proxy resolves. Raises ProxyFailure, or another OSError."""
    # Where nobody goes through a proxy, no process has the library in its memory (0.4 MB).
    import python_socks
    from python_socks.async_.asyncio import Proxy
    proxy = Proxy.from_url(url.replace("socks5h://", "socks5://"), rdns=True)
    try:
        return await proxy.connect(host, port)
    except python_socks.ProxyTimeoutError:
        raise ProxyFailure("no answer in time") from None
    except python_socks.ProxyConnectionError as error:
        number = error.errno or 0
        words = os.strerror(number) if number in errno.errorcode else "cannot be reached"
        raise ProxyFailure(words.lower()) from None
    except python_socks.ProxyError as error:
        raise ProxyFailure(_words(getattr(error, "error_code", None) or 0)) from None


def _words(code: int) -> str:
    """What a proxy has said; a status of HTTP in the words of RFC 9110, not in its own."""
    if code in PHRASES:
        return f"it answered {code} {PHRASES[code]}"
    return SOCKS_REPLIES.get(code, "it does not speak as a proxy does, or refuses the login")
