"""NOTATION.md names what is there: each name in code stands in the chapters that the table says."""

import ast
import re
from functools import cache
from pathlib import Path

import cells
import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "tutorials" / "NOTATION.md").read_text(encoding="utf-8")
COLUMNS = ["symbol", "meaning", "shape", "row or column", "in code", "P", "G", "N", "S", "Chen"]
LINES = [line for line in TEXT.splitlines() if line.startswith("|")]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES[2:]]
NAMED = re.compile(r"`(\w+)` \(((?:\d+|library)(?:, (?:\d+|library))*)\)")
NAMES = [
    (name, place)
    for row in ROWS
    for name, places in NAMED.findall(row[4])
    for place in places.split(", ")
]


@cache
def identifiers(place):
    """Return the names in the code of a chapter or of the library, without those of strings."""
    library = (ROOT / "tinyode").rglob("*.py")
    paths = library if place == "library" else [cells.chapters()[int(place)]]
    nodes = [
        node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    found = {
        getattr(node, field, None) for node in nodes for field in ("id", "arg", "attr", "name")
    }
    return {name for name in found if isinstance(name, str)}


def test_the_table_is_whole():
    assert [cell.strip() for cell in LINES[0].strip("|").split("|")] == COLUMNS
    assert 30 <= len(ROWS) <= 45
    for row in ROWS:
        assert len(row) == len(COLUMNS), row  # a formula with | in it would be cut in two
        assert NAMED.sub("", row[4]).strip(", ") == "", row[4]  # nothing but names with places
        assert all(row[5:]) and row[4], row[0]
    symbols = [row[0] for row in ROWS]
    assert len(set(symbols)) == len(symbols)


@pytest.mark.parametrize("name, place", NAMES, ids=[f"{name}, {place}" for name, place in NAMES])
def test_a_name_is_in_the_code(name, place):
    assert name in identifiers(place)


def test_other_names_are_not_in_the_code():
    """A letter of a source that the code does not have is missed."""
    assert "ODESolve" not in identifiers("library") and "a_theta" not in identifiers("3")


def test_formulas_survive_markdown():
    assert TEXT.count("$") % 2 == 0
    for formula in re.findall(r"\$([^$]+)\$", re.sub(r"`[^`]*`", "", TEXT)):
        assert not re.search(r"\\[^a-zA-Z ]|\*|<[a-zA-Z/!]", formula), formula
        assert formula == formula.strip() and "\n" not in formula, formula
