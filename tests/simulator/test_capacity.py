"""A model server that has room for so many answers at once, and how many were ever worked on together."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack

from tests.simulator.wire import Wire, ask, chat, messages
from tests.support.simulator import Simulator


def test_open_and_peak(simulator: Simulator) -> None:
    """What is in work now and the most that ever was are told, overall and by model, also after a reset."""
    with ExitStack() as stack:
        for model in ("one", "two", "two"):
            stack.enter_context(Wire(simulator.port)).send(chat("hang", model=model))
        state = simulator.wait_for(lambda state: state["open"] == 3)
        assert (state["peak"], state["waiting"]) == (3, 0)
        assert state["models"] == {"one": {"open": 1, "peak": 1}, "two": {"open": 2, "peak": 2}}
        assert ask(simulator.port, chat(model="one")).status == 200
        assert simulator.state()["models"]["one"] == {"open": 1, "peak": 2}
        simulator.reset()
        assert simulator.state()["peak"] == 3
    simulator.wait_for(lambda state: state["open"] == 0)
    simulator.reset()
    state = simulator.state()
    assert (state["open"], state["peak"], state["models"]) == (0, 0, {})


def test_the_others_wait_their_turn() -> None:
    """With a capacity of two, the fifth and sixth of requests that come together are answered in the third round."""
    with Simulator(capacity=2, latency=100) as simulator, ExitStack() as stack:
        with Wire(simulator.port) as wire:          # once it is up
            assert wire.send(chat()).answer().status == 200
        begun = time.monotonic()
        wires = [stack.enter_context(Wire(simulator.port)).send(chat(model="busy")) for _ in range(6)]
        took: list[float] = []

        def wait(wire: Wire) -> None:
            assert wire.answer().status == 200
            took.append(time.monotonic() - begun)
        threads = [threading.Thread(target=wait, args=[wire]) for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        took.sort()
        assert len(took) == 6
        assert took[1] < took[2] and took[2] >= 0.19 and took[4] >= 0.29
        assert simulator.state()["models"]["busy"]["peak"] == 2


def test_beyond_the_queue() -> None:
    """Beyond capacity and queue a request is told at once, as the provider tells it, that there is no room."""
    with Simulator(capacity=1, queue=1) as simulator, ExitStack() as stack:
        first = stack.enter_context(Wire(simulator.port)).send(chat("hang"))
        simulator.wait_for(lambda state: state["open"] == 1)
        second = stack.enter_context(Wire(simulator.port)).send(chat())
        simulator.wait_for(lambda state: state["waiting"] == 1)
        assert ask(simulator.port, chat()).status == 503
        seen = ask(simulator.port, messages())
        assert (seen.status, json.loads(seen.body)["error"]["type"]) == (529, "overloaded_error")
        first.socket.close()
        assert second.answer().status == 200
        state = simulator.wait_for(lambda state: state["open"] == 0)
        assert (state["peak"], state["waiting"]) == (1, 0)


def test_leaving_while_waiting() -> None:
    """Who leaves while waiting takes no turn."""
    with Simulator(capacity=1) as simulator, ExitStack() as stack:
        first = stack.enter_context(Wire(simulator.port)).send(chat("hang"))
        simulator.wait_for(lambda state: state["open"] == 1)
        with Wire(simulator.port) as gone:
            gone.send(chat("hang"))
            simulator.wait_for(lambda state: state["waiting"] == 1)
        simulator.wait_for(lambda state: state["waiting"] == 0)
        first.socket.close()
        with Wire(simulator.port) as wire:
            assert wire.send(chat()).answer().status == 200


def test_many_that_are_over_at_once() -> None:
    """A long queue of answers that take no time is worked off."""
    with Simulator(capacity=1) as simulator, ExitStack() as stack:
        first = stack.enter_context(Wire(simulator.port)).send(chat("hang"))
        simulator.wait_for(lambda state: state["open"] == 1)
        wires = [stack.enter_context(Wire(simulator.port)).send(chat()) for _ in range(200)]
        simulator.wait_for(lambda state: state["waiting"] == 200)
        first.socket.close()
        assert [wire.answer().status for wire in wires] == [200] * 200
