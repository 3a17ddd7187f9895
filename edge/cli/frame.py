"""What `edge top` shows: two looks at a gateway as lines, what happened between them as rates."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from edge import contract
from edge.cli.lifecycle import lasting
from edge.cli.screen import Line, clip, width
from edge.values.printable import printable

Stats = dict[str, Any]
Row = tuple[str, tuple[str, ...]]       # a style and the cells

LATE_SECONDS = 3.0          # a worker whose event loop has not turned for longer is told
NARROW = 8                  # columns that a text keeps when the terminal has too few
WELL = {"ok", "client_closed"}
OURS = {"upstream", "edge"}     # whose fault a failure is; the others are refusals


@dataclass(frozen=True, slots=True)
class Look:
    """What a gateway has said: when, by a clock that runs evenly; GET /admin/status, /stats, /admin/requests."""

    at: float
    url: str
    status: Stats
    stats: Stats
    requests: list[Stats]


@dataclass(frozen=True, slots=True)
class Section:
    """A table: its first `texts` columns are text, the others figures. `rows` begin with the one that matters most."""

    head: tuple[str, ...]
    rows: list[Row]
    texts: int = 1


@dataclass(slots=True)
class Traffic:
    """Of one model at one provider, or of all: what ended between two looks, and what is there now."""

    in_flight: int = 0
    ended: Counter[str] = field(default_factory=Counter)        # by condition
    tokens: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[int]] = field(default_factory=dict)

    def add(self, series: Stats, news: Stats) -> None:
        """A series, and what is new of it."""
        self.in_flight += series["in_flight"]
        for outcome, count in news["requests"].items():
            self.ended[condition(outcome)] += count
        self.tokens.update(news["tokens"])
        for name, counts in news["seconds"].items():
            had = self.seconds.get(name, [0] * len(counts))
            self.seconds[name] = [one + other for one, other in zip(had, counts, strict=True)]

    def count(self, wanted: Callable[[str], bool]) -> int:
        """Requests that ended in a condition that is wanted."""
        return sum(count for name, count in self.ended.items() if wanted(name))


@dataclass(frozen=True, slots=True)
class Change:
    """Two looks: `news` are the counts of `now.stats` less those of before, whole where there was no look before."""

    now: Look
    news: Stats
    seconds: float | None

    @classmethod
    def between(cls, before: Look | None, now: Look) -> Change:
        """Of two looks at one run of the gateway."""
        if before is None:
            return cls(now, keyed(now.stats), None)
        return cls(now, since(keyed(now.stats), keyed(before.stats)), now.at - before.at)

    def rate(self, count: float) -> str:
        """So many since the look before as a number a second."""
        if self.seconds is None:
            return "-"
        return brief(count / max(self.seconds, 0.001))

    def time(self, traffic: Traffic, name: str, share: float) -> str:
        """The time that this share of the requests stayed under."""
        counts = traffic.seconds.get(name, [])
        found = quantile(self.now.stats["bounds"][name], counts, share) if self.seconds is not None else None
        return "-" if found is None else moment(found)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """By model and provider; requests that had neither are of `-`."""
        found: dict[tuple[str, str], Traffic] = {}
        for series in self.now.stats["series"]:
            place = series["model"] or "-", series["provider"] or "-"
            found.setdefault(place, Traffic()).add(series, self.news["series"][labels(series)])
        return found


def frame(before: Look | None, now: Look, size: tuple[int, int] | None) -> list[Line]:
    """All lines; `size` are the columns and lines that there is room for, None: room for everything."""
    change = Change.between(before, now)
    traffic = change.traffic()
    every = Traffic()
    for series in now.stats["series"]:
        every.add(series, change.news["series"][labels(series)])
    lines = [*head(change), *summary(change, every)]
    sections = [each for each in (models(change, traffic), providers(change), targets(change), limits(change),
                                  conditions(change, every), last(change)) if each.rows]
    columns = None if size is None else size[0]
    room = None if size is None else size[1] - len(lines) - len(sections)
    for section, rows in zip(sections, shares([len(each.rows) for each in sections], room), strict=True):
        lines += [("", "")] * (size is None)
        lines += table(section, rows, columns)
    return lines


# The top

def head(change: Change) -> Iterator[Line]:
    """Which gateway it is, and what is wrong with its processes."""
    status = change.now.status
    state = "draining" if status["draining"] else "serving"
    yield "head", (f"edge {printable(status['version'])} at {change.now.url}, {state} for "
                   f"{lasting(status['uptime'])}, configuration {status['config']['version']}    "
                   f"{time.strftime('%H:%M:%S')}")
    for worker in status["workers"]:
        age = worker["heartbeat_age"]
        if age is None or age > LATE_SECONDS:
            how = "has not begun" if age is None else f"stands still for {age:.0f} s"
            yield "bad", f"worker {worker['worker']} {how}"


def summary(change: Change, every: Traffic) -> Iterator[Line]:
    """All requests in two lines."""
    rate, new = change.rate, change.news["workers"]
    opened = sum(worker["upstream_connections"] for worker in change.now.stats["workers"])
    again = sum(worker["retries"] + worker["fallbacks"] for worker in new.values())
    yield "", (f"requests {rate(every.ended.total())}/s, failed {rate(every.count(failed))}/s, refused "
               f"{rate(every.count(refused))}/s, retried {rate(again)}/s; {every.in_flight} in flight, "
               f"{change.now.status['connections']} clients, {opened} connections to providers")
    times = "; ".join(f"{words} {change.time(every, name, 0.5)}, {change.time(every, name, 0.99)}" for words, name in (
        ("p50 and p99 in all", "total"), ("to the first byte", "first_byte"), ("our own", "overhead")))
    yield "", (f"{times}; tokens {rate(every.tokens['input'])}/s in, {rate(every.tokens['output'])}/s out")


# The tables

def models(change: Change, traffic: dict[tuple[str, str], Traffic]) -> Section:
    """What is asked for, the busiest first."""
    busiest = sorted(traffic.items(), key=lambda each: (-each[1].in_flight - each[1].ended.total(), each[0]))
    head = "model", "provider", "req/s", "failed/s", "refused/s", "in flight", "first p50", "p50", "p99", "tok/s"
    return Section(head, [
        ("bad" if change.seconds is not None and each.count(failed) else "",
         (*map(printable, place), change.rate(each.ended.total()), change.rate(each.count(failed)),
          change.rate(each.count(refused)), str(each.in_flight), change.time(each, "first_byte", 0.5),
          change.time(each, "total", 0.5), change.time(each, "total", 0.99), change.rate(each.tokens["output"])))
        for place, each in busiest], 2)


def providers(change: Change) -> Section:
    """How much each has to do."""
    rows: list[Row] = []
    for each in change.now.stats["providers"]:
        full = change.news["providers"][each["provider"]]["refused"] if change.seconds is not None else 0
        style = "bad" if full else "warn" if each["waiting"] else ""
        rows.append((style, (printable(each["provider"]), str(each["active"]), str(each["limit"]),
                             str(each["waiting"]), change.rate(full))))
    return Section(("provider", "active", "room for", "waiting", "turned away/s"), rows)


def targets(change: Change) -> Section:
    """Their circuit breakers and keys, what is out first."""
    rows: list[Row] = []
    for each in change.now.stats["targets"]:
        failures = sum(change.news["targets"][each["target"]]["failed"].values())
        by = "operator" if each["forced"] != "auto" else "health checks" if each["ailing"] else "-"
        left = f"{each['open_for']:.0f}s" if each["state"] == "open" and each["open_for"] else "-"
        keys = ", ".join(f"{key} ({seconds:.0f}s)" for key, seconds in each["benched"].items()) or "-"
        style = "bad" if each["state"] == "open" else "warn" if each["state"] != "closed" or each["benched"] else ""
        rows.append((style, (printable(each["target"]), each["state"], by, keys, left, change.rate(failures),
                             str(sum(each["failed"].values())), str(each["opened"]))))
    worst = {"bad": 0, "warn": 1, "": 2}
    rows.sort(key=lambda row: (worst[row[0]], -int(row[1][6]), row[1][0]))
    return Section(("target", "circuit", "said by", "keys at rest", "for", "failed/s", "failed", "opened"), rows, 4)


def limits(change: Change) -> Section:
    """What may be used, the fullest first."""
    rows = []
    for each in change.now.stats["limits"]:
        used = 1 - each["left"] / each["limit"]
        style = "bad" if each["left"] <= 0 else "warn" if used > 0.9 else ""
        rows.append((used, (style, (printable(each["owner"]), each["kind"], str(each["limit"]), str(each["left"]),
                                    f"{used:.0%}"))))
    rows.sort(key=lambda row: (-row[0], row[1][1]))
    return Section(("limit", "of", "most", "left", "used"), [row for _, row in rows], 2)


def conditions(change: Change, every: Traffic) -> Section:
    """How requests ended that did not go well: the most frequent first."""
    whole = Traffic()
    for series in change.now.stats["series"]:
        whole.add(series, series)
    rows = []
    for name, count in whole.ended.items():
        if name not in WELL:
            new = every.ended[name] if change.seconds is not None else 0
            style = "bad" if new and failed(name) else "warn" if new else ""
            rows.append((-new, -count, (style, (printable(name), blame(name), change.rate(new), str(count)))))
    return Section(("condition", "whose fault", "per second", "since the start"),
                   [row for _, _, row in sorted(rows, key=lambda row: row[:2])], 2)


def last(change: Change) -> Section:
    """The newest that are kept for `edge why`."""
    return Section(("last failed", "request", "condition", "key", "model", "target", "status"), [
        ("", (str(each["time"])[11:19], *(printable(each.get(name, "-")) for name in (
            "request_id", "condition", "key", "model", "target", "status")))) for each in change.now.requests], 6)


# What they are made of

def labels(series: Stats) -> tuple[str, str, str]:
    """Which series it is."""
    return series["route"], series["provider"], series["model"]


def keyed(stats: Stats) -> Stats:
    """The counts of /stats, things by their names in the place of lists."""
    named = {f"{name}s": {each[name]: each for each in stats[f"{name}s"]} for name in ("provider", "target", "worker")}
    return {"series": {labels(each): each for each in stats["series"]}, **named}


def since(now: Any, before: Any) -> Any:
    """Numbers less those before, member by member. One that went down has begun anew, and is new as a whole."""
    if isinstance(now, dict):
        return {name: since(value, before.get(name) if isinstance(before, dict) else None)
                for name, value in now.items()}
    if isinstance(now, list):
        same = isinstance(before, list) and len(before) == len(now)
        return [since(value, before[place] if same else None) for place, value in enumerate(now)]
    if isinstance(now, int | float) and isinstance(before, int | float) and before <= now:
        return now - before
    return now


def condition(outcome: str) -> str:
    """The condition of an outcome: a provider's status that was passed on is one, too."""
    if not outcome.startswith("relayed_"):
        return outcome
    status = outcome.removeprefix("relayed_")
    return "ok" if status.isdigit() and int(status) < 400 else "provider_rejected"


