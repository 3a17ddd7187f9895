"""What may go wrong on the way to a provider, in a few stable words."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from edge.net.proxy import ProxyFailure

# What a provider, its name or a proxy may cause (TLS's and a proxy's errors are OSErrors).
FAILURES = (OSError, UnicodeError)


def reason(error: BaseException) -> str:
    """A few stable words for a client and a log; never the exception's own text, which may name hosts."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # "Hostname mismatch, certificate is not valid for 'HOST'."
        return f"TLS failure: certificate verify failed: {error.verify_message.partition(', certificate is not')[0]}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failure: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror | UnicodeError):       # the latter: no name at all, by IDNA's rules
        return "DNS failure"
    if isinstance(error, ProxyFailure):
        return f"Proxy failure: {error}"
    if isinstance(error, ConnectionRefusedError):
        return "Connection refused"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "Connection reset"
    known = isinstance(error, OSError) and error.errno in errno.errorcode
    return os.strerror(error.errno) if known else "Network unreachable"     # type: ignore[attr-defined]


def no_descriptor_left() -> bool:
    """Whether the process or the host has run out of them: a resolver's or a proxy's error does not say so."""
    try:
        os.close(os.dup(2))
    except OSError:
        return True
    return False
