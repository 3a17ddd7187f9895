"""How the measurements reckon: what they compare, and when they say no."""

from __future__ import annotations

import json

import guard
import micro
import pytest
from click.testing import CliRunner
from guard import Latency
from harness import rounds
from harness.load import chat_body
from harness.processes import Trouble
from harness.targets import answer


@pytest.mark.parametrize("size", [400, 1024, 32768, 1 << 20])
def test_bodies_have_the_size_that_is_asked_for(size: int) -> None:
    """Requests and answers are valid JSON of exactly the size that the table names."""
    for made in (chat_body(size), chat_body(size, stream=True), answer(size)):
        assert len(made) == size
        assert json.loads(made)["model"] == "gpt-4o-mini"


def test_a_size_that_cannot_be_is_refused() -> None:
    """A body that is too small to be a chat request is trouble, not a smaller request."""
    with pytest.raises(Trouble, match="does not fit"):
        chat_body(100)


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which everything was twice as slow leaves the ratios as they are."""
    assert rounds.paired([8.0, 16.0, 9.0], [10.0, 20.0, 10.0]) == rounds.Ratio(0.8, 0.8, 0.9)


def test_a_run_that_others_disturbed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that was disturbed and its repetitions the quietest counts, and the warm-up counts never."""
    shares = iter([0.9, 0.5, 0.3, 0.4, 0.1])
    made: list[rounds.Sample[OneAnswer]] = []

    def measure(case: rounds.Case[OneAnswer], upstream: object) -> rounds.Sample[OneAnswer]:
        made.append(rounds.Sample(OneAnswer(), 1.0, 1.0, next(shares)))
        return made[-1]

    monkeypatch.setattr(rounds, "measure", measure)
    case = rounds.Case("one", None, OneAnswer)     # type: ignore[arg-type]
    assert rounds.interleave([case], None, 2)["one"] == [made[2], made[4]]      # type: ignore[arg-type]


class OneAnswer:
    """One answer."""

    answers = 1


def test_a_ratio_of_latencies_is_the_median_of_the_turns() -> None:
    """One disturbed turn does not decide how many times the direct path's latency the gateway's is."""
    direct = [Latency(1.0, 5.0), Latency(2.0, 5.0), Latency(9.0, 90.0)]
    through = [Latency(1.5, 6.0), Latency(2.8, 7.0), Latency(90.0, 900.0)]
    assert guard.times(direct, through) == Latency(pytest.approx(1.5), pytest.approx(1.4))


def test_the_guard_says_what_is_over_its_limit() -> None:
    """Each figure over its limit is named with both values, and figures within it are not."""
    found = {"answers": Latency(2.5, 2.0), "first events": Latency(1.1, 3.1)}
    assert guard.beyond(found, Latency(2.0, 3.0)) == [
        "answers: p50 is 2.50 × the direct path's, allowed are 2 ×",
        "first events: p99 is 3.10 × the direct path's, allowed are 3 ×"]
    assert guard.beyond(found, Latency(2.5, 3.1)) == []


def test_latency_is_median_and_99th_percentile() -> None:
    """Of a hundred and one times, the fifty-first and the hundredth in order."""
    assert guard.latency(float(n) for n in range(100, -1, -1)) == Latency(50.0, 99.0)


def test_every_compiled_function_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sections of micro.py give rows; framing stands in that of the tap."""
    monkeypatch.setattr(micro, "SPAN", 1000)
    shown = CliRunner().invoke(micro.main, ["--rounds", "1"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert {line.split("|")[1].strip() for line in shown.output.splitlines()[2:]} == set(micro.SECTIONS) | {"chunk"}
