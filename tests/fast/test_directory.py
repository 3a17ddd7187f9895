"""The directory: whose a key is, while one process changes what others look up."""

from __future__ import annotations

import os
import random
import time
from hashlib import blake2b
from typing import Any

import pytest

from edge import _fast
from edge._fast import Directory, KeyRow, Slab, Source
from edge._fast.shared.slab import FILE_BUCKETS
from tests.fast.processes import FORK, in_processes

SECONDS = 0.7
NONE: list[Any] = [None] * 6


def digest(number: int) -> bytes:
    """Of some key."""
    return blake2b(number.to_bytes(8, "little"), digest_size=32).digest()


def row(number: int, name: str = "", policy: bytes = b"{}", state: int = 0, expires: float = 0.0) -> KeyRow:
    """A key."""
    return KeyRow(digest(number), name or f"key-{number}", policy, state, expires, (), False)


def directory(source: Source = Source.FILE) -> Directory:
    """An empty one."""
    return Directory(Slab(2), source)


def found(keys: Directory, number: int) -> KeyRow:
    """A row that is there."""
    made = keys.find(digest(number))
    assert made is not None
    return made


def test_what_is_put_is_found() -> None:
    """A key is found by its digest and by its name with all that was said of it, and after its removal it is not."""
    keys = directory()
    assert keys.find(digest(1)) is None and keys.named("key-1") is None
    wanted = KeyRow(digest(1), "team-a", b"p" * 10000, 3, 1.5, (), False)
    assert keys.put(wanted, NONE)
    assert found(keys, 1) == keys.named("team-a") == wanted._replace(buckets=(0,) * 6)
    assert len(keys) == 1 and keys.digests() == [digest(1)] and list(keys) == [found(keys, 1)]
    assert keys.remove(digest(1)) and not keys.remove(digest(1))
    assert keys.find(digest(1)) is None and keys.named("team-a") is None and len(keys) == 0


def test_a_change_is_one_row_anew() -> None:
    """Of a key that changes the new row is found and no other; one that is the same is not written."""
    keys = directory()
    keys.put(row(1), NONE)
    before = keys.generation
    assert not keys.put(row(1), NONE) and keys.generation == before
    for changed in (row(1, state=1), row(1, expires=9.0), row(1, policy=b"[]"), row(1, name="other")):
        assert keys.put(changed, NONE) and keys.generation > before
        assert found(keys, 1)[:5] == changed[:5] and list(keys) == [found(keys, 1)]
    assert keys.named("key-1") is None


@pytest.mark.parametrize("size", [0, 1, 247, 248, 249, 496, 100000])
def test_policies_of_any_size(size: int) -> None:
    """A policy is there whole, whatever its length, also where another was before."""
    keys = directory()
    keys.put(row(1, policy=b"before" * 1000), NONE)
    keys.put(row(1, policy=b"x" * size), NONE)
    keys.put(row(2, policy=b"y" * size), NONE)
    assert (found(keys, 1).policy, found(keys, 2).policy) == (b"x" * size, b"y" * size)


def test_a_crowd_of_keys() -> None:
    """Many come, change and go in any order, and the directory says of each what was said last (against a dict)."""
    keys, chance, truth = directory(), random.Random(7), dict[int, KeyRow]()
    for _ in range(60000):
        number = chance.randrange(9000)
        if chance.random() < 0.4:
            assert keys.remove(digest(number)) == (truth.pop(number, None) is not None)
        else:
            truth[number] = row(number, f"name-{number % 5000}", b"policy-%d" % (number % 7), chance.randrange(5))
            keys.put(truth[number], NONE)
    assert len(keys) == len(truth) and set(keys.digests()) == {digest(number) for number in truth}
    for number in range(9000):
        made = keys.find(digest(number))
        assert (made and made[:5]) == (truth[number][:5] if number in truth else None)
    assert {each.name for each in keys} == {each.name for each in truth.values()}
    assert all(keys.named(each.name) is not None for each in truth.values())


def test_digests_that_collide() -> None:
    """Digests that begin alike share a place of the index, and are told apart."""
    keys = directory()
    alike = [b"\xff" * 8 + number.to_bytes(24, "big") for number in range(500)]
    for number, each in enumerate(alike):
        keys.put(KeyRow(each, f"key-{number}", b"{}", 0, 0.0, (), False), NONE)
    for each in alike[::2]:
        assert keys.remove(each)
    for number, each in enumerate(alike):
        made = keys.find(each)
        assert (made and made.name) == (f"key-{number}" if number % 2 else None)


@pytest.mark.parametrize("bad", [b"", b"x" * 31, b"x" * 33])
def test_what_is_no_digest(bad: bytes) -> None:
    """Of another length there is no key, and none is made."""
    keys = directory()
    assert keys.find(bad) is None and not keys.remove(bad)
    with pytest.raises(ValueError, match="digest"):
        keys.put(KeyRow(bad, "name", b"", 0, 0.0, (), False), NONE)


