"""Files as both providers keep them, in memory: uploaded in multipart, listed, fetched, deleted.

Shapes: https://platform.openai.com/docs/api-reference/files, https://docs.anthropic.com/en/api/files-list.
"""

from __future__ import annotations

from typing import Any

import orjson

from edge.simulator.answer import Answer, Call
from edge.simulator.errors import failure
from edge.simulator.request import unique
from edge.simulator.uploads import File, parts

KEPT = 64       # files; the oldest goes first


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
