"""The ledger: nothing is lost and nothing counts twice, and sums are right to the last micro-point."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._fast import JournalEntry
from edge.store import SQLite, ledger
from edge.store.ledger import Posting
from edge.values.points import MOST, read, shown

HOUR, BOOT = 3600, 99


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLite]:
    """An empty one."""
    with closing(SQLite(str(tmp_path / "edge.db"))) as made:
        yield made


def entry(number: int, points: int = 5, *, account: int = 1, key: str = "a", hour: int = 10) -> JournalEntry:
    """Of a request."""
    return JournalEntry(number, hour * HOUR + number % HOUR, account, points, key, "m", f"r-{number}", 7, 2, 3, False)


def credited(store: SQLite, account: int, points: int) -> int:
    """The balance after a credit."""
    with store.writing() as connection:
        connection.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?, 'active', '{}', '{}', 1, 0, 0)",
                           (account, f"a{account}"))
        reference = f"r{connection.execute('SELECT count(*) FROM ledger').fetchone()[0]}"
        for _ in range(2):          # a reference is a credit's own
            found = ledger.credit(connection, account, points, reference, 10 * HOUR)
        return found[1]


def balance(store: SQLite, account: int) -> int:
    """Of an account."""
    return ledger.balance(store.connection, account)


def test_what_is_posted_again_counts_once(store: SQLite) -> None:
    """A clerk that is killed at any point posts some entries again, in other batches: each of them counts once."""
    entries = [entry(number, number + 1) for number in range(50)]
    credited(store, 1, 10_000)
    chance = random.Random(7)
    done = 0
    while done < len(entries):
        first = chance.randint(0, done)
        last = chance.randint(first, len(entries))
        ledger.post(store, [Posting(BOOT, 0, first, entries[first:last])])
        done = max(done, last)
    assert balance(store, 1) == 10_000 - sum(each.points for each in entries)
    assert store.connection.execute("SELECT count(*), sum(points) FROM ledger WHERE boot = ?", (BOOT,)).fetchone() == (
        50, -sum(range(51)))
    assert ledger.usage(store, [], 0, 99, {}) == [
        {"requests": 50, "input": 350, "cached": 100, "output": 150, "points": sum(range(51)), "estimated": 0}]


def test_journals_do_not_disturb_each_other(store: SQLite) -> None:
    """Entries of one number, of two workers and of two memories, are different ones; one that was torn is passed."""
    for boot, worker in ((1, 0), (1, 1), (2, 0)):
        assert ledger.post(store, [Posting(boot, worker, 0, [entry(0), None, entry(2)])]) == 2
        assert ledger.post(store, [Posting(boot, worker, 0, [entry(0), None, entry(2)])]) == 0
    assert balance(store, 1) == -30


def test_what_is_granted_is_not_changed_by_what_is_posted(store: SQLite) -> None:
    """A memory's workers may spend what was credited less what others have spent, whatever of theirs is posted."""
    credited(store, 1, 1000)
    ledger.post(store, [Posting(1, 0, 0, [entry(0, 100)])])
    assert ledger.granted(store.connection, BOOT) == ledger.granted(store.connection, BOOT, [1]) == {1: 900}
    ledger.post(store, [Posting(BOOT, 0, 0, [entry(0, 300)])])
    assert ledger.granted(store.connection, BOOT) == ledger.granted(store.connection, BOOT, [1]) == {1: 900}
    ledger.forget(store, 1)
    assert ledger.granted(store.connection, BOOT) == {1: 900} and balance(store, 1) == 600


def test_what_a_key_may_spend(store: SQLite) -> None:
    """A key's part is what it may spend in all, less what it has; a period's what was spent since it began."""
    ledger.post(store, [Posting(1, 0, 0, [entry(0, 100, hour=1), entry(1, 20, hour=9), entry(2, 3, hour=10),
                                          entry(3, 5000, key="b")])])
    ledger.post(store, [Posting(BOOT, 0, 0, [entry(0, 7, hour=10)])])
    found = ledger.key_granted(store.connection, BOOT, "a", (1000, 1000, 1000, 1000), (0, 9, 10))
    assert found == [1000 - 130 + 7, 1000 - 130 + 7, 1000 - 30 + 7, 1000 - 10 + 7]
    assert ledger.key_granted(store.connection, BOOT, "a", (0, 0, 5, 0), (0, 9, 10)) == [None, None, 5 - 30 + 7, None]


def test_credits(store: SQLite) -> None:
    """Credits are entries of the ledger; a balance has an end, and no admin takes more than there is."""
    assert credited(store, 1, 100) == 100 and credited(store, 1, -30) == 70
    for points in (-71, MOST):
        with pytest.raises(ledger.Overflow, match="points; it may be 0 to 1000000000000"):
            credited(store, 1, points)
    assert balance(store, 1) == 70
    assert store.connection.execute("SELECT number, points FROM ledger ORDER BY number").fetchall() == [
        (1, 100), (2, -30)]


def test_usage(store: SQLite) -> None:
    """Usage is told by any of account, key, model, day and hour, of what is wanted alone."""
    ledger.post(store, [Posting(1, 0, 0, [
        entry(0, 1, hour=23), entry(1, 2, hour=24), entry(2, 4, account=2, key="b", hour=24), entry(3, 8, hour=47)])])

    def points(*by: str, begin: int = 0, end: int = 99, **only: object) -> list[tuple[object, ...]]:
        found = ledger.usage(store, by, begin, end, only)
        return [(*(each[name] for name in by), each["points"]) for each in found]
    assert points("day") == [(0, 1), (1, 14)]
    assert points("account", "day") == [(1, 0, 1), (1, 1, 10), (2, 1, 4)]
    assert points("key", begin=24, end=47) == [("a", 2), ("b", 4)]
    assert points(account=2) == [(4,)] and points("model", key="a") == [("m", 11)] and points(key="c") == []


@given(st.integers(-MOST, MOST))
def test_points_are_written_exactly(points: int) -> None:
    """What is written of micro-points is read back as them."""
    assert read(shown(points)) == points


@pytest.mark.parametrize("text", ["", "-", ".", "1.", ".5", "1.0000001", "1e3", "+1", " 1", "0x1", "1_0", "--1", "1,5",
                                  "²", "nan", "9" * 14, "1000000000000.000001", "1" * 5000])
def test_what_is_no_number_of_points(text: str) -> None:
    """What is no number of points, is too exact, or is more than there can be, is refused."""
    with pytest.raises(ValueError, match="must be"):
        read(text)