def test_sources_are_apart() -> None:
    """Keys of the file and of the store do not know each other, and have no bucket in common."""
    slab = Slab(1)
    file, store = Directory(slab, Source.FILE), Directory(slab, Source.STORE)
    limits = [(1.0, 5), *NONE[1:]]
    for keys in (file, store):
        keys.put(row(1), limits)
    assert found(file, 1).buckets[0] != found(store, 1).buckets[0] != 0
    file.remove(digest(1))
    assert store.find(digest(1)) is not None
    with pytest.raises(ValueError, match="source"):
        Directory(slab, Source.N_SOURCES)


def test_limits_stay_with_their_key() -> None:
    """A key that changes, or a second one of its name, has the buckets as they are; another name begins anew."""
    keys = directory()
    slab = keys.slab
    keys.put(row(1, "team"), [(1.0, 5), *NONE[1:5], 3])
    [requests, *_, at_once] = found(keys, 1).buckets
    assert slab.limit(requests) == 5 and slab.concurrency(at_once) == (3, 0)
    assert slab.take(requests, 4) == 0
    keys.put(row(1, "team", state=1), [(1.0, 10), *NONE[1:]])
    assert found(keys, 1).buckets == (requests, 0, 0, 0, 0, 0)
    assert (slab.limit(requests), slab.left(requests)) == (10, 6)
    keys.put(row(2, "team", state=1), [(1.0, 10), *NONE[1:]])       # rotation
    keys.remove(digest(1))
    assert found(keys, 2).buckets[0] == requests and slab.left(requests) in (6, 7)
    keys.put(row(2, "renamed"), [(1.0, 10), *NONE[1:]])
    assert found(keys, 2).buckets[0] != requests


def test_keys_of_one_name() -> None:
    """What several keys of a name have in common goes with the last of them, and a former one is not their name's."""
    keys = directory()
    free, limits = keys.free_limits, [(1.0, 5), *NONE[1:]]
    for number in range(3):
        keys.put(row(number, "team")._replace(former=number != 1), limits)
    [bucket] = {found(keys, number).buckets[0] for number in range(3)}
    assert keys.named("team") == found(keys, 1) and keys.free_limits == free - 1
    keys.put(row(0, "team"), NONE)                      # one of them has no limit any more
    keys.remove(digest(1))
    assert found(keys, 2).buckets[0] == bucket and keys.free_limits == free - 1
    keys.put(row(3, "other"), limits)
    assert found(keys, 3).buckets[0] != bucket
    keys.remove(digest(2))
    assert keys.free_limits == free - 1


def test_a_bucket_is_nobodys_before_another_has_it() -> None:
    """While a request may be on its way that knows the key that is gone, its bucket goes to nobody."""
    slab = Slab(1)
    gateway = _fast.Gateway(slab, 0, lambda pool: None, lambda error, request_id: None)
    keys = Directory(slab, Source.FILE)
    limits = [(1.0, 5), *NONE[1:]]
    free = keys.free_limits
    keys.put(row(1), limits)
    [first, *_] = found(keys, 1).buckets
    slab.take(first, 5)
    keys.remove(digest(1))
    keys.put(row(2), limits)
    assert found(keys, 2).buckets[0] != first and keys.free_limits == free - 2
    gateway.tick()                                                  # it has no requests
    assert keys.free_limits == free - 1
    keys.put(row(3), limits)
    assert found(keys, 3).buckets[0] == first and slab.left(first) == 5


def test_who_comes_back_finds_its_limits() -> None:
    """A key that goes and comes back under its name has what was left of its limits, unless others had need of them."""
    keys = directory()
    slab = keys.slab
    limits = [(0.001, 5), None, (0.001, 7), *NONE[3:]]
    for number in range(3000):
        keys.put(row(number), limits)
    before = [found(keys, number).buckets for number in range(3000)]
    for number in range(3000):
        slab.take(before[number][2], number % 7)
        keys.remove(digest(number))
    for number in reversed(range(3000)):
        keys.put(row(number + 5000, f"key-{number}"), limits)
        assert found(keys, number + 5000).buckets == before[number]
        assert slab.left(before[number][2]) == 7 - number % 7
    free = keys.free_limits
    keys.put(row(1), limits)
    assert found(keys, 1).buckets[0] == found(keys, 5001).buckets[0] and keys.free_limits == free


def test_no_room() -> None:
    """What finds no room is refused whole: no row, no policy and no bucket of it stays."""
    keys = directory()
    with pytest.raises(OverflowError, match="policies"):
        keys.put(row(1, policy=bytes(300_000_000)), NONE)
    assert len(keys) == 0 and keys.find(digest(1)) is None
    with pytest.raises(ValueError, match="none"):
        keys.put(row(1, policy=b"text"), [(1.0, 5), (-1.0, 1), *NONE[2:]])
    assert len(keys) == 0 and keys.find(digest(1)) is None
    assert keys.put(row(1, policy=b"text"), NONE) and found(keys, 1).policy == b"text"


