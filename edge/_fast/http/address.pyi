"""Types of address.pyx for Python."""

from collections.abc import Iterable

from typing_extensions import disjoint_base

@disjoint_base
class Networks:
    """Networks of addresses, by CIDR; `in` tells whether an address, as text, is in one of them."""

    def __init__(self, networks: Iterable[str]) -> None: ...
    def __contains__(self, address: str, /) -> bool: ...

def client_behind(peer: str, head: bytes, trusted: Networks) -> str | None: ...
def proxy_header(data: bytes) -> tuple[int, str | None]: ...
