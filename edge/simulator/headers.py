"""The headers that each provider adds to every answer: its names, the request's id, its rate limits."""

from __future__ import annotations

import math
import time
from functools import lru_cache

from edge.simulator.request import Request

# The names are those that the providers send; the figures stay the same, as nothing is limited here.
OPENAI = (
    b"openai-organization: org-simulated\r\nopenai-processing-ms: %d\r\nopenai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n"
    b"x-ratelimit-remaining-requests: %d\r\nx-ratelimit-remaining-tokens: 1999900\r\n"
    b"x-ratelimit-reset-requests: %s\r\nx-ratelimit-reset-tokens: 3ms\r\nx-request-id: %s\r\n")
ANTHROPIC_LIMITS = ((b"requests", 4000, 3999), (b"tokens", 480000, 479900),
                    (b"input-tokens", 400000, 399920), (b"output-tokens", 80000, 79980))


def own_headers(request: Request, latency: float, limit_reset: float | None) -> bytes:
    """The lines, each with its end. With `limit_reset` no request is left, and some are again in so many seconds."""
    name = request.id.encode()
    if request.dialect == "anthropic":
        reset = 0 if limit_reset is None else math.ceil(request.at + limit_reset)
        return _anthropic(int(request.at), reset) + b"request-id: %s\r\n" % name
    left, again = (9999, b"6ms") if limit_reset is None else (0, duration(limit_reset))
    return OPENAI % (int(latency * 1000) + 1, left, again, name)


def duration(seconds: float) -> bytes:
    """A time as OpenAI writes it, which is Go's way: 120ms, 1s, 7.66s, 6m0s, 1h0m0s."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return (f"{hours}h{text}" if hours else text).encode()


@lru_cache(maxsize=2)
def _anthropic(second: int, spent_until: int) -> bytes:
    """With `spent_until`, a Unix time, no request is left."""
    lines = [b"anthropic-organization-id: 00000000-0000-4000-8000-000000000000\r\n"]
    for kind, limit, left in ANTHROPIC_LIMITS:
        spent = spent_until if kind == b"requests" else 0
        reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(spent or second + 1)).encode()
        for name, value in ((b"limit", b"%d" % limit), (b"remaining", b"%d" % (0 if spent else left)),
                            (b"reset", reset)):
            lines.append(b"anthropic-ratelimit-%b-%b: %b\r\n" % (kind, name, value))
    return b"".join(lines)
