"""The strict reader of YAML: values, places, and everything that it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.strict_yaml import StrictYAMLError, load

# Without characters that a text file has no place for, and line ends that only YAML knows.
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(1 - 2**63, 2**63 - 1), TEXTS,
                    st.floats(allow_nan=False, allow_infinity=False))
TREES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)), max_leaves=8)


def said(text: str) -> list[str]:
    """The problems of a text as place: key: message."""
    with pytest.raises(StrictYAMLError) as caught:
        load(text, "f.yaml")
    for problem in caught.value.problems:
        assert problem.way_out and problem.message and problem.line >= 1 and problem.column >= 1
    return [line.rpartition(" - ")[0].removeprefix("f.yaml:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("# a comment", None), ("~", None), ("null", None), ("true", True), ("False", False), ("TRUE", True),
    ("0", 0), ("-7", -7), ("+7", 7), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("6.", 6.0), ("-0.0", -0.0),
    ("text", "text"), ("'on'", "on"), ('"010"', "010"), ("on call", "on call"), ("127.0.0.1:80", "127.0.0.1:80"),
    ("2026-01-31", "2026-01-31"), ("::1", "::1"), ("8080:80", "8080:80"), ("|\n  yes\n", "yes\n"), ("nay", "nay"),
    ("0.1.2", "0.1.2"), ("gpt-*", "gpt-*"), ("a_b", "a_b"), ("1st", "1st"), ("-9223372036854775807", 1 - 2**63),
    ("{a: [1, {b: c}]}", {"a": [1, {"b": "c"}]}),
    ("---\na: 1\n...\n", {"a": 1}), ("\ufeffa: 1", {"a": 1}), ("a:\nb: ''", {"a": None, "b": ""}),
])
def test_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    """Texts that every reader of YAML takes alike have their value, of the same type."""
    found = load(text, "f.yaml").data
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["on", "Off", "yes", "NO", "y", "N", "1:30", "-1:30:00", "190:20:30.15", "010", "0o17",
                                  "0x1F", "0b101", "007", "-01", "01.5", "1_000", "1_0.5", ".inf", "-.INF", ".nan",
                                  "1e999", "99999999999999999999", "0_1"])
def test_traps_are_refused_as_values_and_as_keys(text: str) -> None:
    """A text that some reader of YAML takes for something else is refused, with its place, until it is in quotes."""
    assert said(f"a:\n  b: {text}")[0].startswith(f"2:6: a.b: {text} is ")
    assert said(f"{text}: 1")[0].startswith("1:1: ")
    assert load(f'a: "{text}"\n"{text}": 1', "f.yaml").data == {"a": text, text: 1}


@pytest.mark.parametrize(("text", "problems"), [
    ("a: 1\nb: 2\na: 3", ["3:1: a: the key is here twice, first at line 1"]),
    ("a: {b: 1, 'b': 2}", ["1:11: a.b: the key is here twice, first at line 1"]),
    ("a: &x 1\nb: *x", ["1:4: a: the anchor &x", "2:4: b: the alias *x"]),
    ("a: &a [*a]", ["1:4: a: the anchor &a", "1:8: a[0]: the alias *a"]),
    ("<<: {a: 1}", ["1:1: <<: the merge key <<"]),
    ("a: !!str 5", ["1:4: a: the tag tag:yaml.org,2002:str"]),
    ("a: !!python/object:os.system x", ["1:4: a: the tag tag:yaml.org,2002:python/object:os.system"]),
    ("5: a", ["1:1: 5: the key 5 is not a text"]), ("true: a", ["1:1: true: the key true is not a text"]),
    ("? [a]\n: b", ["1:3: a key that is no text"]), ("~: a", ["1:1: ~: the key ~ is not a text"]),
    ("a: 1\n---\nb: 2", ["3:1: a second document"]),
    ("a: \x07", ["1:4: the character U+0007 has no place in a text file"]),
    ("a: \udc80", ["1:4: the character U+DC80 has no place in a text file"]),
    ("a: 1\n\tb: 2", ["2:1: a tab where blanks are needed"]),
    ("a: b: c", ["1:5: a second ': ' on one line, or a wrong indentation"]),
    ("a: 'x", ["1:4: the file ends inside quotes"]), ("a: @x", ["1:4: a character that no plain text begins with"]),
    ("a: [1, 2", ["1:4: a [list] that is not closed"]), ("a: {b", ["1:4: a {mapping} that is not closed"]),
    ('a: "\\q"', ["1:5: an unknown \\ escape in double quotes"]),
    ("- a\nb: c", ["2:1: a line that is no item of this list"]),
    ("a: yes\nb: 010\nc: [1", ["1:4: a: yes is a truth value to some readers of YAML",
                               "2:4: b: 010 is not decimal to some readers of YAML",
                               "3:4: a [list] that is not closed"]),
    ('a.b: {"c d": on}', ['1:14: "a.b"."c d": on is a truth value to some readers of YAML']),
])
def test_mistakes_are_told_with_their_place(text: str, problems: list[str]) -> None:
    """Every mistake up to the first error of syntax is told with line and column."""
    assert said(text) == problems


@pytest.mark.parametrize("text", ["[" * 100000, "{a: " * 50000, "- " * 50000, "? " * 50000])
def test_deep_nesting_is_refused(text: str) -> None:
    """A text that nests without end is refused and does not bring the process down."""
    assert said(text)


def test_places_are_of_keys_and_items() -> None:
    """A place is that of a mapping's key, a list's item, or the nearest section around what is missing."""
    document = load("a:\n  b:\n    - x\n    - {c: 1}\nd: 2\n", "f.yaml")
    where = {("a",): (1, 1), ("a", "b"): (2, 3), ("a", "b", 0): (3, 7), ("a", "b", 1, "c"): (4, 8), ("d",): (5, 1),
             ("a", "b", 7): (2, 3), ("a", "z", "y"): (1, 1), ("z",): (1, 1), (): (1, 1)}
    assert {path: document.where(path) for path in where} == where


@given(TREES)
def test_json_is_read_as_json(tree: Any) -> None:
    """A JSON text has the values that JSON gives it, of the same types."""
    for indent in (None, 2):
        text = json.dumps(tree, ensure_ascii=False, indent=indent)
        assert repr(load(text, "f.yaml").data) == repr(tree)


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, there is a document or a StrictYAMLError with places."""
    try:
        load(text, "f.yaml")
    except StrictYAMLError as error:
        assert error.problems and all(p.line >= 1 and p.column >= 1 for p in error.problems)
