"""Every reference case of the four files is named by a test; none is passed over in silence."""

import ast
import functools
import json
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("lalonde", "nhefs", "nhanes", "integration")

#: Cases that no test reaches, each with the reason. A case that is reached may not stand here.
NOT_REACHED: dict[str, str] = {}


def ids():
    """Return the id of every case, in the order of the files."""
    loaded = (json.loads((HERE / "comparison" / f"{name}_expected.json").read_text(encoding="utf-8")) for name in FILES)
    return [case["id"] for file in loaded for case in file["cases"]]


@functools.cache
def words_of(source):
    """Return the texts and numbers of a module, as text, and what its f-strings that begin with text can become."""
    nodes = list(ast.walk(ast.parse(source)))
    constants = {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    patterns = []
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            parts = [re.escape(part.value) if isinstance(part, ast.Constant) else "(.+)" for part in node.values]
            patterns.append((node.values[0].value, re.compile("".join(parts))))
    return constants, patterns


def named_by(source, case):
    """Tell whether a module names a case, in one piece or filled in with values that stand in it too."""
    constants, patterns = words_of(source)
    if case in constants:
        return True
    found = (pattern.fullmatch(case) for start, pattern in patterns if case.startswith(start))
    return any(match is not None and constants.issuperset(match.groups()) for match in found)


@functools.cache
def reached():
    sources = [
        path.read_text(encoding="utf-8")
        for path in sorted(HERE.glob("test_comparison*.py"))
        if path.name != Path(__file__).name
    ]
    return {case for case in ids() if any(named_by(source, case) for source in sources)}


def test_there_are_ninety_cases():
    assert len(ids()) == len(set(ids())) == 90


def test_every_case_is_named_by_a_test_or_says_why_not():
    silent = [case for case in ids() if case not in reached() and case not in NOT_REACHED]
    assert silent == []


def test_what_is_said_not_to_be_reached_is_a_case_and_is_not_reached():
    assert set(NOT_REACHED) <= set(ids())
    assert not set(NOT_REACHED) & reached()


@pytest.mark.parametrize(
    ("source", "is_named"),
    [
        ('CASES["lalonde-ipw-ATE"]', True),
        ('for e in ("ATE", "ATT"): CASES[f"lalonde-ipw-{e}"]', True),
        ('for e in ("ATT",): CASES[f"lalonde-ipw-{e}"]', False),
        ('CASES[f"{name}"]', False),
        ("# lalonde-ipw-ATE", False),
    ],
)
def test_a_case_counts_as_named_only_where_it_is_looked_up(source, is_named):
    assert named_by(source, "lalonde-ipw-ATE") == is_named
