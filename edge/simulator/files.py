"""Files as both providers keep them, in memory: uploaded in multipart, listed, fetched, deleted.

Shapes: https://platform.openai.com/docs/api-reference/files, https://docs.anthropic.com/en/api/files-list.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import orjson

from edge.simulator.answer import Answer, Call, Dialect, unique
from edge.simulator.errors import failure

KEPT = 64       # files; the oldest goes first


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


def upload(call: Call) -> Answer:
    """POST /v1/files."""
    request = call.request
    found = {part.name: part for part in parts(request.header(b"content-type"), request.body)}
    if "file" not in found:
        anthropic = request.dialect == "anthropic"
        return failure(request, 400, "file: Field required" if anthropic else "'file' is a required property")
    purpose = found["purpose"].data.decode(errors="replace") if "purpose" in found else "user_data"
    file = File(unique("file", request), purpose, int(request.at), found["file"])
    call.files[file.id] = file
    if len(call.files) > KEPT:
        del call.files[next(iter(call.files))]
    return _json(file.show(request.dialect))


def listing(call: Call) -> Answer:
    """GET /v1/files."""
    dialect = call.request.dialect
    data = [file.show(dialect) for file in reversed(call.files.values())]
    page = {"data": data, "has_more": False, "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None}
    return _json(page if dialect == "anthropic" else {"object": "list", **page})


def fetch(call: Call) -> Answer:
    """GET /v1/files/ID and GET /v1/files/ID/content."""
    file = call.files.get(_id(call))
    if file is None:
        return _missing(call)
    if call.request.path.endswith("/content"):
        return Answer(body=file.part.data, content_type=b"application/octet-stream")
    return _json(file.show(call.request.dialect))


def delete(call: Call) -> Answer:
    """DELETE /v1/files/ID."""
    file = call.files.pop(_id(call), None)
    if file is None:
        return _missing(call)
    if call.request.dialect == "anthropic":
        return _json({"id": file.id, "type": "file_deleted"})
    return _json({"id": file.id, "object": "file", "deleted": True})


def _id(call: Call) -> str:
    return call.request.path.removeprefix("/v1/files/").removesuffix("/content")


def _missing(call: Call) -> Answer:
    if call.request.dialect == "anthropic":
        return failure(call.request, 404, f"File not found: {_id(call)}")
    return failure(call.request, 404, f"No such File object: {_id(call)}", param="id")


def _json(data: dict[str, Any]) -> Answer:
    return Answer(body=orjson.dumps(data))
