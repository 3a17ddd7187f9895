"""Snapshot -> the tables that the data plane looks things up in. Runs once per worker and version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from edge import _fast, contract
from edge.config.keys import digest
from edge.dialects import paths, unserved
from edge.dialects.capabilities import CAPABILITIES, lacking
from edge.dialects.kinds import KINDS, Kind
from edge.dialects.routes import (
    ASKED,
    MODELS,
    NAMES,
    OWN,
    REFERRED,
    RELAY,
    RELAYED,
    RELAYED_CAPABILITIES,
    ROUTES,
    Route,
    says_model,
)
from edge.dialects.surfaces import SURFACES, VERSIONS, Surface
from edge.net.requests import heads, joined, place
from edge.values import cache, directory
from edge.values.catalogue import finder
from edge.values.hours import closed
from edge.values.parties import name
from edge.values.patterns import covers, matcher
from edge.values.registry import Limited, Registry, owners
from edge.values.snapshot import (
    AccessLog,
    Bounds,
    Breaker,
    Key,
    Model,
    Prices,
    Provider,
    Retry,
    Snapshot,
    Target,
    Traits,
)
from edge.worker import codings
from edge.worker.notes import Notes

# Of requests that end so the log hears always, or of some in a second: what account.pxi calls Report.
SPARSE, ALWAYS = 1, 2
REPORTED = {"upstream": ALWAYS, "edge": ALWAYS, "client": SPARSE, "tenant": SPARSE}
# Which models a key may use; None: all.
Allows = Callable[[str], bool] | None
# Answers of the gateway's own routes: (the surface that asks, request target, the key's models, its name) -> (status,
# JSON; None: no such model).
Answer = Callable[[Kind, bytes, Allows, str], tuple[int, bytes | None]]
MAX_TOKENS = 4096       # of an answer to /v1/messages, unless asked for
OPEN = frozenset({"health", "livez", "readyz"})


@dataclass(frozen=True, slots=True)
class Tables:
    """What `Gateway.load` takes over, whole. `leading` is what the pools get: provider, heads, targets of each."""

    version: int
    bounds: Bounds
    routes: dict[bytes, Any]
    prefixes: tuple[tuple[bytes, Any], ...]
    models: dict[bytes, Any]
    resolve: Callable[[bytes], Any]
    policy: Callable[[bytes], Any]
    limits: Any
    digest: Callable[[bytes], bytes]
    surfaces: tuple[Any, ...]
    workspace: str | None
    owned: frozenset[bytes]
    bearer_only: bool
    proxies: Any
    proxy_protocol: bool
    notes: Notes
    reported: dict[int, int]
    logged: dict[int, int]
    traced: float | None
    labels: tuple[bytes, ...]
    pools: dict[str, Any]
    leading: tuple[tuple[Any, Provider, tuple[bytes, ...], tuple[Any, ...]], ...]
    retry: Retry
    breaker: Breaker
    sticky: str | None
    cors: frozenset[bytes] | None
    patience: float
    ring: Callable[[], None]
    books: Callable[[], Any]
    cache: Any
    cache_ttl: int
    store: bytes
    priced: bool
    worth: int
    currency: bytes
    decoded: Callable[[str, memoryview], Iterator[bytes]] = codings.decoded
    cache_owner: Callable[[bytes, tuple[int, str] | None], str] = cache.owner
    cache_name: Callable[[str, str, bytes, bytes, Any], bytes] = cache.name
    joined: Callable[[bytes, bytes], bytes] = joined
    classify: Callable[[int, bytes], contract.Verdict] = contract.classify
    details: Callable[[bytes], contract.Details] = contract.details
    ending: Callable[..., bytes] = contract.ending
    begun: Callable[..., contract.Begun] = contract.Begun
    wait_ms: Callable[[Mapping[bytes, bytes], float], int | None] = contract.wait_ms
    named: Callable[[bytes], bytes | None] = paths.named
    is_plain: Callable[[bytes, bool], bool] = paths.is_plain
    says_model: Callable[[str], bool] = says_model
    interface: Callable[[bytes], str | None] = unserved.interface
    capabilities: tuple[str, ...] = CAPABILITIES

    @property
    def known(self) -> list[bytes]:
        """The paths that a client may have meant with one that there is not."""
        exact = [path for path, route in self.routes.items() if route.name not in OPEN]
        return exact + [prefix.rstrip(b"/") for prefix, _ in self.prefixes]


def reported(*, debug: bool) -> dict[int, int]:
    """What the log hears of, by condition."""
    blames = contract.blames()
    return {condition: ALWAYS if debug else REPORTED.get(blames.get(condition.name, ""), 0)
            for condition in _fast.Condition}


def logged(log: AccessLog | None) -> dict[int, int]:
    """Of requests that end so the access log has this share of 2**32, the whole being one less."""
    if log is None:
        return {}
    shares = dict(log.sample)
    return {condition: min(int(shares.get(condition.name, 1.0) * 2**32), 2**32 - 1) for condition in _fast.Condition}


def labels() -> tuple[bytes, ...]:
    """By condition what a line says of it: members of a JSON object."""
    blames = contract.blames()
    names = {int(condition): condition.name for condition in _fast.Condition}
    return tuple(b'"condition":"%b","blame":%b' % (names[number].encode(), orjson.dumps(blames.get(names[number])))
                 if number in names else b"" for number in range(max(names) + 1))


def allows(key: Key) -> Callable[[str], bool] | None:
    """Whether the key may use a model, by its name; None: all.

    What is denied is denied in whatever letters: Azure and Ollama take GPT-5 for gpt-5.
    """
    if not key.denied_models:
        return matcher(key.models) if key.models else None
    wanted, denied = matcher(key.models or ("*",)), matcher(map(str.casefold, key.denied_models))
    return lambda name: wanted(name) and not denied(name.strip().casefold())


def outage(snapshot: Snapshot, limited: Limited) -> str | None:
    """What limits do while Redis does not answer; None: hosts share nothing."""
    return (limited.minute.outage or snapshot.redis.outage) if snapshot.redis is not None else None


def policy(snapshot: Snapshot, text: bytes) -> Any:
    """What keys of the directory have in common, of its text there: scopes, models, hours and limits."""
    key = directory.policy(text)
    scopes = sum(1 << index for index, name in enumerate(NAMES) if not key.scopes or name in key.scopes)
    takes = tuple((number, kind, most) for number, kind, most, _ in directory.numbers(key))
    return _fast.Policy(key, takes, outage(snapshot, key), scopes, allows(key),
                        partial(closed, key.hours) if key.hours else None)


class Compiler:
    """Makes the tables of one worker; connections to providers that did not change are kept."""

    def __init__(self, gateway: Any, slab: Any, ring: Callable[[], None] = lambda: None,
                 books: Callable[[], Any] = lambda: None, cache: Any = None) -> None:
        self.gateway = gateway
        self.slab = slab
        self.ring = ring
        self.books = books
        self.cache = cache

    def compile(self, snapshot: Snapshot, registry: Registry, own: dict[str, Answer], notes: Notes) -> Tables:
        """All of it, or an exception. Nothing of the running version is touched: that is for `Gateway.load`."""
        pools = {provider.name: self.pool(provider, registry) for provider in snapshot.providers}
        kinds = {provider.name: provider.kind for provider in snapshot.providers}
        targets = Targets(registry, pools)
        limits = {owner: self.limits(snapshot, registry, owner, limited) for owner, limited in owners(snapshot)}
        traits = finder(snapshot.catalogue)
        price = pricer(snapshot)
        models = [(model, _fast.Model(model.name, targets.by_kind(model, kinds), limits.get(f"model:{model.name}"),
                                      price(model, model.name))) for model in snapshot.models]
        surfaces = {surface.name: compiled_surface(surface, snapshot) for surface in SURFACES}
        routes, prefixes = self.routes(snapshot, targets, registry, own, surfaces)
        owned = frozenset(name.lower().encode() for provider in snapshot.providers
                          for name in (provider.key_header, *dict(provider.headers)) if name)
        versioned = any(name.encode() in owned for name, _ in VERSIONS.values())
        return Tables(
            version=snapshot.version, leading=tuple(
                (pools[provider.name], provider, heads(provider, versioned=versioned),
                 tuple(targets.made.get(provider.name, ())))
                for provider in snapshot.providers),
            bounds=snapshot.bounds, routes=routes, prefixes=prefixes,
            models={model.name.encode(): compiled.with_traits(*said(traits(model.name))) for model, compiled in models
                    if "*" not in model.name},
            resolve=resolver([each for each in models if "*" in each[0].name], traits, price),
            policy=partial(policy, snapshot),
            limits=limits["gateway"],
            digest=partial(digest, secret=snapshot.key_secret),
            workspace=snapshot.workspace and name("workspace", snapshot.workspace),
            surfaces=tuple(surfaces.values()), owned=owned, bearer_only=snapshot.bearer_only,
            proxies=_fast.Networks(snapshot.trusted_proxies), proxy_protocol=snapshot.proxy_protocol,
            notes=notes, pools=pools, retry=snapshot.retry,
            breaker=snapshot.breaker, sticky=snapshot.sticky,
            books=self.books, cache=self.cache if snapshot.cache is not None else None,
            cache_ttl=snapshot.cache.ttl if snapshot.cache is not None else 0,
            store=str(snapshot.store or "").encode(), priced=bool(snapshot.prices or snapshot.list_prices),
            worth=snapshot.worth, currency=snapshot.currency.encode(),
            patience=snapshot.redis.patience if snapshot.redis is not None else 0.0, ring=self.ring,
            cors=frozenset(origin.encode() for origin in snapshot.cors) if snapshot.cors else None,
            reported=reported(debug=snapshot.debug), logged=logged(snapshot.access_log), labels=labels(),
            traced=snapshot.tracing.share if snapshot.tracing is not None else None)

    def pool(self, provider: Provider, registry: Registry) -> Any:
        """The running pool where its connections still lead to the same place, else a new one."""
        running = self.gateway.pools.get(provider.name)
        if running is not None and all(getattr(running.provider, name) == getattr(provider, name)
                                       for name in ("base_url", "kind", "ca_bundle", "proxy")):
            return running
        base, query = place(provider)
        strip = len("/v1") if base.endswith(b"/v1") or provider.kind == "openai" else 0
        return _fast.Pool(self.gateway, provider, base + query, strip, heads(provider), registry.pool(provider.name))

    def limits(self, snapshot: Snapshot, registry: Registry, owner: str, limited: Limited) -> Any:
        """What an owner's requests take from."""
        return _fast.Limits(self.slab, registry.takes(owner, limited), limited.minute.shadow,
                            outage(snapshot, limited))

    @staticmethod
    def routes(snapshot: Snapshot, targets: Targets, registry: Registry, own: dict[str, Answer],
               surfaces: Mapping[Kind, Any]) -> tuple[dict[bytes, Any], tuple[Any, ...]]:
        """Exact paths, and prefixes in the order in which they are tried: the operator's own come first."""
        exact: dict[bytes, Any] = {}
        kinds = {provider.name: provider.kind for provider in snapshot.providers}
        first: dict[str, str] = {kind: name for name, kind in reversed(kinds.items())}
        makers = targets.of_kinds(kinds)
        for route in (lenient(snapshot, route) for route in ROUTES):
            compiled = compiled_route(route, surfaces).bind(registry.series(route.name, "", ""))
            if route.surface in makers and any(rule.role in ("refers", "keeps", "forgets") for rule in route.fields):
                compiled.share(())
            exact[route.path.encode()] = compiled
        for route in OWN:
            if route is not MODELS:
                exact[route.path.encode()] = compiled_route(route, surfaces).bind(
                    registry.series(route.name, "", ""), None, own[route.name], route.name in OPEN)
        named = any("*" not in model.name for model in snapshot.models)
        models = listing({} if named else first, targets, registry, own[MODELS.name], surfaces)
        exact[MODELS.path.encode()] = models
        prefixes = [(f"{MODELS.path}/".encode(), models)]
        relayed = [(relay.path, relay.provider, True) for relay in snapshot.relays]
        relayed += [(path, first[kind], False) for path, kind in RELAYED if kind in first]
        for path, provider, pinned in relayed:
            others = makers.get(kinds[provider])
            fields = ASKED + REFERRED if others and not pinned else ASKED
            route = Route(RELAY, "*", path, kinds[provider], json=False, fields=fields,
                          capability=None if pinned else RELAYED_CAPABILITIES.get(path))
            compiled = compiled_route(route, surfaces).bind(registry.series(RELAY, "", ""), targets.of_relay(provider),
                                                  pinned=pinned)
            if others:
                compiled.share(others)
            if path.endswith("*"):
                prefixes.append((path[:-1].encode(), compiled))
            elif pinned or not any(path.encode().startswith(prefix) for prefix, _ in prefixes):
                exact.setdefault(path.encode(), compiled)
        return exact, tuple(prefixes)


