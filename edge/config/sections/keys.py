"""The keys that clients present, and limits of requests and tokens: each key's, the models' and the gateway's."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from edge.config.sections.base import Burst, Count, Name, Network, Rate, Strict, Text, about
from edge.config.sections.points import Quota
from edge.values.snapshot import KeyState, Outage

Hash = Annotated[str, Field(pattern=r"^blake2b:[0-9a-f]{64}$")]


class AnyLimit(Strict):
    """What all have. Tokens are reserved when a request comes, and settled by what its answer used."""

    requests_per_minute: Annotated[Count | None, about("requests per minute, all at once at most", 600)] = None
    tokens_per_minute: Annotated[Count | None, about("tokens per minute, input and output", 100000)] = None
    input_tokens_per_minute: Annotated[Count | None, about("tokens per minute of requests", 80000)] = None
    output_tokens_per_minute: Annotated[Count | None, about("tokens per minute of answers", 20000)] = None
    concurrent_requests: Annotated[Count | None, about("requests at once; a stream is one until its end", 20)] = None
    shadow: Annotated[bool, about("refuse nothing, and count what would be refused", True)] = False
    outage: Annotated[Outage | None, about(
        "while Redis does not answer: the host's share, refuse all, or none; redis.outage unless set", "closed")] = None


class RateLimit(AnyLimit):
    """The gateway's own limit. A number of requests per second that is left out is TokenPak's."""

    requests_per_second: Annotated[
        Rate | None, about("requests per second, 0 for no limit; 100 unless there are other limits", 100)] = None
    burst_size: Annotated[Burst, about("requests that may come at once", 500)] = 500

    @property
    def rate(self) -> float:
        """As set. Who limits something else alone has not asked for TokenPak's 100 requests per second."""
        if self.requests_per_second is not None:
            return self.requests_per_second
        return 100.0 if "burst_size" in self.model_fields_set or not self.model_fields_set - {"shadow"} else 0.0


class KeyRateLimit(AnyLimit):
    """One key's limit, or one model's."""

    requests_per_second: Annotated[Rate, about("requests per second, 0 for no limit", 10)] = 0.0
    burst_size: Annotated[
        Burst | None, about("requests that may come at once; one second's worth unless set", 20)] = None

    @property
    def burst(self) -> int:
        """As set, or one second's worth."""
        return self.burst_size or max(1, math.ceil(self.requests_per_second))


class ClientKey(Strict):
    """A key that clients present."""

    name: Annotated[Name, about("what logs and metrics call it: up to 64 letters, digits, . - _", "team-a")]
    key: Annotated[SecretStr | None, about("a reference to the key", "env:TEAM_A_KEY")] = None
    hash: Annotated[Hash | None, about("what `edge auth` prints", "blake2b:<64 hexadecimal digits>")] = None
    rate_limit: Annotated[
        KeyRateLimit | None, about("the key's own limit", {"requests_per_second": 10})] = None
    disabled: Annotated[bool, about("refuse it; short for `state: disabled`", True)] = False
    state: Annotated[KeyState | None, about(
        "refuse it, and say why: disabled, frozen, revoked, suspended, exhausted or pending; active unless set",
        "frozen")] = None
    expires: Annotated[str | None, about(
        "ISO date or time, UTC unless it says otherwise; a date alone means its first second",
        "2027-01-31T12:00:00Z")] = None
    hours: Annotated[list[Text], about(
        "when it may be used, in UTC unless a time zone is named; empty: always",
        ["mon-fri 08:00-18:00 Europe/Berlin", "sat 10:00-14:00"])] = []
    allowed_addresses: Annotated[list[Network], about(
        "networks of the clients that may use it; empty: all", ["203.0.113.0/24", "2001:db8::/32"])] = []
    denied_addresses: Annotated[list[Network], about(
        "networks of clients that may not", ["203.0.113.66"])] = []
    models: Annotated[list[Text], about("patterns of the models it may use; empty: all", ["gpt-*"])] = []
    denied_models: Annotated[list[Text], about("patterns of those that it may not, of all these", ["gpt-*-pro"])] = []
    scopes: Annotated[list[Text], about("routes it may use; empty: all", ["chat", "models"])] = []
    cache: Annotated[bool, about(
        "its requests may be answered from the response cache (cache_max_size)", True)] = False
    points: Annotated[Quota | None, about("points that it may spend in all, of its account's", 1000)] = None
    points_per_month: Annotated[Quota | None, about("points that it may spend in a month, of UTC", 500)] = None
    points_per_day: Annotated[Quota | None, about("points that it may spend in a day", 50)] = None
    points_per_hour: Annotated[Quota | None, about("points that it may spend in an hour", 10)] = None
    priority: Annotated[Literal["high", "normal", "low"], about(
        "who waits for whom when there is not enough for all", "high")] = "normal"
