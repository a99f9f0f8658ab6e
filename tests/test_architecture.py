"""Imports go one way: a module imports from lines above it, never below, and siblings on a line not at all."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "evaluation"

LINES = [
    ["errors"],
    ["project"],
    ["recording", "compiled_cells"],
    ["specification"],
    ["instances"],
    ["results"],
    ["vocabulary"],
    ["wording", "printed"],
    ["amounts"],
    ["sentences"],
    ["synthetic"],
    ["survey"],
    ["prespecification"],
    ["design"],
    ["regression"],
    ["weighting"],
    ["estimation"],
    ["comparison", "impact"],
    ["declared"],
    ["disclosure", "second_opinion", "typesetting"],
    ["tables", "figures"],
    ["deliverables"],
    ["publication"],
    ["gathering"],
    ["claims"],
    ["comparator"],
    ["study"],
    ["releases"],
    ["review", "report"],
    ["terminal"],
    ["cli"],
]
LEVEL = {name: level for level, names in enumerate(LINES) for name in names}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "core"}
#: Rooms that reach statistics only through notebooks.
THROUGH_NOTEBOOKS = {"study"}
STATISTICS = {"design", "regression", "weighting", "estimation", "comparison", "impact", "synthetic"}


def imported_rooms(source):
    """Rooms of the package that a module's source imports, wherever in it."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            rooms |= {name.name.split(".")[1] for name in node.names if name.name.startswith("evaluation.")}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "evaluation":
                rooms |= {parts[1]} if len(parts) > 1 else {name.name for name in node.names}
    return rooms


def violations(room, source):
    found = []
    for other in sorted(imported_rooms(source) - {room}):
        if other not in LEVEL:
            found.append(f"{room} imports {other}, which has no line")
        elif LEVEL[other] >= LEVEL[room]:
            found.append(f"{room} imports {other}, which is not above it")
        elif room in THROUGH_NOTEBOOKS and other in STATISTICS:
            found.append(f"{room} imports {other}, but reaches statistics only through notebooks")
    return found


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_go_one_way(path):
    assert violations(room_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("design", "from evaluation.weighting.raking import rake"),
        ("results", "import evaluation.figures"),
        ("figures", "from evaluation import tables"),
        ("comparison", "def f():\n    from evaluation.impact import panel"),
        ("study", "from evaluation.estimation.means import survey_mean"),
        ("survey", "from evaluation.helpers import x"),
    ],
)
def test_a_planted_upward_import_is_found(room, source):
    assert len(violations(room, source)) == 1


def test_rooms_have_lines_and_telling_names():
    rooms = {room_of(path) for path in modules()}
    assert rooms <= set(LEVEL)
    names = {path.stem for path in modules()} | rooms
    assert names & FORBIDDEN_NAMES == set()


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*/**/__init__.py")), ids=lambda path: path.parent.name)
def test_sub_packages_re_export_nothing(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


def test_public_verbs_exist_and_bear_no_room_name():
    import evaluation

    for name in evaluation.__all__:
        assert getattr(evaluation, name) is not None
    assert set(evaluation.__all__) & set(LEVEL) == set()
