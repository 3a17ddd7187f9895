"""Contracts as files: the shipped ones, an operator's own, and files with mistakes in them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from edge import contract
from edge._fast import Condition, Template
from edge.contract import ContractError
from edge.contract.conditions import UNANSWERED, read
from tests.contract.answers import CONDITIONS, CONTRACTS, SURFACES, answer

SHIPPED = Path(contract.__file__).parent
BASED = "name: mine\nbase: openai\n"
WHOLE = (SHIPPED / "contracts/generic.yaml").read_text().replace("name: generic", "name: mine")


def problems(text: str, tmp_path: Path, name: str = "mine") -> list[str]:
    """What is said of a file, without its folder."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ContractError) as caught:
        contract.load(name, (str(file),))
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_conditions_are_those_of_the_enum() -> None:
    """Every condition of the enum has a meaning, but for the two that have no answer."""
    assert list(contract.meanings()) == [condition.name for condition in CONDITIONS]
    assert contract.blames() == {name: meaning.blame for name, meaning in contract.meanings().items()}


def test_conditions_read_as_sentences() -> None:
    """Summary, cause and fix of every condition are there and end as sentences do."""
    for meaning in contract.meanings().values():
        assert all(re.fullmatch(r"[A-Z].*[.)]", text) for text in (meaning.summary, meaning.cause, meaning.fix))


@pytest.mark.parametrize(("old", "new", "said"), [
    ("blame: client", "blame: nobody", "conditions.request_malformed.blame: cannot be nobody"),
    ("  request_timeout:", "  request_timeuot:", "there is no request_timeuot here - request_timeout is meant?"),
    ("retry: now", "retry: later", "conditions.request_timeout.wait: goes with retry: later"),
    ("slots: [limit]", "slots: [limits]", "there is no slot limits"),
    ("than {limit} bytes", "than {limits} bytes", "body_too_large has no value for {limits}"),
    ("  field: unknown\n", "", "slots.field: is missing"),
    ("like: provider_unreachable", "like: provider_unreached",
     "conditions.provider_disconnected.like: cannot be provider_unreached - provider_unreachable is meant?"),
    ("like: provider_unreachable", "like: provider_cut",
     "conditions.provider_disconnected.like: cannot be provider_cut"),
    ("    reservation: returned\n", "", "conditions.request_malformed.reservation: is missing"),
])
def test_a_wrong_table_of_conditions_is_told(old: str, new: str, said: str) -> None:
    """The table of conditions is refused with the place of what is missing, misspelt or not known."""
    text = (SHIPPED / "conditions.yaml").read_text()
    with pytest.raises(ContractError, match=re.escape(said)):
        read(text.replace(old, new, 1), "conditions.yaml")


def test_shipped_contracts_answer_everything_everywhere() -> None:
    """Each shipped contract bears its file's name and has a template for each condition on every surface."""
    assert {"openai", "anthropic", "generic", "token360", "tokenbay", "tokenfactory", "tokenpak"} <= set(CONTRACTS)
    for name in CONTRACTS:
        assert contract.load(name).name == name
        for surface in SURFACES:
            compiled = contract.compile_surface(name, surface)
            assert [isinstance(found, Template) for found in compiled] == [c not in UNANSWERED for c in Condition]
            assert [found.status if found else 0 for found in compiled] == contract.statuses(name)
            assert all(found is None or found.condition == c.name for found, c in zip(compiled, Condition, strict=True))


def test_compiling_all_contracts_is_quick() -> None:
    """All surfaces of all contracts, as a reload compiles them, take a blink even on a slow and busy machine."""
    contract.compile_surface("openai", "openai")
    best = []
    for _ in range(3):
        start = time.process_time()
        for name in CONTRACTS:
            for surface in SURFACES:
                contract.compile_surface(name, surface)
        best.append(time.process_time() - start)
    assert min(best) < 0.5


def test_masking_changes_one_status() -> None:
    """The statuses for metric labels follow provider_rate_limit: mask."""
    passed, masked = contract.statuses("tokenpak"), contract.statuses("tokenpak", ("mask_rate_limit",))
    changed = [(c, passed[c], masked[c]) for c in Condition if passed[c] != masked[c]]
    assert changed == [(c, 429, 502) for c in (Condition.provider_rate_limited, Condition.keys_limited)]


