"""The file of a response cache: whatever is in its place, the gateway serves; and an upgrade goes on with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.client import Answer, ask, post, read, receive
from tests.gateway.parties import call
from tests.gateway.script import Script, chunk, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

Start = Callable[..., Gateway]
SIZE = "8MB"
USE = {"x-edge-cache": "use"}
DATA = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}%b}]}\n\n'
FINISHED = DATA % b',"finish_reason":"stop"' + b"data: [DONE]\n\n"


def asked(gateway: Gateway, said: str) -> Answer:
    """A request that wants the cache."""
    return ask(gateway.port, post("openai", messages=[{"role": "user", "content": said}], headers=USE))


def had(answer: Answer) -> str | None:
    """What the cache had."""
    assert answer.status == 200, answer
    return answer.fields.get("x-edge-cache")


def upgraded(gateway: Gateway, count: int = 1) -> None:
    """Over SIGUSR2, when the new image's workers serve."""
    gateway.process.send_signal(signal.SIGUSR2)
    gateway.wait(lambda: gateway.log().count("in the place of the version before") >= count, 60)


def fifo(file: Path) -> None:
    """Which nobody writes."""
    os.mkfifo(file)


def link(file: Path) -> None:
    """To what somebody else needs."""
    file.with_name("precious").write_text("precious")
    file.symlink_to(file.with_name("precious"))


def others(file: Path) -> None:
    """Another user's, if there can be one."""
    file.write_bytes(b"")
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(file, 65534, 65534)


@pytest.mark.parametrize("make", [fifo, link, Path.mkdir, others], ids=["fifo", "link", "folder", "others"])
def test_what_is_in_its_place(start: Start, tmp_path: Path, make: Callable[[Path], None]) -> None:
    """It stays as it is, the gateway serves without a cache, and says why."""
    file = tmp_path / "answers.edge"
    make(file)
    before = file.lstat()
    with start(cache_max_size=SIZE, cache_dir=str(tmp_path)) as gateway:
        assert had(asked(gateway, "in its place")) is None
        assert "there is no response cache" in gateway.log() and str(file) in gateway.log()
        shown = call(gateway, "GET", "cache").json()
        assert shown["on"] is False and str(file) in shown["reason"]
    after = file.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    if make is link:
        assert file.read_text() == "precious"


def test_a_file_that_all_may_read(start: Start, tmp_path: Path) -> None:
    """It is for the gateway alone from then on."""
    file = tmp_path / "answers.edge"
    file.touch(0o666)
    file.chmod(0o666)
    with start(cache_max_size=SIZE, cache_dir=str(tmp_path)) as gateway:
        assert [had(asked(gateway, "readable")) for _ in range(2)] == ["miss", "hit"]
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_full_disk(start: Start, tmp_path: Path) -> None:
    """It is met at the start, and is not fuller afterwards."""
    if shutil.disk_usage(tmp_path).free > 1 << 40:
        pytest.skip("the disk is larger than a cache may be")
    with start(cache_max_size=1 << 40, cache_dir=str(tmp_path)) as gateway:
        assert had(asked(gateway, "full")) is None and not list(tmp_path.iterdir())
        refused = call(gateway, "PUT", "cache", {"key": "test", "request": {"model": "sim-1"}, "answer": {}})
        assert refused.status_code >= 500 and "disk" in refused.text


@pytest.mark.parametrize("kept", [64, 4096], ids=["head", "page"])
def test_nonsense_behind_a_good_head(start: Start, tmp_path: Path, kept: int) -> None:
    """A file that says it is the cache's, and holds anything: nothing of it is an answer, and what comes is kept."""
    settings = {"cache_max_size": SIZE, "cache_dir": str(tmp_path), "workers": 2}
    file = tmp_path / "answers.edge"
    with start(**settings) as gateway:
        assert had(asked(gateway, "nonsense")) == "miss"
    head = file.read_bytes()[:kept]
    for filling in (os.urandom, lambda size: b"\xff" * size, lambda size: b"\x7f" * size, lambda size: b"\0" * size):
        file.write_bytes(head + filling(8_000_000 - kept))
        with start(**settings) as gateway:
            assert had(asked(gateway, "nonsense")) == "miss"
            assert {had(asked(gateway, "nonsense")) for _ in range(4)} == {"hit"}
            assert call(gateway, "GET", "cache").json()["used"] in range(8_000_000)
            assert "ended by" not in gateway.log()