@dataclass(slots=True)
class Targets:
    """Makes the targets of one version, and notes which of them lead to each pool."""

    registry: Registry
    pools: dict[str, Any]
    made: dict[str, list[Any]] = field(default_factory=dict)

    def of_model(self, target: Target, model: str) -> Any:
        """A target of a model, which may be a pattern."""
        name = None if target.model is None else orjson.dumps(target.model)
        index = self.registry.target(target.provider, target.model or model)
        made = self._target(target.provider, name, model)
        return made.place(f"{target.provider}/{target.model or model}", index, target.priority, target.weight)

    def by_kind(self, model: Model, kinds: Mapping[str, str]) -> dict[Any, Any]:
        """A model's targets, by surface and priority: a provider serves the dialect that it speaks."""
        ordered = sorted(model.targets, key=lambda target: target.priority)
        return {kind: tuple(self.of_model(target, model.name) for target in ordered if kinds[target.provider] == kind)
                for kind in KINDS}

    def of_relay(self, provider: str) -> Any:
        """The target of a provider's relayed paths."""
        return self._target(provider, None, "").place(provider, self.registry.target(provider, ""), 0, 1)

    def of_kinds(self, kinds: Mapping[str, str]) -> dict[str, tuple[Any, ...]]:
        """The same of all providers of a kind, where there are several."""
        found: dict[str, list[str]] = {}
        for provider, kind in kinds.items():
            found.setdefault(kind, []).append(provider)
        return {kind: tuple(map(self.of_relay, names)) for kind, names in found.items() if len(names) > 1}

    def _target(self, provider: str, name: bytes | None, model: str) -> Any:
        series = [self.registry.series(route, provider, model) for route in NAMES]
        made = _fast.Target(self.pools[provider], name, series)
        self.made.setdefault(provider, []).append(made)
        return made


