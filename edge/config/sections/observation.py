"""What is written down of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from edge.config.sections.base import Share, Strict, Text, about


class AccessLog(Strict):
    """A line for each request."""

    path: Annotated[Text, about("the file; -: standard output", "/var/log/edge/access.log")]
    format: Annotated[Literal["json", "console"], about("lines for programs or for people", "json")] = "json"
    sample: Annotated[dict[str, Share], about(
        "shares of requests by how they end (ok, client_closed, a condition); of the others all", {"ok": 0.1})] = {}
