"""What operators say in the shared memory: whole for every reader, whenever it is written."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._fast import Slab, Spoken, Switches

NOTHING = Spoken(0, 0, "", {})


def test_nothing_is_said_at_first() -> None:
    """A new memory knows of no maintenance and of no model."""
    assert Switches(Slab(1)).spoken == NOTHING


@given(until=st.integers(0, 2**63 - 1), since=st.integers(0, 2**62), message=st.text(max_size=128),
       models=st.dictionaries(st.text(max_size=200), st.booleans(), max_size=40))
def test_what_is_said_is_read(until: int, since: int, message: str, models: dict[str, bool]) -> None:
    """Whatever is said is read as it was said, by who comes later too, and another word replaces all of it."""
    slab = Slab(1)
    try:
        said = Spoken(until, since, message, models)
        Switches(slab).speak(said)
    except UnicodeEncodeError:
        return
    assert Switches(slab).spoken == said
    Switches(slab).speak(NOTHING)
    assert Switches(slab).spoken == NOTHING


@pytest.mark.parametrize("said", [
    Spoken(0, 0, "x" * 513, {}), Spoken(0, 0, "", {"x" * 2049: True}),
    Spoken(0, 0, "", {str(number): True for number in range(513)})])
def test_what_does_not_fit_changes_nothing(said: Spoken) -> None:
    """A message, a name or a number of models for which there is no room is refused, and what was said holds."""
    slab = Slab(1)
    before = Spoken(5, 4, "why", {"m": False})
    Switches(slab).speak(before)
    with pytest.raises(ValueError, match="at most"):
        Switches(slab).speak(said)
    assert Switches(slab).spoken == before


def test_readers_see_all_of_one_word() -> None:
    """While another process speaks without a pause whoever reads sees one of its words, and never parts of two."""
    slab = Slab(1)
    words = [Spoken(number, number, chr(97 + number) * (number * 40), {
        f"{number}-{index}": bool(index % 2) for index in range(number * 30)}) for number in range(1, 9)]
    Switches(slab).speak(words[0])
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                for word in words:
                    Switches(slab).speak(word)
        finally:
            os._exit(0)
    try:
        seen = [Switches(slab).spoken for _ in range(3000)]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert all(spoken == words[spoken.until - 1] for spoken in seen)
    assert len({spoken.until for spoken in seen}) > 1