def listing(first: Mapping[str, str], targets: Targets, registry: Registry, own: Answer,
            surfaces: Mapping[Kind, Any]) -> Any:
    """The route of the models, for both SDKs: answered here, or by the first provider of that SDK's kind."""
    route = None
    for surface in reversed(SURFACES):
        answers = {"target": targets.of_relay(first[surface.name])} if surface.name in first else {"own": own}
        route = compiled_route(replace(MODELS, surface=surface.name), surfaces).bind(
            registry.series(MODELS.name, "", ""), other=route, **answers)
    return route


def lenient(snapshot: Snapshot, route: Route) -> Route:
    """The route. Where the contract is TokenPak's, whose example has none, a message's max_tokens has a default."""
    if dict(snapshot.contracts)[route.surface] != "tokenpak":
        return route
    return replace(route, fields=tuple(
        replace(rule, required=False, default=MAX_TOKENS) if rule.name == "max_tokens" and rule.required else rule
        for rule in route.fields))


def compiled_surface(surface: Surface, snapshot: Snapshot) -> Any:
    """A client's dialect with the contract of its errors."""
    templates = contract.compile_surface(dict(snapshot.wording)[surface.name], surface.name, flags=snapshot.flags,
                                         shape=None if snapshot.anthropic_members else SURFACES[0].name)
    return _fast.Surface(surface, templates, dict(snapshot.contracts)[surface.name] == surface.name,
                         snapshot.tells_limits)


