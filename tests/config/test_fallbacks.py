"""Fallbacks of the file: targets behind a model's own."""

from __future__ import annotations

from typing import Any

import pytest

from edge.values.snapshot import Snapshot, Target

BASE = """\
port: 1
listen_addr: 127.0.0.1
keys: [{name: a, key: env:KEY_A}]
providers:
  openai: {key: env:OPENAI_API_KEY}
  anthropic: {key: env:OPENAI_API_KEY}
  azure: {kind: openai, base_url: "http://127.0.0.1:1/v1"}
  local: {kind: openai, base_url: "http://127.0.0.1:2/v1", models: [qwen, "llama-*"]}
"""
MODELS = BASE + """\
models:
  fast: openai/gpt-5-mini
  smart: [openai/gpt-5.5, azure/gpt-5]
  shared: [{provider: openai, model: a, weight: 3, priority: 7}, {provider: azure, model: b, priority: 7}]
  claude: anthropic
  both: [openai/gpt-5, anthropic/opus]
  qwen: local
  "gpt-*": openai
  "alias-*": openai/gpt-5-mini
"""


def targets(snapshot: Snapshot, name: str) -> list[str]:
    """A model's targets as `priority provider/model`, best first."""
    [model] = [model for model in snapshot.models if model.name == name]
    return [f"{target.priority} {target.provider}/{target.model or ''}" for target in model.targets]


@pytest.mark.parametrize(("fallback", "name", "behind"), [
    ("{fast: smart}", "fast", ["1 openai/gpt-5.5", "2 azure/gpt-5"]),
    ("{fast: [azure/mini, smart]}", "fast", ["1 azure/mini", "2 openai/gpt-5.5", "3 azure/gpt-5"]),
    ("{fast: qwen}", "fast", ["1 local/qwen"]),                         # the other's name, as the client asked for fast
    ("{'gpt-*': azure}", "gpt-*", ["1 azure/"]),
    ("{'gpt-*': [fast]}", "gpt-*", ["1 openai/gpt-5-mini"]),
    ("{fast: 'alias-*'}", "fast", []),                                  # leads to what fast is
    ("{fast: shared}", "fast", ["8 openai/a", "8 azure/b"]),            # they share there too
    ("{fast: [azure/x, azure/x, openai/gpt-5-mini]}", "fast", ["1 azure/x"]),
    ("{fast: both}", "fast", ["1 openai/gpt-5"]),                       # as fast is not served to Anthropic's SDK
    ("{claude: both}", "claude", ["2 anthropic/opus"]),
    ("{both: [fast, claude]}", "both", ["2 openai/gpt-5-mini", "3 anthropic/claude"]),
    ("{fast: smart, smart: [azure/z]}", "fast", ["1 openai/gpt-5.5", "2 azure/gpt-5"]),     # no chains
])
def test_models_fall_back(config: Any, fallback: str, name: str, behind: list[str]) -> None:
    """Behind a model's own targets come those of its fallbacks, in order, in its dialects, each once."""
    own = targets(config.load(MODELS), name)
    loaded = config.load(MODELS + f"fallback: {fallback}\n")
    assert targets(loaded, name) == own + behind


def test_shares_stay(config: Any) -> None:
    """What shares load as a model shares it as a fallback."""
    [model] = [m for m in config.load(MODELS + "fallback: {fast: shared}\n").models if m.name == "fast"]
    assert model.targets[1:] == (Target("openai", "a", 8, 3), Target("azure", "b", 8, 1))


