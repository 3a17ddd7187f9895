"""Fields that an operator has every request to a server carry."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import SecretStr

from edge.config.building.references import Secrets
from edge.config.report import Report
from edge.config.sections.maximums import MAX_FIELD_NAME, MAX_HEADERS
from edge.strict_yaml import Path as Key
from edge.values.snapshot import Secret

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")    # RFC 9110, 5.6.2
# What the gateway itself writes into each request, and what belongs to one connection (RFC 9110, 7.6.1).
OURS = frozenset({"host", "accept-encoding", "x-request-id", "content-length", "transfer-encoding", "connection",
                  "keep-alive", "te", "trailer", "upgrade", "expect", "proxy-connection", "proxy-authorization"})
SECRET_NAME = re.compile(r"authorization|key|token|secret|cookie", re.IGNORECASE)


def is_field_name(name: str) -> bool:
    """Whether a header may be called so."""
    return len(name) <= MAX_FIELD_NAME and _FIELD_NAME.fullmatch(name) is not None


def is_free(report: Report, place: Key, name: str) -> bool:
    """Whether a configuration may set a header of this name."""
    if not is_field_name(name):
        report.problem(place, "is no name of a header", "use letters, digits and - (RFC 9110)")
    elif name.lower() in OURS:
        report.problem(place, "is written by the gateway itself", "remove it")
    else:
        return True
    return False


def headers(report: Report, secrets: Secrets, at: Key, given: Mapping[str, SecretStr],
            ) -> tuple[tuple[str, Secret], ...]:
    """Names and values. What is called like a secret must be a reference."""
    found: dict[str, tuple[str, Secret]] = {}
    for name, text in given.items():
        place = (*at, name)
        if not is_free(report, place, name):
            continue
        if name.lower() in found:
            report.problem(place, "is there twice: names of headers have no case", "remove one")
        elif (value := secrets.get(text, place, plain=not SECRET_NAME.search(name))) is not None:
            if value.reveal().isascii():
                found[name.lower()] = name, value
            else:
                report.problem(place, "holds a character beyond ASCII", "check what was pasted")
    size = sum(len(name) + len(value.reveal()) + len(": \r\n") for name, value in found.values())
    if size > MAX_HEADERS:
        report.problem(at, f"are {size} bytes long", f"{MAX_HEADERS} are the most")
    return tuple(found.values())
