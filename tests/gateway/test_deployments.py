"""Azure's paths of deployments, and keys that may use some models: what stands in a body is read, or is not let in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.gateway.test_intent import FORM, HELD, Stage, form


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all of these tests."""
    with ExitStack() as stack:
        yield Stage(stack)


FORBIDDEN = json.dumps({"model": "sim-forbidden", "prompt": "p"}).encode()
LONG = form(('"model"', "sim-forbidden", ""), ('"x"', b"y" * (2 * HELD), ""))


@pytest.mark.parametrize("path", ["/openai/deployments/sim-ok/images/generations", "/v1/images/generations",
                                  "/openai/deployments/sim-ok/audio/transcriptions", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(("method", "content_type", "body"), [
    ("POST", "text/plain", FORBIDDEN), ("POST", "application/x-www-form-urlencoded", b"model=sim-forbidden"),
    ("POST", None, FORBIDDEN), ("POST", "multipart/form-data; boundary=a; boundary=b", FORBIDDEN),
    ("POST", FORM, LONG), ("PUT", "application/json", FORBIDDEN), ("PATCH", "application/json", FORBIDDEN)])
def test_bodies_that_nobody_reads(stage: Stage, path: str, method: str, content_type: str | None, body: bytes) -> None:
    """A body that cannot be read is not let in for a key that may use some models, whatever the path says of one."""
    found, seen = stage.ask(body, path=path, method=method, content_type=content_type, key="some")
    assert (found.status, found.fields["x-edge-condition"], seen) == (403, "scope_missing", None)
    found, seen = stage.ask(body, path=path, method=method, content_type=content_type, key="scoped")
    assert found.status in (200, 404, 502) and seen is not None


@pytest.mark.parametrize("name", ['"models"', '"models[]"', '"models[0]"', "models", '"Models"'])
def test_a_form_that_names_more_models(stage: Stage, name: str) -> None:
    """A form's field for more models than one is none for a key that may use some."""
    body = form(('"model"', "sim-ok", ""), (name, "sim-forbidden", ""))
    found, seen = stage.ask(body, path="/v1/images/edits", content_type=FORM, key="some")
    assert (found.status, found.fields["x-edge-condition"], seen) == (403, "model_denied", None)
    assert stage.ask(body, path="/v1/images/edits", content_type=FORM)[1] is not None
