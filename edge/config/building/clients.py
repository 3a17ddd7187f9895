"""Client keys and limits of the file made into those of the snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from edge._fast import KINDS_OF_LIMITS
from edge.config import keys
from edge.config.building import patterns
from edge.config.building.references import Secrets
from edge.config.report import Report
from edge.config.sections.admin import Token
from edge.config.sections.keys import AnyLimit, ClientKey, KeyRateLimit
from edge.config.sections.maximums import MAX_KEYS
from edge.config.sections.points import Prices
from edge.config.tree import find
from edge.dialects.routes import NAMES, RELAY
from edge.store.keys import PRIORITIES, moment
from edge.strict_yaml import Path
from edge.values import hours, points, snapshot
from edge.values.hours import Hours
from edge.values.snapshot import AdminToken, Limit, Minute, ModelLimit, Secret

# The settings of a minute, by what they count. (The one limit besides is of what is there at once.)
MINUTES = {kind: f"{kind}_per_minute" for kind in KINDS_OF_LIMITS if kind != "concurrent_requests"}

# A bucket's word counts nanoseconds in 63 bits (slab.pxd); a year leaves ample room and is beyond any use.
_LONGEST_REFILL = 365 * 86400


def clients(report: Report, given: Sequence[ClientKey], secrets: Secrets,
            key_secret: Secret | None) -> tuple[snapshot.Key, ...]:
    """The file's keys. Two of the same name or with the same key are a problem."""
    made: list[snapshot.Key] = []
    names: dict[str, int] = {}
    digests: dict[bytes, str] = {}
    if len(given) > MAX_KEYS:
        report.problem(("keys",), f"has {len(given)} keys", f"at most {MAX_KEYS} fit")
    for index, item in enumerate(given):
        at: Path = ("keys", index)
        if names.setdefault(item.name, index) != index:
            report.problem((*at, "name"), f"{item.name} is the name of keys[{names[item.name]}] too",
                           "rename one")
        digest = _digest(report, at, item, secrets, key_secret)
        if digest is not None and digests.setdefault(digest, item.name) != item.name:
            report.problem(at, f"is the same key as {digests[digest]}", "every client gets a key of its own")
        for setting in ("models", "denied_models"):
            for position, pattern in enumerate(getattr(item, setting)):
                patterns.check(report, (*at, setting, position), pattern)
        if item.disabled and item.state not in (None, "disabled"):
            report.problem((*at, "state"), f"is {item.state}, and disabled: true stands beside it", "remove one")
        for position, scope in enumerate(item.scopes):
            if scope not in NAMES:
                report.problem((*at, "scopes", position), f"there is no scope {scope}",
                               report.suggest(scope, NAMES))
        if (item.models or item.denied_models) and RELAY in item.scopes:
            report.warn((*at, "scopes"), "let it pass its models: a relayed request whose model cannot be read (files, "
                        "batches, what is stored) may be for any")
        made.append(snapshot.Key(
            name=item.name, digest=digest or b"", limit=_limit(report, (*at, "rate_limit"), item.rate_limit),
            minute=minute(item.rate_limit), concurrent_requests=concurrent_requests(item.rate_limit),
            state=item.state or ("disabled" if item.disabled else "active"),
            expires=_expires(report, (*at, "expires"), item.expires), hours=_hours(report, (*at, "hours"), item.hours),
            allowed_addresses=tuple(item.allowed_addresses), denied_addresses=tuple(item.denied_addresses),
            models=tuple(item.models), denied_models=tuple(item.denied_models),
            scopes=tuple(item.scopes), priority=PRIORITIES.index(item.priority), cache=item.cache,
            points=points.parts(item.model_dump(include=set(points.SETTINGS)))))
    return tuple(made)


def limit(report: Report, at: Path, rate: float, burst: int) -> Limit | None:
    """A token bucket that refills within a year; None for rate 0: no limit."""
    if rate and burst / rate > _LONGEST_REFILL:
        report.problem(at, "takes more than a year to refill",
                       "raise requests_per_second, or lower burst_size")
    return Limit(rate, burst) if rate else None


