"""The commands of keys, as an operator types them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from edge.cli import main
from edge.cli.keys import keys
from tests.laws.sources import ROOT
from tests.store.conftest import Admin, Start, run, told

BLOCK = re.compile(r"```sh\n(.*?)```", re.S)


PAGES = {"docs/keys.md": ["delete", "revoke", "unfreeze"],
         "docs/accounts.md": ["delete account", "update", "update workspace"]}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_as_it_is_written(page: str, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands of a page do well, one after the other."""
    admin = start(workers=1)
    monkeypatch.chdir(tmp_path)
    lines = "".join(BLOCK.findall((ROOT / page).read_text())).splitlines()
    assert len(lines) > 8
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        result = CliRunner().invoke(main, [*words, "--config", str(admin.edge.file), *(
            () if words[0] == "store" else ("--admin", admin.edge.admin))])
        assert result.exit_code == 0, (line, result.output)
    assert [entry["action"] for entry in told(admin, "audit", "--last", "3")] == PAGES[page]


def test_options_say_what_the_api_takes(admin: Admin) -> None:
    """Every setting of a key has its option, in `create` and in `set`, and --unset takes it out."""
    made = told(admin, "keys", "create", "typed", "--model", "gpt-*", "--model", "o3", "--deny-model", "gpt-*-pro",
                "--address", "127.0.0.0/8", "--deny-address", "127.0.0.2", "--hours", "00:00-24:00", "--scope", "chat",
                "--tag", "a", "--requests-per-second", "1.5", "--burst-size", "3", "--requests-per-minute", "4",
                "--tokens-per-minute", "5000", "--input-tokens-per-minute", "6000",
                "--output-tokens-per-minute", "7000", "--concurrent-requests", "8", "--expires", "2031-01-01",
                "--priority", "low", "--metadata", "a=b=c")
    admin.use(made["secret"])
    shown = told(admin, "keys", "show", "typed")
    expected = {"models": ["gpt-*", "o3"], "denied_models": ["gpt-*-pro"], "allowed_addresses": ["127.0.0.0/8"],
                "denied_addresses": ["127.0.0.2"], "hours": ["00:00-24:00"], "scopes": ["chat"], "tags": ["a"],
                "rate_limit": {"requests_per_second": 1.5, "burst_size": 3, "requests_per_minute": 4,
                               "tokens_per_minute": 5000, "input_tokens_per_minute": 6000,
                               "output_tokens_per_minute": 7000, "concurrent_requests": 8},
                "expires": "2031-01-01", "priority": "low", "metadata": {"a": "b=c"}}
    assert expected.items() <= shown.items()
    changed = told(admin, "keys", "set", "typed", "--model", "o3", "--unset", "hours", "--unset",
                   "rate_limit.burst_size", "--requests-per-minute", "9")
    assert changed["models"] == ["o3"] and "hours" not in changed
    assert changed["rate_limit"]["requests_per_minute"] == 9 and "burst_size" not in changed["rate_limit"]


def test_tables_are_for_people(admin: Admin) -> None:
    """Keys, one key and the audit come as lines that name what there is, and a secret comes once."""
    said = run(admin, "keys", "create", "seen", "--tag", "blue").output
    (secret,) = re.findall(r"sk-[\w-]{43}", said)
    admin.use(secret)
    rotated = run(admin, "keys", "rotate", "seen").output
    assert "former secret works until" in rotated
    for words in (("keys", "list"), ("keys", "show", "seen"), ("audit", "seen")):
        output = run(admin, *words).output
        assert "seen" in output and secret not in output
    assert re.search(r"test +active +- +file", run(admin, "keys", "list").output)
    assert "blue" in run(admin, "keys", "list").output


def test_what_is_refused_is_told(admin: Admin) -> None:
    """A command that is refused says why in a line and ends with 1."""
    for words, why in ((("keys", "revoke", "nobody"), "no key nobody"), (("keys", "freeze", "test"), "file"),
                       (("keys", "create", "bad", "--hours", "noon"), "hours[0]")):
        result = run(admin, *words)
        assert result.exit_code == 1 and why in result.output, result.output


@pytest.mark.parametrize("words", [
    ("--requests-per-second", "nan"), ("--requests-per-second", "inf"), ("--requests-per-minute", "9" * 30),
    ("--tag", "\udcff"), ("--tag", "a", "--unset", "tags.a"), ("--requests-per-minute", "5", "--unset", "rate_limit"),
    ("--unset", "rate_limit", "--unset", "rate_limit.burst_size"), ("--unset", "expire")], ids=" ".join)
def test_options_that_cannot_be_meant(admin: Admin, words: tuple[str, ...]) -> None:
    """What is no number, no text or contradicts itself is told in a line, and the key's limit stays."""
    if run(admin, "keys", "show", "strange").exit_code:
        told(admin, "keys", "create", "strange", "--requests-per-second", "2")
    result = run(admin, "keys", "set", "strange", *words)
    assert isinstance(result.exception, SystemExit) and "Error: " in result.output, result.output
    assert told(admin, "keys", "show", "strange")["rate_limit"] == {"requests_per_second": 2}


def test_a_name_of_any_bytes(admin: Admin) -> None:
    """A name that is no UTF-8 is one that there is not."""
    result = run(admin, "keys", "show", "\udcff")
    assert isinstance(result.exception, SystemExit) and "There is no key" in result.output


def test_names_complete(admin: Admin) -> None:
    """The shell completes the names of the gateway's keys."""
    told(admin, "keys", "create", "complete-me")
    completion = ShellComplete(keys, {}, "keys", "_KEYS_COMPLETE")
    found = completion.get_completions(["show", "--admin", admin.edge.admin], "comp")
    assert [item.value for item in found] == ["complete-me"]