def look(number: int, keys: Directory, keep: int, churned: int) -> list[int]:
    """What a reader sees: keys that stay are always found, and no row is a mixture."""
    if number == 0:
        return change(keys, keep, churned)
    chance, until = random.Random(number), time.monotonic() + SECONDS
    looks = misses = torn = 0
    while time.monotonic() < until:
        for _ in range(200):
            each = chance.randrange(keep + churned)
            made = keys.find(digest(each))
            looks += 1
            misses += made is None and each < keep
            torn += made is not None and not (
                made.digest == digest(each) and made.name == f"key-{each}-{made.state}"
                and made.policy == b"%d" % made.state * (1 + 300 * made.state) and made.expires == made.state)
    return [looks, misses, torn]


def put(keys: Directory, number: int, state: int) -> None:
    """A row whose parts belong together."""
    keys.put(row(number, f"key-{number}-{state}", b"%d" % state * (1 + 300 * state), state, float(state)), NONE)


def change(keys: Directory, keep: int, churned: int) -> list[int]:
    """The one writer: those that stay change, others come and go, in turns by the thousand, so that tables are made."""
    chance, until, changes = random.Random(0), time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        for _ in range(100):
            put(keys, chance.randrange(keep), chance.randrange(6))
            each = keep + chance.randrange(churned)
            if chance.random() < 0.5:
                keys.remove(digest(each))
            else:
                put(keys, each, chance.randrange(6))
            changes += 2
    return [changes, 0, 0]


def test_readers_beside_a_writer() -> None:
    """While one process writes, two read: what is there is found each time, and whole."""
    keys, keep, churned = directory(), 50, 5000
    for number in range(keep):
        put(keys, number, 0)
    before = keys.generation
    results = in_processes(3, look, keys, keep, churned)
    assert [each[1:] for each in results] == [[0, 0]] * 3
    assert min(each[0] for each in results) > 100 and keys.generation - before >= results[0][0] // 2


def churn(keys: Directory, keep: int, churned: int) -> None:
    """Writes until it is killed: as `change` does, with limits."""
    chance = random.Random(os.getpid())
    while True:
        each, state = chance.randrange(keep + churned), chance.randrange(6)
        if each >= keep and chance.random() < 0.5:
            keys.remove(digest(each))
        else:
            limits: list[Any] = [(1.0, 5) if chance.random() < 0.5 else None for _ in range(5)]
            text = b"%d" % state * (1 + 300 * state)
            keys.put(row(each, f"key-{each}", text, state, float(state)), [*limits, chance.choice([None, 3])])


def test_a_writer_that_is_killed() -> None:
    """Whenever it is, each key is whole for readers at once; its successor makes the rest good, and nothing is lost."""
    keys, keep, churned, repaired = directory(), 300, 3000, 0
    for number in range(keep):
        put(keys, number, 0)
    for turn in range(30):
        process = FORK.Process(target=churn, args=(keys, keep, churned), daemon=True)
        process.start()
        generation = keys.generation
        while keys.generation < generation + 20 * (turn + 1):
            pass
        process.kill()
        process.join()
        assert all(keys.find(digest(number)) is not None for number in range(keep))
        repaired += keys.repair()
        rows = list(keys)
        assert len(rows) == len(keys) == len({each.digest for each in rows}) == len({each.name for each in rows})
        assert all(each.policy == b"%d" % each.state * (1 + 300 * each.state) for each in rows)
        assert all(keys.find(each.digest) == keys.named(each.name) == each for each in rows)
        held = [index for each in rows for index in each.buckets if index]
        assert len(held) == len(set(held)) and keys.free_limits == FILE_BUCKETS - len(held)
    assert repaired > 1 and not keys.repair()


def test_a_million_keys() -> None:
    """10^6 keys of ten policies take at most 200 bytes each of the host's memory, and are found as fast as ten."""
    slab = Slab(1)
    keys = Directory(slab, Source.STORE)
    count = 1_000_000
    begun = time.perf_counter()
    for number in range(count):
        keys.put(row(number, policy=b"policy-%d" % (number % 10)), NONE)
    taken = time.perf_counter() - begun
    held = blocks(slab)
    print(f"{count} keys: {held / count:.0f} bytes and {taken / count * 1e6:.1f} us each")
    assert len(keys) == count and held / count <= 200
    assert all(found(keys, number).name == f"key-{number}" for number in range(0, count, 997))
    assert keys.find(digest(count)) is None


def blocks(slab: Slab) -> int:
    """Bytes of a slab that are memory."""
    return os.fstat(slab.descriptor).st_blocks * 512
