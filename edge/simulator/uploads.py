"""What clients upload: the parts of a form (multipart), and the files that are made of them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from edge.simulator.request import Dialect


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart body; `filename` is None for a plain field."""

    name: str
    filename: str | None
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file."""

    id: str
    purpose: str
    created: int
    part: Part

    def show(self, dialect: Dialect) -> dict[str, Any]:
        """The file's object, as its provider gives it."""
        part = self.part
        if dialect == "anthropic":
            created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created))
            return {"id": self.id, "type": "file", "filename": part.filename, "mime_type": part.content_type,
                    "size_bytes": len(part.data), "created_at": created, "downloadable": False}
        return {"id": self.id, "object": "file", "bytes": len(part.data), "created_at": self.created,
                "filename": part.filename, "purpose": self.purpose, "status": "processed"}


def parts(content_type: str | None, body: bytes) -> list[Part]:
    """The parts of a multipart body (RFC 7578); none when it is not one."""
    found = re.search(r'boundary="?([^";]+)', content_type or "")
    if found is None:
        return []
    result = []
    for piece in (b"\r\n" + body).split(b"\r\n--" + found[1].encode())[1:]:
        head, blank, data = piece.partition(b"\r\n\r\n")
        text = head.decode(errors="replace")
        name = re.search(r'\bname="([^"]*)"', text)
        if not blank or name is None:
            continue
        filename = re.search(r'filename="([^"]*)"', text)
        kind = re.search(r"(?i)content-type:\s*(\S+)", text)
        result.append(Part(name[1], filename[1] if filename else None,
                           kind[1] if kind else "application/octet-stream", data))
    return result
