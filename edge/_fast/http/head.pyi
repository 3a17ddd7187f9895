from typing import Literal, TypedDict, type_check_only

from typing_extensions import Buffer

@type_check_only
class _Head(TypedDict):
    size: int
    method: bytes
    method_id: int
    path: bytes
    query: bytes
    minor: int
    status: int
    keep_alive: bool
    chunked: bool
    content_length: int | None
    expect_continue: bool
    has_body: bool
    fields: list[tuple[bytes, bytes, bool]]
    known: dict[bytes, int]

class HeadError(ValueError):
    result: Literal["bad", "large", "target_long", "version", "coding", "more"]
    def __init__(self, result: str) -> None: ...

def request_head(data: Buffer, max_size: int = 65536, max_target: int = 8192) -> _Head | None: ...
def response_head(data: Buffer, max_size: int = 65536, to_head: bool = False) -> _Head | None: ...
def relayed(data: bytes, response: bool = False) -> bytes: ...
def parse_rounds(data: bytes, rounds: int, response: bool = False) -> int: ...
def relay_rounds(data: bytes, rounds: int) -> int: ...
