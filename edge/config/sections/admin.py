"""Control's own port."""

from __future__ import annotations

from typing import Annotated

from pydantic import SecretStr

from edge.config.sections.base import Port, Strict, Text, about


class Admin(Strict):
    """Control's own port: metrics and the admin API."""

    listen_addr: Annotated[Text, about("an IP address", "127.0.0.1")] = "127.0.0.1"
    port: Annotated[Port | None, about("the data port + 1 unless set", 8767)] = None
    key: Annotated[SecretStr | None, about("needed when the address is not loopback", "env:ADMIN_KEY")] = None
