"""The response cache under load while its workers are killed: what it answers is what the provider said, to a byte."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
from pathlib import Path

import pytest

from tests.gateway.client import Answer, ask, post
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator

KILLS, QUESTIONS, CLIENTS = 6, 30, 4
ID = re.compile(rb'"id": ?"(chatcmpl-[^"]+)"')
Question = tuple[int, bool]


class Witness:
    """What answers there were, by the provider's own id, which no other answer has."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[bytes, tuple[Question, bytes]] = {}
        self.hits = 0
        self.wrong: list[str] = []

    def hear(self, question: Question, answer: Answer) -> None:
        """An answer to a question."""
        found = ID.search(answer.body)
        whole = answer.body.endswith(b"data: [DONE]\n\n") if question[1] else bool(json.loads(answer.body)["choices"])
        with self.lock:
            self.hits += answer.fields["x-edge-cache"] == "hit"
            if found is None or not whole or self.known.setdefault(found[1], (question, answer.body)) != (
                    question, answer.body):
                self.wrong.append(f"{question}: {answer}")


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_workers_are_killed(tmp_path: Path, on_disk: bool) -> None:
    """Each answer of the cache is one that its question got, whole, while workers die in the middle of what they keep
    in one that is too small for all of it."""
    folder = {"cache_dir": str(tmp_path)} if on_disk else {}
    witness, ended = Witness(), threading.Event()
    with Simulator() as simulator, Gateway(configuration(
            simulator.url, workers=2, cache_max_size="260KB", **folder)) as gateway:
        def client(seed: int) -> None:
            chosen = random.Random(seed)
            while not ended.is_set():
                question = chosen.randrange(QUESTIONS), chosen.random() < 0.5
                messages = [{"role": "user", "content": f"question {question[0]}"}]
                headers: dict[str, str | None] = {"x-edge-cache": chosen.choice(("use", "use", "refresh"))}
                try:
                    found = ask(gateway.port, post("openai", stream=question[1], messages=messages, headers=headers))
                except (OSError, AssertionError):
                    continue                    # its worker was killed
                if found.status == 200 and "x-edge-cache" in found.fields:
                    witness.hear(question, found)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for kill in range(KILLS):
                gateway.wait(lambda kill=kill: witness.hits >= 30 * (kill + 1))     # type: ignore[misc]
                os.kill(gateway.children()[-1], signal.SIGKILL)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert witness.wrong == [] and witness.hits >= 30 * KILLS