def minute(given: AnyLimit | None) -> Minute:
    """What a minute may use."""
    if given is None:
        return Minute()
    units = ((kind, getattr(given, setting)) for kind, setting in MINUTES.items())
    return Minute(tuple((kind, most) for kind, most in units if most), given.shadow, given.outage)


def concurrent_requests(given: AnyLimit | None) -> int:
    """How many requests at once; 0: any number."""
    return (given and given.concurrent_requests) or 0


def model_limits(report: Report, given: Mapping[str, KeyRateLimit], models: Collection[str]) -> tuple[ModelLimit, ...]:
    """Limits of models. A name that is not written so under `models` is a problem: it would limit nobody."""
    for name in given:
        if name not in models:
            report.problem(("model_limits", name), f"there is no model {name}", report.suggest(name, models))
    return tuple(ModelLimit(name, _limit(report, ("model_limits", name), limits), minute(limits),
                            concurrent_requests(limits))
                 for name, limits in given.items() if name in models)


def prices(report: Report, given: Mapping[str, Prices], models: Collection[str]) -> tuple[snapshot.Prices, ...]:
    """Prices of models, which must be written so under `models`: a name of nobody's would cost nobody anything."""
    for name in given:
        if name not in models:
            report.problem(("prices", name), f"there is no model {name}", report.suggest(name, models))
    return tuple(snapshot.Prices(name, each.input, each.input if each.cached_input is None else each.cached_input,
                                 each.output, each.request, each.most_output, each.cache_hit)
                 for name, each in given.items() if name in models)


def client_key_fault(report: Report, at: Path, key: Secret) -> bool:
    """Whether a key is unusable as one; the report then says why."""
    fault = keys.fault(key.reveal())
    if fault:
        report.problem(at, fault, "edge auth --generate makes a good one")
    return fault is not None


def admin_tokens(report: Report, given: Sequence[Token], secrets: Secrets,
                 key: Secret | None) -> tuple[AdminToken, ...]:
    """Who may use the admin port. Two of the same name or with the same token are a problem."""
    made: list[AdminToken] = []
    for index, item in enumerate(given):
        at: Path = ("admin", "tokens", index)
        secret = secrets.get(item.token, (*at, "token"))
        if secret is None or client_key_fault(report, (*at, "token"), secret):
            continue
        if any(item.name == other.name for other in made):
            report.problem((*at, "name"), f"{item.name} is the name of another token", "rename one")
        if secret == key or any(secret == other.secret for other in made):
            report.problem((*at, "token"), "is the same as another one, or as admin.key",
                           "each of them gets one of its own")
        made.append(AdminToken(item.name, secret, item.scope))
    return tuple(made)


def _digest(report: Report, at: Path, item: ClientKey, secrets: Secrets,
            key_secret: Secret | None) -> bytes | None:
    if (item.key is None) == (item.hash is None):
        report.problem(at, "needs one of key and hash", "edge auth --generate prints a hash to paste")
        return None
    if item.hash is not None:
        return bytes.fromhex(item.hash.removeprefix("blake2b:"))
    assert item.key is not None
    key = secrets.get(item.key, (*at, "key"))
    if key is None or client_key_fault(report, (*at, "key"), key):
        return None
    return keys.digest(key.reveal(), key_secret)


def _limit(report: Report, at: Path, given: KeyRateLimit | None) -> Limit | None:
    """A burst is one of requests per second, and a limit without any number would limit nobody."""
    if given is None:
        return None
    written = find(report.layers.data, at)
    others = {"concurrent_requests", *MINUTES.values()} & set(written)
    if "requests_per_second" not in written and ("burst_size" in written or not others):
        report.problem(at, "has no requests_per_second", "set it (0: no limit), or another limit alone")
    return limit(report, at, given.requests_per_second, given.burst)


def _hours(report: Report, at: Path, given: Sequence[str]) -> tuple[Hours, ...]:
    made = []
    for position, text in enumerate(given):
        try:
            made.append(hours.read(text))
        except ValueError as error:
            report.problem((*at, position), str(error), "for example mon-fri 08:00-18:00 Europe/Berlin")
    return tuple(made)


def _expires(report: Report, at: Path, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return moment(text)
    except (ValueError, OverflowError):
        report.problem(at, "is no ISO date or time", "for example 2027-01-31 or 2027-01-31T12:00:00Z")
        return None
