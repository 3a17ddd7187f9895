"""Types of multipart.pyx for Python."""

from collections.abc import Iterable

from typing_extensions import disjoint_base

@disjoint_base
class Form:
    """One body. `boundary` is its Content-Type's."""

    def __init__(self, boundary: bytes) -> None: ...

def boundary_of(content_type: bytes) -> bytes | None: ...
def names_model(query: bytes) -> bytes | None: ...
def model_span(data: bytes, boundary: bytes, cuts: Iterable[int] = ()) -> tuple[int, int] | None: ...
