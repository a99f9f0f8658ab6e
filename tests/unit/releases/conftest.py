"""Two small studies of two years in a project of their own."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_runs.py"))))


@pytest.fixture
def city(tmp_path, monkeypatch):
    """A project with studies city_2016 and city_2017, without runs, and the functions that write them."""
    project = made.project_of(tmp_path / "project")
    monkeypatch.setenv("EVALUATION_PROJECT", str(project.root))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    project.means, project.rows_of = made.means, made.rows_of
    project.declare = lambda **words: made.declare(project, **words)
    project.write_old = lambda items, **more: made.write_run(project.old, items, **more)
    project.write_new = lambda items, **more: made.write_run(project.new, items, **more)
    project.write_run = made.write_run
    return project
