"""What hosts share their limits through."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from edge.config.sections.base import Seconds, Strict, Text, about
from edge.values import snapshot
from edge.values.snapshot import Outage

_REDIS = snapshot.Redis("redis", ())


class Redis(Strict):
    """One server, or what sentinels or a cluster say is one."""

    url: Annotated[Text, about(
        "redis://HOST:PORT/DATABASE, redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DATABASE or "
        "redis+cluster://HOST:PORT,HOST:PORT; rediss for TLS", "redis://redis.internal:6379")]
    username: Annotated[Text | None, about("of an ACL; the default user unless set", "edge")] = None
    password: Annotated[SecretStr | None, about("a reference to it", "env:REDIS_PASSWORD")] = None
    ca_bundle: Annotated[Text | None, about(
        "PEM file of the roots that its TLS is checked with", "redis-ca.pem")] = None
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"), about(
        "of all keys; one for each fleet", "edge")] = _REDIS.prefix
    tick: Annotated[float, Field(ge=0.01, le=0.5, allow_inf_nan=False), about(
        "seconds between two calls", 0.05)] = _REDIS.tick
    patience: Annotated[float, Field(ge=0, le=0.1, allow_inf_nan=False), about(
        "seconds that a request may wait for one", 0.005)] = _REDIS.patience
    outage: Annotated[Outage, about(
        "what limits do while it does not answer: the host's share (share), refuse all (closed), or none (open)",
        "share")] = _REDIS.outage
    grace: Annotated[Seconds, about(
        "seconds from its last answer until closed and open begin; the host's share until then", 1)] = _REDIS.grace
