"""Errors of syntax in the words of somebody who writes a settings file."""

from __future__ import annotations

import yaml

from edge.strict_yaml.document import Problem

# libyaml's words, what they mean to somebody who writes a settings file, and what to do.
_SYNTAX = (
    ("tab character", "a tab where blanks are needed", "indent with spaces"),
    ("mapping values are not allowed", "a second ': ' on one line, or a wrong indentation",
     "put a text that holds ': ' in quotes, and line keys of one mapping up"),
    ("cannot start any token", "a character that no plain text begins with",
     "put the text in quotes; indent with spaces, not tabs"),
    ("unexpected end of stream", "the file ends inside quotes", "close the quotes that were opened here"),
    ("unexpected document indicator", "--- or ... inside quotes", "close the quotes that were opened here"),
    ("expected ':'", "a line that is neither a key nor an item", "write `key: value`, or `- item` in a list"),
    ("expected key", "a line that is no key of this mapping",
     "line keys of one mapping up; check quotes above"),
    ("expected '-' indicator", "a line that is no item of this list",
     "begin items with `- ` and line them up"),
    ("expected ',' or ']'", "a [list] that is not closed", "put a comma between items and ] at the end"),
    ("expected ',' or '}'", "a {mapping} that is not closed", "put a comma between members and } at the end"),
    ("escape character", "an unknown \\ escape in double quotes", "write \\\\ for \\, or use single quotes"),
    ("<document start>", "a line that belongs to nothing above", "line keys of one mapping up"),
    ("expected node content", "a value is missing", "write a value, or close what was opened above"),
)
LONGEST_KEY = 1024      # characters, of one on a line with its value (YAML 1.2.2 section 7.4.2)


def syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    """The parser's error with its meaning, where it is best looked at, and a way out."""
    said = str(error.problem or error.context or "not YAML")
    message, way_out = said, "check indentation, quotes and brackets at and above this line"
    for part, meaning, way in _SYNTAX:
        if part in said:
            message, way_out = meaning, way
            break
    if error.problem_mark and _is_long_key(text.split("\n"), error.problem_mark):
        message, way_out = "a key of more than 1024 characters", "shorten it"
    # An opened bracket or quote is missed at the end of the file; where it was opened helps more.
    mark = error.problem_mark
    if error.context_mark and ("not closed" in message or "inside quotes" in message):
        mark = error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.rstrip().split("\n")
    if line > len(lines):                   # at the end: not on a line that nobody wrote
        line, column = len(lines), len(lines[-1]) + 1
    return Problem(line, column, (), message, way_out)


def _is_long_key(lines: list[str], mark: yaml.Mark) -> bool:
    """Whether a place is behind a word, or quotes, of more than a key may have."""
    tail = lines[mark.line][:mark.column].rstrip()[-LONGEST_KEY - 1:] if mark.line < len(lines) else ""
    if len(tail) <= LONGEST_KEY:
        return False
    return not any(map(str.isspace, tail)) or (tail[-1] in "\"'" and tail[-1] not in tail[:-1])
