"""GET /v1/models for both SDKs: what the catalogue names, or what a provider says where it names nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.simulator import Simulator

VERSION = {"anthropic-version": "2023-06-01"}
LISTER, CHATTER = "sk-lister-0123456789abcdef", "sk-chatter-0123456789abcdef"


def bare(simulator: Simulator, **changes: Any) -> Gateway:
    """A gateway in which every name goes to a provider."""
    config = configuration(simulator.url, **changes)
    config["keys"] += [{"name": name, "key": f"env:{name.upper()}", "scopes": [scope]}
                       for name, scope in (("lister", "models"), ("chatter", "chat"))]
    return Gateway(config, environ={"LISTER": LISTER, "CHATTER": CHATTER})


@pytest.fixture(scope="module")
def unnamed(running: Simulator) -> Iterator[Gateway]:
    """One without `models`, in front of both kinds of providers."""
    with bare(running) as gateway:
        yield gateway


def sdks(url: str, key: str = KEY) -> tuple[openai.OpenAI, anthropic.Anthropic]:
    """Both SDKs."""
    return (openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0),
            anthropic.Anthropic(base_url=url, api_key=key, max_retries=0))


def listed(client: Any) -> list[str]:
    """The ids that an SDK lists."""
    return [model.id for model in client.models.list()]


def test_older_sdks_of_anthropic(gateway: Gateway) -> None:
    """The key is taken as x-api-key from Anthropic's SDK, which says its version, and from nobody else."""
    found = httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": KEY, **VERSION})
    assert found.status_code == 200 and found.json()["first_id"] == "alias"
    refused = httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": KEY})
    assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"


def test_unknown_models_are_told_in_the_askers_dialect(gateway: Gateway) -> None:
    """A 404 is of the SDK that asks, and names the model without the query."""
    with gateway.client() as client:
        error = client.get("/v1/models/org/none?a=b").json()["error"]
        assert "`org/none`" in error["message"] and error["code"] == "model_not_found"
        told = client.get("/v1/models/none", headers=VERSION).json()
        assert (told["type"], told["error"]["type"]) == ("error", "not_found_error")


def test_keys_see_the_models_that_they_may_use(gateway: Gateway) -> None:
    """A key for some models lists and finds those alone, in both shapes."""
    limited = {"name": "limited", "key": "env:LISTER", "models": ["alias", "only-o*"]}
    config = json.loads(gateway.file.read_bytes())
    config["keys"].append(limited)
    with Gateway(config, environ={**gateway.environ, "LISTER": LISTER}) as own:
        for client, error in zip(sdks(own.url, LISTER), (openai.NotFoundError, anthropic.NotFoundError), strict=True):
            assert listed(client) == ["alias", "only-openai"]
            assert client.models.retrieve("alias").id == "alias"
            with pytest.raises(error):
                client.models.retrieve("only-anthropic")


def test_providers_list_what_the_catalogue_does_not_name(unnamed: Gateway, running: Simulator) -> None:
    """Where every name goes to a provider, each SDK gets its provider's list and models, counted as such."""
    direct = sdks(running.url)
    for provider, client, original in zip(("openai", "anthropic"), sdks(unnamed.url), direct, strict=True):
        counted = {"route": "models", "provider": provider, "status": "200"}
        before = unnamed.metric("edge_requests_total", **counted)
        names = listed(client)
        assert names == listed(original) and names
        assert client.models.retrieve(names[0]) == original.models.retrieve(names[0])
        assert unnamed.metric("edge_requests_total", **counted) == before + 2


def test_scope_of_relayed_lists(unnamed: Gateway) -> None:
    """A key for models alone may list them, another may not."""
    client, _ = sdks(unnamed.url, LISTER)
    assert listed(client)
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="gpt-4o", messages=[])
    client, _ = sdks(unnamed.url, CHATTER)
    with pytest.raises(openai.PermissionDeniedError):
        listed(client)


def test_a_provider_of_one_kind(running: Simulator) -> None:
    """Patterns name no model: OpenAI's SDK gets the provider's list, Anthropic's an empty one, having no provider."""
    provider = {"kind": "openai", "base_url": f"{running.url}/v1", "key": "env:PROVIDER_KEY"}
    with bare(running, providers={"only": provider}, models={"gpt-*": "only"}) as gateway:
        ours, theirs = sdks(gateway.url)
        assert "gpt-4o" in listed(ours) and listed(theirs) == []
        with pytest.raises(anthropic.NotFoundError):
            theirs.models.retrieve("gpt-4o")