def blame(name: str) -> str:
    """Whose fault a condition is; `-` where a newer gateway knows one that is not known here."""
    return contract.blames().get(name, "-")


def failed(name: str) -> bool:
    """It is the provider's fault, or the gateway's."""
    return blame(name) in OURS


def refused(name: str) -> bool:
    """It is the client's fault, or its key's."""
    return name not in WELL and not failed(name)


def quantile(bounds: list[float], counts: list[int], share: float) -> float | None:
    """Seconds, between two bounds in proportion, and the last bound at most. None: there was nothing."""
    left = share * sum(counts)
    lower = 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and left <= count:
            return lower + (bound - lower) * left / count
        left, lower = left - count, bound
    return lower if any(counts) else None


def brief(number: float) -> str:
    """A number of three digits or so."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{number:.0f}" if number >= 100 or number == int(number) else f"{number:.1f}"


def moment(seconds: float) -> str:
    """A time of three digits or so."""
    return (f"{seconds:.0f}s" if seconds >= 100 else f"{seconds:.1f}s" if seconds >= 1
            else f"{seconds * 1e3:.0f}ms" if seconds >= 0.01 else f"{seconds * 1e3:.2f}ms")


# Their form

def shares(wanted: list[int], room: int | None) -> list[int]:
    """How many rows each section gets: one after the other, until all have what they want or there is no room."""
    if room is None:
        return wanted
    given = [0] * len(wanted)
    while room > 0 and given != wanted:
        for place, most in enumerate(wanted):
            if given[place] < most and room > 0:
                given[place] += 1
                room -= 1
    return given


def table(section: Section, count: int, columns: int | None) -> list[Line]:
    """The head and the first rows; how many are not shown is said at the head's end."""
    rows = section.rows[:count]
    shown = [("head", section.head), *rows]
    widths = [max(width(cells[place]) for _, cells in shown) for place in range(len(section.head))]
    if columns is not None:
        narrow(widths, section.texts, columns)
    lines = [(style, " ".join(cell(text, wide, place < section.texts) for place, (text, wide) in
                              enumerate(zip(cells, widths, strict=True))).rstrip()) for style, cells in shown]
    if count < len(section.rows):
        lines[0] = "head", f"{lines[0][1]}  ({count} of {len(section.rows)})"
    return lines


def narrow(widths: list[int], texts: int, columns: int) -> None:
    """Takes from the widest texts until the line fits, as far as that goes."""
    while sum(widths) + len(widths) - 1 > columns:
        widest = max(range(texts), key=lambda place: widths[place])
        if widths[widest] <= NARROW:
            return
        widths[widest] -= 1


def cell(text: str, wide: int, left: bool) -> str:
    """A cell of this width."""
    text = clip(text, wide)
    return text + " " * (wide - width(text)) if left else " " * (wide - width(text)) + text
