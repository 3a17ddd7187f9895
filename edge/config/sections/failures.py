"""What happens when a provider fails: further attempts, and targets that are left alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from edge.config.sections.base import Count, Few, Period, Seconds, Share, Strict, about
from edge.values import snapshot

_RETRY = snapshot.Retry()
_BREAKER = snapshot.Breaker()


def _backoff(value: object) -> object:
    """TokenPak's `exponential` is what ours always is."""
    return _RETRY.backoff if value == "exponential" else value


Backoff = Annotated[float, Field(ge=0, le=30, allow_inf_nan=False), BeforeValidator(_backoff), WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0, "maximum": 30}, {"const": "exponential"}]})]


class Retry(Strict):
    """Further attempts at a request of which the client has seen no byte."""

    max: Annotated[int, Field(ge=0, le=10), about("for one request; 0: none", 3)] = _RETRY.max
    backoff: Annotated[Backoff, about(
        "seconds before the first at the same target; doubles, give or take half, up to 30", 1)] = _RETRY.backoff
    max_wait: Annotated[Seconds, about("seconds that all pauses of a request may take together", 2)] = _RETRY.max_wait
    budget: Annotated[Share, about("share of all requests that may be further attempts", 0.1)] = _RETRY.budget


class CircuitBreaker(Strict):
    """When a target is left alone, and how it comes back. TokenPak's has `enabled` alone."""

    enabled: Annotated[bool, about("whether it is on", True)] = _BREAKER.enabled
    failures: Annotated[Few, about("failures one after the other that open it", 5)] = _BREAKER.failures
    failure_rate: Annotated[float, Field(ge=0.01, le=1, allow_inf_nan=False), about(
        "share of failures within `window` that opens it", 0.5)] = _BREAKER.failure_rate
    minimum: Annotated[Count, about("attempts within `window` below which no share is taken", 20)] = _BREAKER.minimum
    window: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False), about(
        "seconds over which the share is taken", 10)] = _BREAKER.window
    open_time: Annotated[Period, about(
        "seconds until the first probe; doubles each time it opens anew", 5)] = _BREAKER.open_time
    max_open_time: Annotated[Period, about("seconds to which open_time doubles", 60)] = _BREAKER.max_open_time
    ramp: Annotated[Seconds, about(
        "seconds from closed again to its whole share, where there are other targets", 10)] = _BREAKER.ramp
    all_open: Annotated[Literal["pass", "refuse"], about(
        "when no target is left: try all the same (pass), or answer 503 at once (refuse)", "pass")] = _BREAKER.all_open
