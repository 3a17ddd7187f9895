"""What is written down of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import SecretStr

from edge.config.sections.base import Name, Share, Strict, Text, about


class AccessLog(Strict):
    """A line for each request."""

    path: Annotated[Text, about("the file; -: standard output", "/var/log/edge/access.log")]
    format: Annotated[Literal["json", "console"], about("lines for programs or for people", "json")] = "json"
    sample: Annotated[dict[str, Share], about(
        "shares of requests by how they end (ok, client_closed, a condition); of the others all", {"ok": 0.1})] = {}


class Tracing(Strict):
    """Spans of requests and their attempts, for a tracing backend."""

    endpoint: Annotated[Text, about(
        "where spans are sent, as OTLP in JSON over HTTP", "http://otel-collector.internal:4318/v1/traces")]
    share: Annotated[Share, about(
        "of the requests that went well at the first attempt; all others are told of", 0.01)] = 0.01
    service: Annotated[Name, about("what the backend calls the gateway (service.name)", "edge")] = "edge"
    headers: Annotated[dict[str, SecretStr], about("sent with all spans", {"x-api-key": "env:TRACING_KEY"})] = {}
