"""Control's own port."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from edge.config.sections.base import Name, Port, Strict, Text, about
from edge.values.snapshot import AdminScope

MOST = 100


class Token(Strict):
    """Who may use the admin port, and for what."""

    name: Annotated[Name, about("what the audit calls it", "alice")]
    token: Annotated[SecretStr, about("a reference to the token", "env:ALICE_TOKEN")]
    scope: Annotated[AdminScope, about("viewer reads, operator changes keys and circuits, owner does all", "viewer")]


class Admin(Strict):
    """Control's own port: metrics and the admin API."""

    listen_addr: Annotated[Text, about("an IP address", "127.0.0.1")] = "127.0.0.1"
    port: Annotated[Port | None, about("the data port + 1 unless set", 8767)] = None
    key: Annotated[SecretStr | None, about(
        "lets an owner in; it, or tokens, is needed when the address is not loopback", "env:ADMIN_KEY")] = None
    tokens: Annotated[list[Token], Field(max_length=MOST), about(
        "who else may come, by name and scope", [{"name": "alice", "token": "env:ALICE_TOKEN", "scope": "operator"}])
        ] = []