def compiled_route(route: Route, surfaces: Mapping[Kind, Any]) -> Any:
    """The route as the data plane knows it."""
    return _fast.Route(route, NAMES.index(route.name), surfaces[route.surface])


def resolver(patterns: list[tuple[Model, Any]], traits: Callable[[str], Traits],
             price: Callable[[Model, str], Any]) -> Callable[[bytes], Any]:
    """Finds the first pattern that fits a name, as the model that the catalogue says it is; None where none does."""
    made: dict[tuple[str, str, Any], Any] = {}

    def resolve(name: bytes) -> Any:
        text = name.decode("utf-8", "replace")
        model, compiled = next(((model, each) for model, each in patterns if covers(model.name, text)), (None, None))
        if model is None or compiled is None:
            return None
        found, prices = traits(text), price(model, text)
        place = model.name, found.name, prices
        if place not in made:
            made[place] = compiled.with_traits(*said(found), prices)
        return made[place]
    return resolve


def pricer(snapshot: Snapshot) -> Callable[[Model, str], Any]:
    """What a model costs under a name: what the operator says, else the most that any of its targets may, by the list
    of what its provider asks. None: nothing is known."""
    own = {each.model: _fast.Prices(each) for each in snapshot.prices}
    lists = {each.provider: each.prices for each in snapshot.list_prices}
    made: dict[Prices, Any] = {}

    def price(model: Model, name: str) -> Any:
        rows = [next((row for row in lists.get(target.provider, ()) if covers(row.model, target.model or name)), None)
                for target in model.targets] if model.name not in own else []
        known = [row for row in rows if row is not None]
        if not known:
            return own.get(model.name)
        most = Prices("", *(max(getattr(row, part) for row in known)
                            for part in ("input", "cached_input", "output", "request")))
        return made.setdefault(most, _fast.Prices(most))
    return price


def said(traits: Traits) -> tuple[str, bool, int]:
    """What the data plane is told: as what the catalogue has it, whether it is off, and what it lacks."""
    return traits.name, not traits.enabled, lacking(traits.capabilities)
