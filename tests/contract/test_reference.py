"""`edge errors` and `edge explain`, held against what is rendered."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from edge.cli.errors import errors, explain
from edge.contract import load, meanings
from edge.contract.reference import COMMON, describe, to_markdown
from tests.contract.answers import CONDITIONS, CONTRACTS, answer

KEPT = ("provider_rejected", "context_length")    # conditions that keep the provider's own status


def run(*arguments: str, columns: int = 80) -> Result:
    """One of the two commands, as typed."""
    command = {"errors": errors, "explain": explain}[arguments[0]]
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(command, arguments[1:])


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_reference_tells_what_is_sent(name: str) -> None:
    """Status, code, type, blame and fields of the reference are those of the rendered answers."""
    listed = {entry["condition"]: entry for entry in orjson.loads(run("errors", "--contract", name, "--format", "json")
                                                                  .output)["errors"]}
    assert set(listed) == {condition.name for condition in CONDITIONS}
    for condition in CONDITIONS:
        told = listed[condition.name]
        found = answer(name, "openai", condition, {"upstream_status": 404})
        assert told["status"] == ("upstream" if condition.name in KEPT else found.status)
        error = found.body["error"]
        known = {"{status}": "404", "{status_name}": "not_found"}
        assert known.get(told["type"], told["type"]) == error["type"]
        if "code" in error:
            assert known.get(told["code"], told["code"]) == error["code"]
        assert told["blame"] == found.headers["x-edge-blame"]
        made_by_the_caller = set(meanings()[condition.name].headers)
        assert set(told["headers"]) - made_by_the_caller == set(found.headers) - {"content-type", "content-length"}


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
@pytest.mark.parametrize("name", CONTRACTS)
def test_the_table_fits_a_terminal(name: str, columns: int) -> None:
    """No line of the table is wider than the terminal, from 80 to 120 columns, and each condition is in it."""
    result = run("errors", "--contract", name, columns=columns)
    assert result.exit_code == 0
    assert max(len(line) for line in result.output.splitlines()) <= max(80, min(columns, 120))
    assert all(condition.name in result.output for condition in CONDITIONS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_is_whole(name: str) -> None:
    """The page has a row per condition and variant, all of as many cells, and cause and fix of each."""
    page = to_markdown(load(name), "openai")
    assert run("errors", "--contract", name, "--format", "markdown").output == page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    variants = sum(len(entry["variants"]) for entry in describe(load(name)))
    assert len(rows) == 2 + len(CONDITIONS) + variants
    assert {line.replace("\\|", "").count("|") for line in rows} == {10}
    assert all(f"\n### {c.name}\n" in page and meanings()[c.name].fix in page for c in CONDITIONS)


def test_the_reference_of_a_surface_shows_its_envelope() -> None:
    """Another surface has another envelope."""
    told = orjson.loads(run("errors", "--contract", "tokenfactory", "--surface", "admin", "--format", "json").output)
    assert told["envelope"] == {"code": "{code}", "error": "{message}"}


def test_a_file_of_one_s_own_is_shown_and_checked(tmp_path: Path) -> None:
    """A contract may be given as a file; its mistakes are told with exit code 2."""
    file = tmp_path / "acme.yaml"
    file.write_text("name: acme\nbase: openai\nconditions: {draining: {code: GONE_FISHING}}\n")
    assert "GONE_FISHING" in run("errors", "--contract", str(file)).output
    assert "acme  503  GONE_FISHING" in run("explain", "gone_fishing", "--contract", str(file)).output
    file.write_text("name: acme\nbase: openai\nsurfaces: 5\n")
    result = run("errors", "--contract", str(file))
    assert result.exit_code == 2 and "acme.yaml:3:1: surfaces: must be a mapping" in result.output


AUTH_003 = ["key_unknown", "key_disabled", "key_expired", "key_frozen", "key_revoked", "key_unavailable",
            "user_banned", "key_wrong_workspace"]


@pytest.mark.parametrize(("word", "conditions"), [
    ("AUTH_001", ["key_missing"]), ("auth_003", AUTH_003),
    ("provider_timeout", ["provider_timeout"]), ("413", ["body_too_large"]), ("529", ["provider_overloaded"]),
    ("PROVIDER_002", ["provider_rate_limited", "keys_limited"]),
    ("RATELIMIT_002", ["provider_rate_limited", "keys_limited"]),
    ("api_key_disabled", ["key_disabled", "key_frozen", "key_revoked"]), ("upstream", [*KEPT]),
])
def test_a_code_is_explained(word: str, conditions: list[str]) -> None:
    """A code of any contract, a condition's name or a status leads to cause and fix."""
    result = run("explain", word)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line for line in lines if line in meanings()] == conditions
    flat = " ".join(result.output.split())
    assert all(meanings()[name].cause in flat and meanings()[name].fix in flat for name in conditions)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("word", "hint"), [("AUTH_03", "AUTH_003"), ("key_misssing", "key_missing"),
                                            ("xyzzy", "edge errors lists them all")])
def test_an_unknown_code_is_answered_with_what_there_is(word: str, hint: str) -> None:
    """An unknown code ends with exit code 2 and a suggestion."""
    result = run("explain", word)
    assert result.exit_code == 2 and f"there is no error {word}" in result.output and hint in result.output


def test_an_unknown_contract_or_surface_is_refused(tmp_path: Path) -> None:
    """A contract that does not exist, or a surface that a contract lacks, ends with exit code 2."""
    result = run("errors", "--contract", "tokenpek")
    assert result.exit_code == 2 and "tokenpak is meant?" in result.output
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nsurfaces: {openai: {envelope: '{message}'}}\ndefaults: {type: a}\nconditions:\n"
                    + "".join(f"  {condition.name}: {{status: 500}}\n" for condition in CONDITIONS))
    result = run("errors", "--contract", str(file), "--surface", "admin")
    assert result.exit_code == 2 and "mine has openai alone" in result.output


def test_common_fields_are_in_every_answer() -> None:
    """The fields that the reference calls common are in the answers of all conditions."""
    assert all(set(COMMON) <= set(answer("openai", "openai", condition).headers) for condition in CONDITIONS)
