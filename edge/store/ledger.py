"""The ledger: what was credited to accounts, and what requests have cost them, an entry each.

An entry of a request has its number from the journal: boot of the memory, stripe of the worker, number. Of each journal
the store knows which number comes next, so that what is posted again changes nothing. Points are micro-points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from edge._fast import JournalEntry
from edge.store.interface import Session, Store
from edge.values.points import MOST, shown

HOUR = 3600
MOST_WORKERS = 2**31 - 1    # no journal has this number, or more
ADMIN = 0                   # the boot of credits
TOTALS = ("requests", "input", "cached", "output", "points", "estimated")
_LEDGER = ("INSERT INTO ledger (boot, worker, number, time, account, key, model, request, input, cached, output, "
           "points, estimated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
_HOURS = (f"INSERT INTO hours (hour, account, key, model, {', '.join(TOTALS)}) VALUES ({', '.join('?' * 10)}) "
          "ON CONFLICT (hour, account, key, model) DO UPDATE SET "
          + ", ".join(f"{name} = hours.{name} + excluded.{name}" for name in TOTALS))
_SPENT = ("INSERT INTO spent (boot, owner, points, turn) VALUES (?, ?, ?, ?) "
          "ON CONFLICT (boot, owner) DO UPDATE SET points = spent.points + excluded.points, turn = excluded.turn")
_MARKS = ("INSERT INTO marks (boot, worker, number) VALUES (?, ?, ?) "
          "ON CONFLICT (boot, worker) DO UPDATE SET number = excluded.number")
GROUPS = {"account": "account", "key": "key", "model": "model", "day": "hour / 24", "hour": "hour"}


class Overflow(ValueError):
    """A balance would be more than there can be, or less than nothing by an admin's doing."""


class Other(ValueError):
    """A reference is that of a credit of another sum."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Entries of one journal, from a number on; None is one that was torn."""

    boot: int
    worker: int
    first: int
    entries: Sequence[JournalEntry | None]


def owner(account: int) -> str:
    """What an account's balance is called among those of keys, which have their names."""
    return f"#{account}"


def account(owner: str) -> int:
    """The reverse; 0: it is no account."""
    return int(owner[1:]) if owner.startswith("#") else 0