def test_an_upgrade(start: Start, tmp_path: Path, script: Script) -> None:
    """The new image has the answers, and the old workers, which have streams yet, leave the file to it."""
    with start(cache_max_size=SIZE, cache_dir=str(tmp_path), drain_timeout=30) as gateway:
        first = asked(gateway, "upgrade")
        body = post("openai", model="scripted", stream=True, headers=USE)
        with Wire(gateway.port) as wire:
            wire.send(body)
            meeting = script.meet()
            meeting.asked()
            meeting.send(stream_head() + chunk(DATA % b""))
            seen = receive(wire, b'"x"')
            for count in (1, 2):
                again = asked(gateway, "upgrade")
                assert (had(again), again.body) == ("hit", first.body)
                if count == 1:
                    upgraded(gateway)
            gateway.wait(lambda: had(asked(gateway, "after it")) == "hit")    # not an old one
            meeting.send(chunk(FINISHED) + chunk(b""))
            assert b"[DONE]" in receive(wire, b"0\r\n\r\n", seen)
        with Wire(gateway.port) as wire:            # it is asked for again
            wire.send(body)
            meeting = script.meet()
            meeting.asked()
            meeting.send(stream_head() + chunk(FINISHED) + chunk(b""))
            assert had(read(wire.answer())) == "miss"


@pytest.mark.parametrize("change", [{"cache_max_size": "4MB"}, {"workers": 3}], ids=["size", "workers"])
def test_an_upgrade_to_another_form(start: Start, tmp_path: Path, script: Script, change: dict[str, object]) -> None:
    """It begins with a file of its own: the one that old workers have stays whole until they end."""
    settings = {"cache_max_size": SIZE, "cache_dir": str(tmp_path), "drain_timeout": 30}
    (tmp_path / "other").mkdir()
    with start(**settings) as gateway, start(**{**settings, **change, "cache_dir": str(tmp_path / "other")}) as other:
        config = other.file.read_bytes()
        assert had(asked(gateway, "another form")) == "miss"
        with Wire(gateway.port) as wire:
            wire.send(post("openai", model="scripted", stream=True, headers=USE))
            meeting = script.meet()
            meeting.asked()
            meeting.send(stream_head() + chunk(DATA % b""))
            seen = receive(wire, b'"x"')
            gateway.file.write_bytes(config.replace(bytes(tmp_path / "other"), bytes(tmp_path)))
            upgraded(gateway)
            gateway.wait(lambda: had(asked(gateway, "another form")) == "hit")    # not an old one
            meeting.send(chunk(FINISHED) + chunk(b""))
            assert b"[DONE]" in receive(wire, b"0\r\n\r\n", seen)
        assert "ended by" not in gateway.log()


def test_a_reload_that_takes_it_away(start: Start, script: Script) -> None:
    """A stream of which some has gone out while there was no cache is not kept, though there is one at its end."""
    with start(cache_max_size=SIZE) as gateway:
        config = json.loads(gateway.file.read_bytes())
        without = {name: value for name, value in config.items() if name != "cache_max_size"}
        body = post("openai", model="scripted", stream=True, headers=USE)
        with Wire(gateway.port) as wire:
            wire.send(body)
            meeting = script.meet()
            meeting.asked()
            seen = b""
            for number, now in enumerate((without, config, config)):
                meeting.send((stream_head() if number == 0 else b"") + chunk(DATA % b""))
                while seen.count(b'"x"') <= number:
                    seen += wire.socket.recv(1 << 16)
                assert gateway.reload(now).status_code == 200
            meeting.send(chunk(FINISHED) + chunk(b""))
            assert b"[DONE]" in receive(wire, b"0\r\n\r\n", seen)
        for wanted in ("miss", "hit"):
            with Wire(gateway.port) as wire:
                wire.send(body)
                if wanted == "miss":
                    meeting = script.meet()
                    meeting.asked()
                    meeting.send(stream_head() + chunk(FINISHED) + chunk(b""))
                assert had(read(wire.answer())) == wanted