def test_a_contract_of_one_s_own_says_only_what_differs(tmp_path: Path) -> None:
    """A file with a base changes what it says, cell by cell, and leaves the rest to the base."""
    file = tmp_path / "acme.yaml"
    readme = (SHIPPED / "README.md").read_text()
    file.write_text(re.search(r"```yaml\n(.*?)```", readme, re.S)[1])      # type: ignore[index]
    files = (str(file),)
    assert contract.names(files) == (*contract.names(), "acme")
    own = answer("acme", "openai", Condition.key_unknown, files=files)
    assert own.status == 401 and own.body["error"]["code"] == "bad_key"
    assert own.body["error"]["message"] == "This key is not valid. Ask #platform for one."
    slow = answer("acme", "openai", Condition.rate_limited, {"retry_after": 8500}, files=files)
    assert slow.body["error"]["message"] == "Slow down, please, for 9 seconds."
    same = answer("openai", "anthropic", Condition.json_invalid).body
    assert answer("acme", "anthropic", Condition.json_invalid, files=files).body == same


def test_a_condition_that_is_like_another_needs_no_row(tmp_path: Path) -> None:
    """A contract without a row for it answers it as the other one, and one that has a row as that says."""
    file = tmp_path / "mine.yaml"
    for row, code in (("", "gone"), ("  provider_disconnected: {status: 502, code: hung_up}\n", "hung_up")):
        file.write_text(WHOLE.replace("  provider_unreachable: {status: 502}\n",
                                      "  provider_unreachable: {status: 502, code: gone}\n" + row))
        found = answer("mine", "openai", Condition.provider_disconnected, files=(str(file),))
        assert found.body["error"]["code"] == code


def test_an_envelope_can_be_any_json(tmp_path: Path) -> None:
    """Names are filled in anywhere in an envelope: numbers stay numbers, null stays null, text is text."""
    file = tmp_path / "mine.yaml"
    file.write_text(BASED + '''
surfaces:
  openai:
    envelope:
      ok: false
      "text {x": ["{message} ({code}, {{{condition}}})", 1.5, null, {}, []]
      status: "{status}"
      wait: "{retry_after}"
      param: "{param}"
      blame: "{blame}"
conditions:
  key_unknown: {code: 7, param: null, message: "A \\"quoted\\" é {status_name}"}
''')
    assert answer("mine", "openai", Condition.key_unknown, files=(str(file),)).body == {
        "ok": False, "text {x": ['A "quoted" é unauthorized (7, {key_unknown})', 1.5, None, {}, []],
        "status": 401, "wait": None, "param": None, "blame": "tenant"}
    assert answer("mine", "openai", Condition.rate_limited, files=(str(file),)).body["wait"] == 1