def post(store: Store, postings: Iterable[Posting]) -> int:
    """Writes what the store does not have yet, all or nothing. How many entries that were. Unavailable."""
    hours: dict[tuple[int, int, str, str], list[int]] = {}
    spent: Counter[tuple[int, str]] = Counter()
    count = 0
    with store.writing() as session:
        for posting in postings:
            known = _next(session, posting)
            fresh = [each for each in posting.entries if each is not None and each.number >= known]
            session.executemany(_LEDGER, [
                (posting.boot, posting.worker, each.number, each.time, each.account, each.key, each.model, each.request,
                 each.input, each.cached, each.output, -each.points, int(each.estimated)) for each in fresh])
            for each in fresh:
                sums = hours.setdefault((each.time // HOUR, each.account, each.key, each.model), [0] * len(TOTALS))
                for place, value in enumerate((1, each.input, each.cached, each.output, each.points, each.estimated)):
                    sums[place] += value
                for boot in (ADMIN, posting.boot):
                    spent[boot, owner(each.account)] += each.points
                    spent[boot, each.key] += each.points
            session.execute(_MARKS, (
                posting.boot, posting.worker, max(known, posting.first + len(posting.entries))))
            count += len(fresh)
        session.executemany(_HOURS, [(*place, *sums) for place, sums in hours.items()])
        turn = last(session) + 1
        session.executemany(_SPENT, [(*place, points, turn) for place, points in spent.items()])
    return count


def _next(session: Session, posting: Posting) -> int:
    found = session.execute("SELECT number FROM marks WHERE boot = ? AND worker = ?",
                            (posting.boot, posting.worker)).fetchone()
    return 0 if found is None else int(found[0])


def forget(store: Store, boot: int) -> None:
    """Nobody writes journals of a memory any more, and all of them are posted. Unavailable."""
    with store.writing() as session:
        session.execute("DELETE FROM marks WHERE boot = ?", (boot,))
        session.execute("DELETE FROM spent WHERE boot = ?", (boot,))


def prune(store: Store, before: int, most: int) -> int:
    """Forgets entries of requests that ended before then (Unix time), some of one journal's, and how many those were.
    Credits stay, as their references must, and all sums. Unavailable."""
    boot, worker = ADMIN, MOST_WORKERS
    with store.writing() as session:
        while True:
            found = session.execute("SELECT boot, worker, time FROM ledger WHERE (boot, worker) > (?, ?) "
                                    "ORDER BY boot, worker, number LIMIT 1", (boot, worker)).fetchone()
            if found is None:
                return 0
            boot, worker, oldest = (int(each) for each in found)
            if oldest < before:
                break
        rows = session.execute("SELECT number, time FROM ledger WHERE boot = ? AND worker = ? ORDER BY number LIMIT ?",
                               (boot, worker, most)).fetchall()
        old = [int(number) for number, _ in takewhile(lambda row: row[1] < before, rows)]
        session.execute("DELETE FROM ledger WHERE boot = ? AND worker = ? AND number <= ?", (boot, worker, old[-1]))
    return len(old)


def credit(session: Session, account: int, points: int, reference: str, when: float) -> tuple[int, int]:
    """Credits points, or takes them back; in the caller's transaction. The balance before and then: the same where this
    credit, by its reference, was there already. An account that owes something may be given less. Overflow, Other."""
    before = balance(session, account)
    known = session.execute("SELECT points FROM ledger WHERE boot = 0 AND account = ? AND request = ?",
                            (account, reference)).fetchone() if reference else None
    if known is not None and known[0] != points:
        raise Other(f"a credit of {shown(known[0])} points has the reference {reference}")
    if known is not None:
        return before, before
    if points < 0 > before + points or before + points > MOST:
        raise Overflow(f"the balance would be {shown(before + points)} points; it may be 0 to {shown(MOST)}")
    number = session.execute("SELECT coalesce(max(number), 0) + 1 FROM ledger WHERE boot = 0 AND worker = 0"
                             ).fetchone()[0]
    session.execute(_LEDGER, (ADMIN, 0, number, int(when), account, "", "", reference, 0, 0, 0, points, 0))
    session.execute("INSERT INTO credited (account, points, turn) VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET "
                    "points = credited.points + excluded.points, turn = excluded.turn",
                    (account, points, last(session) + 1))
    return before, before + points


def balance(session: Session, account: int) -> int:
    """All that was credited, less all that is posted."""
    return _sum(session, "SELECT points FROM credited WHERE account = ?", account) - _spent(
        session, ADMIN, owner(account))


def _spent(session: Session, boot: int, name: str) -> int:
    return _sum(session, "SELECT points FROM spent WHERE boot = ? AND owner = ?", boot, name)


def _sum(session: Session, question: str, *values: object) -> int:
    found = session.execute(question, values).fetchone()
    return int(found[0] or 0) if found is not None else 0


def granted(session: Session, boot: int, accounts: Iterable[int] | None = None) -> dict[int, int]:
    """What the workers of a memory may spend in all of its time, by account: all that was credited less what others
    have spent. None: of all accounts that ever had a credit."""
    if accounts is not None:
        return {each: balance(session, each) + _spent(session, boot, owner(each)) for each in accounts}
    found = session.execute(
        "SELECT accounts.number, coalesce(credited.points, 0) - coalesce(every.points, 0) + coalesce(own.points, 0) "
        "FROM accounts LEFT JOIN credited ON credited.account = accounts.number "
        "LEFT JOIN spent AS every ON every.boot = 0 AND every.owner = '#' || accounts.number "
        "LEFT JOIN spent AS own ON own.boot = ? AND own.owner = '#' || accounts.number", (boot,))
    return {int(account): int(points) for account, points in found}


def key_granted(session: Session, boot: int, key: str, points: Sequence[int],
                periods: Sequence[tuple[int, int]]) -> list[int | None]:
    """The same of a key's own parts: `points` are in all, a month, a day, an hour (0: any number); `periods`: the hours
    (since 1970) with which this month, day and hour began, and which follow them."""
    own = _spent(session, boot, key)
    used = [_spent(session, ADMIN, key)]
    used += [_sum(session, "SELECT sum(points) FROM hours WHERE key = ? AND hour >= ? AND hour < ?", key, *period)
             if most else 0 for period, most in zip(periods, points[1:], strict=True)]
    return [most - spent + own if most else None for most, spent in zip(points, used, strict=True)]


class News(NamedTuple):
    """Behind a turn: what others than a memory have spent of what owners have, which accounts got credits; the last."""

    spent: dict[str, int]
    credited: tuple[int, ...]
    turn: int


def last(session: Session) -> int:
    """The number of the last transaction that has posted or credited something."""
    return max(_sum(session, "SELECT max(turn) FROM spent WHERE boot = 0"),
               _sum(session, "SELECT max(turn) FROM credited"))


def news(session: Session, boot: int, turn: int) -> News:
    """Of owners who were posted or credited behind that turn, by whomever."""
    spent = session.execute(
        "SELECT every.owner, every.points - coalesce(own.points, 0) FROM spent AS every LEFT JOIN spent AS own "
        "ON own.boot = ? AND own.owner = every.owner WHERE every.boot = 0 AND every.turn > ?", (boot, turn))
    found = {str(owner): int(points) for owner, points in spent}
    credited = session.execute("SELECT account FROM credited WHERE turn > ?", (turn,))
    return News(found, tuple(int(account) for account, in credited), last(session))


def usage(store: Store, by: Sequence[str], begin: int, end: int, only: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sums of the hours from `begin` to before `end` (since 1970), by GROUPS, of what `only` names. Unavailable."""
    groups = [GROUPS[name] for name in by]
    terms = ["hour >= ?", "hour < ?", *(f"{name} = ?" for name in only)]
    sums = ", ".join(f"CAST(sum({name}) AS INTEGER)" for name in TOTALS)
    question = f"SELECT {', '.join([*groups, sums])} FROM hours WHERE {' AND '.join(terms)}"
    if groups:
        places = ", ".join(str(place + 1) for place in range(len(groups)))
        question += f" GROUP BY {places} ORDER BY {places}"
    with store.reading() as session:
        found = session.execute(question, (begin, end, *only.values())).fetchall()
    return [dict(zip((*by, *TOTALS), each, strict=True)) for each in found if each[-1] is not None]
