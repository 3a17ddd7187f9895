"""The journal of costs: whole, in order, none twice, whoever is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edge._fast import JOURNAL_ROOM, Balances, Journal, JournalEntry, Slab
from tests.fast.processes import FORK


def entry(number: int, points: int = 1) -> JournalEntry:
    """One that can be told from others."""
    return JournalEntry(number, 1_800_000_000 + number, 7, points, f"key-{number}", "gpt-x" * 20, "request", 3, 2, 1,
                        number % 2 == 0)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """Entries come out as they went in, in their order, until they are passed; one that is too long is cut."""
    journal = Journal(str(tmp_path / "a"), 99, 3)
    reader = Journal(str(tmp_path / "a"))
    assert (reader.boot, reader.stripe) == (99, 3)
    for number in range(5):
        assert journal.add(entry(number))
    first, found = reader.read(3)
    assert [each._replace(model="", number=each.number - first) for each in found] == [
        entry(number)._replace(model="") for number in range(3)]
    assert found[0].model == ("gpt-x" * 20)[:64]
    reader.passed(first + 3)
    assert reader.waiting == 2 and reader.since == entry(3).time
    reader.passed(first + 1)        # another was slower
    assert [each.key for each in reader.read(10)[1]] == ["key-3", "key-4"] and reader.read(10)[0] == first + 3


def test_it_is_full_and_goes_round(tmp_path: Path) -> None:
    """A journal takes as many entries as it has places, and others when the store has those before."""
    journal = Journal(str(tmp_path / "a"), 1, 0)
    for number in range(JOURNAL_ROOM):
        assert journal.add(entry(number))
    assert not journal.add(entry(0))
    first, _ = journal.read(0)
    journal.passed(first + 10)
    for number in range(JOURNAL_ROOM, JOURNAL_ROOM + 10):
        assert journal.add(entry(number))
    assert not journal.add(entry(0)) and journal.waiting == JOURNAL_ROOM
    _, found = journal.read(JOURNAL_ROOM)
    assert [each.number - first for each in found] == list(range(10, JOURNAL_ROOM + 10))


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    """While a process writes a journal no other opens it to write, and who reads knows that it is not abandoned."""
    path = str(tmp_path / "a")
    journal = Journal(path, 1, 0)
    with pytest.raises(OSError):
        Journal(path, 1, 0)
    reader = Journal(path)
    assert not reader.abandoned()
    del journal
    assert reader.abandoned()


def write(path: str, ready: int) -> None:
    """Adds entries until it is killed."""
    slab, number = Slab(1), 0
    journal = Journal(path, slab.host, 0)
    while journal.add(entry(number)):
        number += 1
        if number == 1000:
            os.write(ready, b"x")


def test_a_killed_writer_leaves_whole_entries(tmp_path: Path) -> None:
    """What a worker has written before it was killed is there, whole, and its successor goes on behind it."""
    path = str(tmp_path / "a")
    ready, told = os.pipe()
    child = FORK.Process(target=write, args=(path, told))
    child.start()
    os.read(ready, 1)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    reader = Journal(path)
    count = reader.waiting
    first, found = reader.read(JOURNAL_ROOM)
    assert len(found) == count >= 1000
    assert all(each is not None and each.key == f"key-{each.number - first}" for each in found)
    after = Journal(path, reader.boot, 0)
    if count < JOURNAL_ROOM:
        assert after.add(entry(count)) and reader.read(JOURNAL_ROOM)[1][-1].number == first + count


def test_the_last_entry_counts_in_the_balances(tmp_path: Path) -> None:
    """A worker that was killed behind its last entry has settled it: its successor sees to that, and nothing counts
    twice."""
    slab = Slab(1)
    balances = Balances(slab)
    index = balances.claim(b"#7")
    balances.grant(index, (100, None, None, None))
    journal = Journal(str(tmp_path / "a"), slab.host, 0)
    balances.settle(0, index, 0, 30)
    assert journal.add(entry(0, 30), (index, 0), (30, 0)) and journal.add(entry(1, 20), (index, 0), (50, 0))
    for _ in range(2):
        journal.restore(slab)
        assert balances.left(index)[0] == 50


def test_a_torn_file_is_no_journal(tmp_path: Path) -> None:
    """A file that is not whole, or of another form, is refused; an entry that did not come to the disk is told."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="not whole"):
        Journal(str(path))
    journal = Journal(str(tmp_path / "b"), 1, 0)
    first, _ = journal.read(0)
    for number in range(3):
        journal.add(entry(number, -1 if number == 2 else 1))
    with (tmp_path / "b").open("r+b") as file:      # what a power cut may leave of a page
        file.seek(4096 + first % JOURNAL_ROOM * 264)
        file.write(bytes(264))
    assert [each and each.number - first for each in Journal(str(tmp_path / "b")).read(9)[1]] == [None, 1, None]


def test_a_new_file_has_new_numbers(tmp_path: Path) -> None:
    """A journal in the place of one that was lost has none of its numbers: the store would think that it has them."""
    path = tmp_path / "a"
    before = Journal(str(path), 1, 0)
    for number in range(9):
        before.add(entry(number))
    path.unlink()
    after = Journal(str(path), 1, 0)
    after.add(entry(0))
    assert before.lost and not after.lost and before.inode != after.inode
    assert after.read(1)[0] > before.read(9)[1][-1].number
