"""The ledger: nothing is lost and nothing counts twice, and sums are right to the last micro-point."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._fast import JournalEntry
from edge.store import Store, ledger
from edge.store.ledger import Posting
from edge.values.points import MOST, read, shown

HOUR, BOOT = 3600, 99
PERIODS = ((0, 20), (9, 20), (10, 11))      # month, day and hour


def entry(number: int, points: int = 5, *, account: int = 1, key: str = "a", hour: int = 10) -> JournalEntry:
    """Of a request."""
    return JournalEntry(number, hour * HOUR + number % HOUR, account, points, key, "m", f"r-{number}", 7, 2, 3, False)


def credited(store: Store, account: int, points: int) -> int:
    """The balance after a credit."""
    with store.writing() as session:
        session.execute("INSERT INTO accounts VALUES (?, ?, 'active', '{}', '{}', 1, 0, 0) ON CONFLICT DO NOTHING",
                        (account, f"a{account}"))
        reference = f"r{session.execute('SELECT count(*) FROM ledger').fetchone()[0]}"
        for _ in range(2):          # a reference is a credit's own
            found = ledger.credit(session, account, points, reference, 10 * HOUR)
        return found[1]


def balance(store: Store, account: int) -> int:
    """Of an account."""
    with store.reading() as session:
        return ledger.balance(session, account)


def granted(store: Store, accounts: list[int] | None = None) -> dict[int, int]:
    """What the workers of BOOT may spend."""
    with store.reading() as session:
        return ledger.granted(session, BOOT, accounts)


def key_granted(store: Store, points: tuple[int, ...], periods: tuple[tuple[int, int], ...]) -> list[int | None]:
    """What they may of a key's own."""
    with store.reading() as session:
        return ledger.key_granted(session, BOOT, "a", points, periods)


def test_what_is_posted_again_counts_once(store: Store) -> None:
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
    with store.reading() as session:
        assert session.execute("SELECT count(*), sum(points) FROM ledger WHERE boot = ?", (BOOT,)).fetchone() == (
            50, -sum(range(51)))
    assert ledger.usage(store, [], 0, 99, {}) == [
        {"requests": 50, "input": 350, "cached": 100, "output": 150, "points": sum(range(51)), "estimated": 0}]


def test_many_entries(store: Store) -> None:
    """However many there are at a time, and whatever their texts hold, all of them are posted."""
    entries = [entry(number, 1, key=f"k\0{number}") for number in range(1201)]
    assert ledger.post(store, [Posting(BOOT, 0, 0, entries)]) == 1201
    assert ledger.usage(store, [], 0, 99, {})[0]["points"] == 1201
    assert len(ledger.usage(store, ["key"], 0, 99, {})) == 1201


def test_what_others_have_spent(store: Store) -> None:
    """News are of owners who were posted or credited since, and say what others than a memory have spent."""
    credited(store, 1, 1000)
    with store.reading() as session:
        turn = ledger.last(session)
    ledger.post(store, [Posting(BOOT, 0, 0, [entry(0, 100)]), Posting(1, 0, 0, [entry(0, 7), entry(1, 1, account=2)])])
    credited(store, 3, 5)
    with store.reading() as session:
        found = ledger.news(session, BOOT, turn)
        assert (found.spent, found.credited) == ({"#1": 7, "#2": 1, "a": 8}, (3,)) and found.turn > turn
        assert ledger.news(session, BOOT, found.turn) == ledger.News({}, (), found.turn)


def test_journals_do_not_disturb_each_other(store: Store) -> None:
    """Entries of one number, of two workers and of two memories, are different ones; one that was torn is passed."""
    for boot, worker in ((1, 0), (1, 1), (2, 0)):
        assert ledger.post(store, [Posting(boot, worker, 0, [entry(0), None, entry(2)])]) == 2
        assert ledger.post(store, [Posting(boot, worker, 0, [entry(0), None, entry(2)])]) == 0
    assert balance(store, 1) == -30


def test_what_is_granted_is_not_changed_by_what_is_posted(store: Store) -> None:
    """A memory's workers may spend what was credited less what others have spent, whatever of theirs is posted."""
    credited(store, 1, 1000)
    ledger.post(store, [Posting(1, 0, 0, [entry(0, 100)])])
    assert granted(store) == granted(store, [1]) == {1: 900}
    ledger.post(store, [Posting(BOOT, 0, 0, [entry(0, 300)])])
    assert granted(store) == granted(store, [1]) == {1: 900}
    ledger.forget(store, 1)
    assert granted(store) == {1: 900} and balance(store, 1) == 600


def test_what_a_key_may_spend(store: Store) -> None:
    """A key's part is what it may spend in all, less what it has; a period's what was spent since it began."""
    ledger.post(store, [Posting(1, 0, 0, [entry(0, 100, hour=1), entry(1, 20, hour=9), entry(2, 3, hour=10),
                                          entry(3, 5000, key="b")])])
    ledger.post(store, [Posting(BOOT, 0, 0, [entry(0, 7, hour=10)])])
    found = key_granted(store, (1000, 1000, 1000, 1000), PERIODS)
    assert found == [1000 - 130 + 7, 1000 - 130 + 7, 1000 - 30 + 7, 1000 - 10 + 7]
    assert key_granted(store, (0, 0, 5, 0), PERIODS) == [None, None, 5 - 30 + 7, None]


def test_credits(store: Store) -> None:
    """Credits are entries of the ledger; a balance has an end, and no admin takes more than there is."""
    assert credited(store, 1, 100) == 100 and credited(store, 1, -30) == 70
    for points in (-71, MOST):
        with pytest.raises(ledger.Overflow, match="points; it may be 0 to 1000000000000"):
            credited(store, 1, points)
    assert balance(store, 1) == 70
    with store.reading() as session:
        assert session.execute("SELECT number, points FROM ledger ORDER BY number").fetchall() == [(1, 100), (2, -30)]


def test_what_is_kept_no_longer(store: Store) -> None:
    """Old entries go, some at a time, of each journal; new ones, credits and all sums stay."""
    credited(store, 1, 1000)
    for boot, hours in ((1, (1, 2, 50)), (2, (50, 51)), (3, (3, 4))):
        ledger.post(store, [Posting(boot, 0, 0, [entry(number, hour=hour) for number, hour in enumerate(hours)])])
    before = ledger.usage(store, ["hour"], 0, 99, {})
    pruned = []
    while pruned[-1:] != [0]:
        pruned.append(ledger.prune(store, 40 * HOUR, 1))
    assert pruned == [1, 1, 1, 1, 0]
    with store.reading() as session:
        assert [tuple(row) for row in session.execute("SELECT boot, number FROM ledger ORDER BY boot, number").fetchall(
            )] == [(0, 1), (1, 2), (2, 0), (2, 1)]
    assert ledger.usage(store, ["hour"], 0, 99, {}) == before and balance(store, 1) == 1000 - 7 * 5


def test_usage(store: Store) -> None:
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
