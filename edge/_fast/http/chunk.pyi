from collections.abc import Iterable

from typing_extensions import Buffer

class ChunkError(ValueError): ...

def decode_chunked(pieces: Iterable[Buffer]) -> tuple[bytes, bytes, bool]: ...
