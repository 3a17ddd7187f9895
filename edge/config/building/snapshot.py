"""Settings of the right shape made into a Snapshot, with the checks that need more than one key."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge import store
from edge.config import keys
from edge.config.building import clients, list_prices, routing
from edge.config.building.cache import caching
from edge.config.building.catalogue import catalogue
from edge.config.building.contracts import check_members, contracts, flags
from edge.config.building.fallbacks import Fallbacks
from edge.config.building.headers import OURS, is_field_name
from edge.config.building.memory import share
from edge.config.building.observation import access_log, tracing
from edge.config.building.redis import redis
from edge.config.building.references import Secrets
from edge.config.building.upstreams import Upstreams
from edge.config.report import Report
from edge.config.sections.maximums import MAX_MODEL, MAX_PLAN, MAX_WORKERS
from edge.config.sections.settings import Settings
from edge.config.tree import ABSENT, find
from edge.store import places
from edge.strict_yaml import Path as Where
from edge.values.registry import Registry, RegistryFull
from edge.values.snapshot import (
    Bounds,
    Breaker,
    Key,
    Listing,
    Overload,
    Provider,
    Relay,
    Retry,
    Secret,
    Snapshot,
    StorePlace,
    Traits,
)
from edge.values.snapshot import Model as ServedModel

# Keys, ids that no two requests share, and what the gateway says itself (x-edge-* too).
_NOT_STICKY = OURS | {"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-request-id", "request-id",
                      "traceparent"}

# RFC 6454 6.1. (Not null, which any sandboxed page is.)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_USUAL_PORT = re.compile(r"\Ahttp:.*:80\Z|\Ahttps:.*:443\Z")


class Builder:
    """One configuration on its way to a Snapshot. `folder` is where relative paths begin."""

    def __init__(self, report: Report, folder: Path, environ: Mapping[str, str]) -> None:
        self.report = report
        self.folder = folder
        self.environ = environ
        self.secrets = Secrets(report, folder, environ)

    def key_secret(self, settings: Settings) -> Secret | None:
        """What keys the hashes."""
        secret = self.secrets.get(settings.key_secret, ("key_secret",)) if settings.key_secret else None
        if secret and not keys.MIN_SECRET <= len(secret.reveal().encode()) <= keys.MAX_SECRET:
            self.report.problem(("key_secret",), f"must be {keys.MIN_SECRET} to {keys.MAX_SECRET} bytes long",
                                "for example what `openssl rand -hex 32` prints")
            return None
        return secret

    def snapshot(self, settings: Settings, version: int) -> Snapshot:
        """The Snapshot; not to be used when the report holds problems."""
        secret = self.key_secret(settings)
        providers, models, relays, listed = self._upstream(settings)
        admin_addr, admin_port, admin_key = self._admin(settings)
        contract_files = tuple(str(self.folder / name) for name in settings.contract_files)
        bounds, limit, queue = settings.limits, settings.rate_limit, settings.queue
        workers = settings.workers or cores()
        if bounds.target_bytes > bounds.head_bytes:
            self.report.problem(("limits", "target_bytes"), "is more than limits.head_bytes", "lower it")
        if settings.proxy_protocol and not settings.trusted_proxies:
            self.report.problem(("proxy_protocol",), "has no trusted_proxies: nobody's word would count",
                                "set trusted_proxies to the networks of the proxies in front")
        own = clients.clients(self.report, settings.keys, self.secrets, secret)
        place = self._store(settings)
        self._stored(place, own)
        chosen, wording = contracts(self.report, settings.contract, contract_files)
        check_members(self.report, chosen, settings.anthropic_members)
        snapshot = Snapshot(
            version=version, port=settings.port,
            listen_addr=self._address(("listen_addr",), settings.listen_addr),
            workers=workers, admin_addr=admin_addr, admin_port=admin_port,
            providers=providers, models=models, catalogue=listed, relays=relays,
            keys=own, store=place,
            workspace=settings.workspace,
            limit=clients.limit(self.report, ("rate_limit",), limit.rate, limit.burst_size) if limit else None,
            minute=clients.minute(limit), concurrent_requests=clients.concurrent_requests(limit),
            model_limits=clients.model_limits(self.report, settings.model_limits, [model.name for model in models]),
            prices=clients.prices(self.report, settings.prices, [model.name for model in models]),
            list_prices=self._listed(settings, models), ledger_days=settings.points.ledger_days,
            worth=settings.points.worth, currency=settings.points.currency,
            redis=redis(self.report, settings.redis, self.secrets, self.folder),
            bounds=Bounds(**{**bounds.model_dump(), "memory_bytes": bounds.memory_bytes or share(workers)},
                          queue=queue.queue_size, queue_timeout=queue.timeout, keepalive=settings.keepalive),
            contracts=chosen, contract_files=contract_files, wording=wording,
            trusted_proxies=tuple(settings.trusted_proxies), proxy_protocol=settings.proxy_protocol,
            bearer_only=settings.bearer_only, flags=flags(settings), anthropic_members=settings.anthropic_members,
            tells_limits=settings.rate_limit_headers == "gateway",
            key_secret=secret, admin_key=admin_key,
            admin_tokens=clients.admin_tokens(self.report, settings.admin.tokens, self.secrets, admin_key),
            retry=Retry(**settings.retry.model_dump()),
            breaker=self._breaker(settings), overload=self._overload(settings), sticky=self._sticky(settings.sticky),
            cors=self._cors(settings.cors.origins),
            drain_timeout=settings.drain_timeout, debug=settings.debug,
            cache=caching(self.report, settings, workers, self.folder),
            access_log=access_log(self.report, settings.access_log, self.folder),
            tracing=tracing(self.report, settings.tracing, self.secrets),
            warnings=tuple(self.report.warnings), source=self._source(), read_at=time.time())
        if not self.report.problems:
            self._fits(snapshot)
        return snapshot

    def _listed(self, settings: Settings, models: Sequence[ServedModel]) -> tuple[Listing, ...]:
        """What providers ask for models that have no price of their own."""
        found = list_prices.list_prices(self.report, settings.points, settings.providers)
        list_prices.check(self.report, found, models, settings.prices)
        return found

    def _store(self, settings: Settings) -> StorePlace | None:
        """Where the store is."""
        if settings.store is None:
            return None
        given = settings.store.get_secret_value()
        open_ = places.is_url(given) and places.has_password(given)
        secret = self.secrets.get(settings.store, ("store",), plain=not open_)
        try:
            return None if secret is None else places.place(secret.reveal(), self.folder, settings.points.journals)
        except places.Wrong as wrong:
            self.report.problem(("store",), *wrong.args)
            return None

    def _stored(self, place: StorePlace | None, own: tuple[Key, ...]) -> None:
        """The store can be read, and none of its keys is one of the file's."""
        if place is None:
            for index, key in enumerate(own):
                if any(key.points):
                    self.report.problem(("keys", index), "may spend so many points, and there is no store that counts "
                                        "them", "set store: edge.db, for instance")
            return
        try:
            for index, name, id_ in store.clashes(place, own):
                if name == own[index].name:
                    self.report.problem(("keys", index, "name"), f"{name} is the name of {id_} in the store",
                                        f"rename this one, or before it stands here: edge keys delete {id_}")
                else:
                    self.report.problem(("keys", index), f"is the same key as {name} ({id_}) in the store",
                                        f"every client gets a key of its own; or first: edge keys delete {id_}")
        except store.Unavailable as error:
            self.report.problem(("store",), f"{place} cannot be used: {error}", "`edge store check` says more")

    def _fits(self, snapshot: Snapshot) -> None:
        """Whether the shared memory has room for all that is counted."""
        try:
            Registry().plan(snapshot)
        except RegistryFull as error:
            self.report.problem((error.section,), str(error), "leave some out, or use patterns for names")

    def _source(self) -> str:
        """What the configuration is, for people."""
        layers = self.report.layers
        return layers.source if layers.document is None else str(Path(layers.source).absolute())

    def _upstream(self, settings: Settings) -> tuple[
            tuple[Provider, ...], tuple[ServedModel, ...], tuple[Relay, ...], tuple[Traits, ...]]:
        report = self.report
        names = self._written("providers")
        make = Upstreams(report, self.secrets, self.folder, self.environ).make
        providers = tuple(make(name, given, settings.timeout) for name, given in settings.providers.items())
        if report.layers.data.get("providers") == {}:
            report.problem(("providers",), "is empty", "for example `openai: {key: env:OPENAI_API_KEY}`")
        by_name, served = {provider.name: provider for provider in providers}, routing.Served(providers)
        models = routing.models(report, settings.models, served, names) or routing.default_models(providers)
        listed = catalogue(report, settings.catalogue, models)
        models = Fallbacks(report, models, by_name, served, names, self._written("models")).expand(
            settings.fallback, listed)
        for model in models:
            if len(model.targets) > MAX_PLAN:
                report.problem(("models", model.name), f"has {len(model.targets)} targets, fallbacks included",
                               f"at most {MAX_PLAN} can be told apart")
            if any(len(name or "") > MAX_MODEL for name in (model.name, *(target.model for target in model.targets))):
                report.problem(("models", model.name), f"has a name of more than {MAX_MODEL} characters", "shorten it")
        relays = routing.relays(report, settings.routes, names)
        for name in routing.idle(providers, models, relays):
            report.warn(("providers", name), "no model and no route leads to it")
        return providers, models, relays, listed

    def _written(self, section: str) -> dict[str, None]:
        """The names in a section, in order, also of entries that are faulty."""
        entries = self.report.layers.data.get(section)
        return dict.fromkeys(str(name) for name in entries) if isinstance(entries, dict) else {}

    def _overload(self, settings: Settings) -> Overload:
        if settings.overload.disk and settings.store is None and settings.access_log is None:
            self.report.problem(("overload", "disk"), "is set, and nothing is written to a disk",
                                "set store or access_log, or leave it out")
        return Overload(**settings.overload.model_dump())

    def _breaker(self, settings: Settings) -> Breaker:
        given = settings.circuit_breaker
        if given.open_time > given.max_open_time:
            self.report.problem(("circuit_breaker", "open_time"), "is more than circuit_breaker.max_open_time",
                                "lower it, or raise max_open_time")
        return Breaker(**given.model_dump())

    def _cors(self, given: Sequence[str]) -> tuple[str, ...]:
        """Origins as browsers write them: in small letters, and nothing behind the host and port."""
        for index, origin in enumerate(given):
            usual = _USUAL_PORT.search(origin)
            if origin != "*" and (usual or not _ORIGIN.fullmatch(origin)):
                self.report.problem(("cors", "origins", index), "is no origin as browsers send it",
                                    "write scheme://host in small letters, a port if it is not the scheme's own, and "
                                    "nothing behind, e.g. https://app.example.com; or *")
        return tuple(given)

    def _sticky(self, given: str | None) -> str | None:
        """A header's name in small letters."""
        name = (given or "").lower()
        if given is not None and not is_field_name(name):
            self.report.problem(("sticky",), "is no name of a header", "use letters, digits and - (RFC 9110)")
        elif name in _NOT_STICKY or name.startswith("x-edge-"):
            self.report.problem(("sticky",), "does not tell one session from another",
                                "name a header that clients send with each request of a session, e.g. x-session-id")
        return name or None

    def _address(self, at: Where, text: str) -> str:
        if text == "localhost":
            return "127.0.0.1"
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            self.report.problem(at, "is no IP address",
                                "for example 127.0.0.1, or 0.0.0.0 for all; the port has a key of its own")
            return "127.0.0.1"

    def _admin(self, settings: Settings) -> tuple[str, int, Secret | None]:
        admin, port = settings.admin, admin_port(settings)
        address = self._address(("admin", "listen_addr"), admin.listen_addr)
        key = self.secrets.get(admin.key, ("admin", "key")) if admin.key else None
        if key is not None and clients.client_key_fault(self.report, ("admin", "key"), key):
            key = None
        keyless = not admin.tokens and find(self.report.layers.data, ("admin", "key")) is ABSENT
        if keyless and not ipaddress.ip_address(address).is_loopback:
            self.report.problem(("admin", "listen_addr"),
                                "is reachable from other hosts, and admin.key is not set",
                                "set admin.key, for example env:ADMIN_KEY, or admin.tokens, or listen on 127.0.0.1")
        if port > 65535:
            self.report.problem(("port",), "leaves no port above it for admin", "set admin.port")
        elif port and port == settings.port:
            self.report.problem(("admin", "port"), "is the data port", "choose another, or leave it out")
        return address, port, key


def admin_port(settings: Settings) -> int:
    """As set, or the data port's neighbour; beside a port chosen by the kernel, chosen likewise."""
    if settings.admin.port is not None:
        return settings.admin.port
    return settings.port + 1 if settings.port else 0


def cores() -> int:
    """The processors this process may use."""
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)