@pytest.mark.parametrize(("fallback", "expected"), [
    ("{openai: [azure]}", {"fast": ["1 azure/gpt-5-mini"], "gpt-*": ["1 azure/"], "both": ["2 azure/gpt-5"],
                           "smart": [], "claude": [], "qwen": []}),      # smart says already what azure is asked for
    ("{openai: azure/any}", {"fast": ["1 azure/any"], "gpt-*": ["1 azure/any"]}),
    ("{azure: openai/gpt-5.4}", {"smart": ["2 openai/gpt-5.4"], "fast": []}),
    ("{openai: [local, azure]}", {"fast": ["1 azure/gpt-5-mini"]}),     # local serves none of these
    ("{openai: local/qwen}", {"fast": ["1 local/qwen"]}),
    ("{openai: azure, azure: local/qwen}", {"fast": ["1 azure/gpt-5-mini"], "smart": ["2 local/qwen"]}),
    ("{fast: smart, openai: azure}", {"fast": ["1 azure/gpt-5-mini", "2 openai/gpt-5.5", "3 azure/gpt-5"]}),
])
def test_providers_fall_back(config: Any, fallback: str, expected: dict[str, list[str]]) -> None:
    """What is asked of a provider is asked of those behind it, by the same name where they give no other."""
    before, after = config.load(MODELS), config.load(MODELS + f"fallback: {fallback}\n")
    for name, behind in expected.items():
        assert targets(after, name) == targets(before, name) + behind


def test_providers_fall_back_without_models(config: Any) -> None:
    """Without models, a provider's fallbacks stand behind it for all that leads to it by default."""
    loaded = config.load(BASE + "fallback: {openai: azure}\n")
    assert targets(loaded, "*") == ["0 openai/", "1 anthropic/", "2 azure/"]
    assert not any("azure" in warning for warning in loaded.warnings)


@pytest.mark.parametrize(("fallback", "key", "said", "way_out"), [
    ("{fsat: smart}", "fallback.fsat", "there is no model and no provider fsat", "did you mean fast?"),
    ("{fast: smrat}", "fallback.fast[0]", "there is no model and no provider smrat", "did you mean smart?"),
    ("{fast: azur/x}", "fallback.fast[0]", "there is no provider azur", "did you mean azure?"),
    ("{fast: azure/}", "fallback.fast[0]", "there is no provider azure", "provider/model"),
    ("{fast: fast}", "fallback.fast[0]", "is what it stands in for", "remove it"),
    ("{fast: 'gpt-*'}", "fallback.fast[0]", "is a pattern", "name a provider"),
    ("{fast: [smart, local/x]}", "fallback.fast[1]", "local does not serve x", "providers.local.models"),
    ("{fast: claude}", "fallback.fast[0]", "speaks anthropic's dialect, and fast openai's", "not translated"),
    ("{openai: [azur]}", "fallback.openai[0]", "there is no provider azur", "did you mean azure?"),
    ("{openai: [fast]}", "fallback.openai[0]", "there is no provider fast", "there are: anthropic"),
    ("{openai: openai}", "fallback.openai[0]", "is what it stands in for", "remove it"),
    ("{openai: [azure, anthropic]}", "fallback.openai[1]", "speaks anthropic's dialect, and openai openai's", "not"),
    ("{openai: local/x}", "fallback.openai[0]", "local does not serve x", "providers.local.models"),
    ("{openai: [[azure]]}", "fallback.openai[0]", "must be text", "fallback"),
])
def test_wrong_fallbacks(config: Any, fallback: str, key: str, said: str, way_out: str) -> None:
    """A fallback that leads nowhere, or to another dialect, is an error at its place with a way out."""
    found = config.problem(MODELS + f"fallback: {fallback}\n")
    assert (found.place.line, found.key) == (18, key) and said in found.message and way_out in found.way_out


def test_a_model_named_like_a_provider(config: Any) -> None:
    """Of which of the two a fallback speaks is asked."""
    found = config.problem(BASE + "models: {azure: openai/x}\nfallback: {azure: openai}\n")
    assert found.message == "is a model and a provider"


def test_faulty_models_and_providers_are_told_once(config: Any) -> None:
    """A fallback of what is faulty elsewhere is no second error."""
    text = MODELS.replace("fast: openai/gpt-5-mini", "fast: 5")
    assert config.problem(text + "fallback: {smart: fast, fast: smart}\n").key == "models.fast[0]"
    text = MODELS.replace("  azure: {kind: openai, ", "  azure: {kind: opnai, ")
    assert config.problem(text + "fallback: {claude: smart, openai: azure}\n").key == "providers.azure.kind"