def test_a_base_may_have_a_base(tmp_path: Path) -> None:
    """A contract may build on another of the operator's."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("name: a\nbase: b\nconditions: {draining: {code: from_a}}\n")
    second.write_text("name: b\nbase: tokenpak\nconditions: {draining: {code: from_b, message: Later}}\n")
    files = (str(first), str(second))
    error = answer("a", "openai", Condition.draining, files=files).body["error"]
    assert error == {"type": "service_unavailable", "code": "from_a", "message": "Later"}


@pytest.mark.parametrize(("text", "said"), [
    ("", ["mine.yaml:1:1: name: a contract needs a name - write name: NAME at the top"]),
    ("[1]", ["mine.yaml:1:1: name: a contract needs a name - write name: NAME at the top"]),
    ("name: openai\nbase: openai", ["mine.yaml:1:1: name: openai is a contract of the gateway's own - "
                                    "another name, with base: openai"]),
    ("name: mine\nname: yours", ["mine.yaml:2:1: name: the key is here twice, first at line 1 - "
                                 "keep one of the two, with what stands under both"]),
    ("name: mine\nbase: opnai", ["mine.yaml:2:1: base: there is no contract opnai - openai is meant?"]),
    ("name: mine\nbase: mine", ["mine.yaml:2:1: base: is a contract that is built on this one - "
                                "end with a contract without base"]),
    (BASED + "conditions:\n  key_unkown: {code: a}",
     ["mine.yaml:4:3: conditions.key_unkown: there is no key_unkown here - key_unknown is meant?"]),
    (BASED + "conditions:\n  draining: {status: 200}\n  key_unknown:\n    status: 1000",
     ["mine.yaml:4:14: conditions.draining.status: cannot be 200 - an error status of HTTP, such as 400 or 502",
      "mine.yaml:6:5: conditions.key_unknown.status: cannot be 1000 - an error status of HTTP, such as 400 or 502"]),
    (BASED + "conditions:\n  draining: {status: upstream}",
     ["mine.yaml:4:14: conditions.draining.status: cannot be upstream - an error status of HTTP, such as 400 or 502"]),
    (BASED + "conditions:\n  draining: {mesage: no}",
     ["mine.yaml:4:22: conditions.draining.mesage: no is a truth value to some readers of YAML - "
      'write false, or "no" for the text']),
    (BASED + "conditions:\n  draining: {mesage: later}",
     ["mine.yaml:4:14: conditions.draining.mesage: there is no mesage here - message is meant?"]),
    (BASED + "conditions:\n  draining: {message: 'in {retry_after} s of {model}'}",
     ["mine.yaml:4:14: conditions.draining.message: draining has no value for {model} - "
      "of request_id, trace_id, status, status_name, condition, retry_after"]),
    (BASED + "conditions:\n  draining: {message: 'in {'}",
     ["mine.yaml:4:14: conditions.draining.message: has braces that name nothing - "
      "write {name}, or {{ and }} for braces"]),
    (BASED + "conditions:\n  draining: {message: ''}",
     ['mine.yaml:4:14: conditions.draining.message: must be a text - write "TEXT"']),
    (BASED + "conditions:\n  draining: {code: true}",
     ['mine.yaml:4:14: conditions.draining.code: must be a text - write "TEXT"']),
    (BASED + "conditions:\n  draining: 503",
     ["mine.yaml:4:3: conditions.draining: must be a mapping - "
      "write its members: status, type, code, param, message, retry_after, when"]),
    (BASED + "conditions:\n  draining: {when: {masked: {status: 500}}}",
     ["mine.yaml:4:21: conditions.draining.when.masked: there is no masked here - one of mask_rate_limit, revoked_401, "
      "revoked_403"]),
    (BASED + "surfaces: {openai: {envelope: {error: '{mesage}'}}}",
     ["mine.yaml:3:21: surfaces.openai.envelope: does not give the message - put \"{message}\" somewhere into it",
      "mine.yaml:3:32: surfaces.openai.envelope.error: an envelope has no {mesage} - of type, code, message, param, "
      "request_id, trace_id, status, condition, blame, retry_after"]),
    (BASED + "surfaces: {openai: {}}", ["mine.yaml:3:12: surfaces.openai.envelope: is missing - add envelope"]),
    (BASED + "surfaces: {web: {envelope: '{message}'}}",
     ["mine.yaml:3:12: surfaces.web: there is no web here - one of openai, anthropic, admin"]),
    (BASED + "default: {type: a}", ["mine.yaml:3:1: default: there is no default here - defaults is meant?"]),
    (BASED + "about: 5", ['mine.yaml:3:1: about: must be a text - put it in quotes: "..."']),
    (BASED + "a: [", ["mine.yaml:3:5: a value is missing - write a value, or close what was opened above"]),
    (WHOLE.replace("  draining: {status: 503}\n", ""),
     ["mine.yaml:20:1: conditions.draining: this condition has no answer - "
      "add draining: {status: ...}, or take the rest from a base"]),
])
def test_mistakes_are_told_with_place_and_way_out(text: str, said: list[str], tmp_path: Path) -> None:
    """Everything wrong with a file is told at once, with line, column, key and the way out."""
    told = problems(text, tmp_path)
    assert [line for line in told if line in said] == said
    assert all(re.match(r"mine\.yaml:\d+:\d+: .+ - .+", line) for line in told)


def test_a_name_that_is_not_there_is_told() -> None:
    """A contract that does not exist is refused with the name that may have been meant."""
    with pytest.raises(ContractError, match="there is no contract tokenpek - tokenpak is meant"):
        contract.load("tokenpek")


def test_a_surface_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A contract without an envelope for a surface is refused there."""
    file = tmp_path / "mine.yaml"
    start, end = WHOLE.index("  anthropic:"), WHOLE.index("defaults:")
    file.write_text(WHOLE[:start] + WHOLE[end:])
    assert contract.compile_surface("mine", "openai", files=(str(file),))
    with pytest.raises(ContractError, match="mine has no surface admin - add its envelope"):
        contract.compile_surface("mine", "admin", files=(str(file),))


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    """Two files cannot give themselves the same name."""
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text(BASED)
    with pytest.raises(ContractError, match=r"b\.yaml:1:1: name: mine is also the name in .*a\.yaml"):
        contract.names([str(file) for file in files])


@pytest.mark.parametrize(("content", "said"), [
    (None, "cannot be read: No such file"), (b"name: \xff\n", "a byte that is not UTF-8"),
    (b"#" * ((1 << 20) + 1), "is larger than 1 MB"),
])
def test_a_file_that_cannot_be_read_is_told(content: bytes | None, said: str, tmp_path: Path) -> None:
    """A file that is absent, no UTF-8 or huge is refused with the reason."""
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ContractError, match=said):
        contract.load("mine", (str(file),))
