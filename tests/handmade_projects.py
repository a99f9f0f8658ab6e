"""Small projects written by hand into a folder: a study ``small`` and notebooks of a few cells, for real runs."""

import json

import nbformat

STUDY = """
study: small
title: {{ko: 작은 연구, en: A small study}}
question: {{ko: 무엇을?, en: What?}}
survey: small
headline: main
designs:
  main: {{sample: all}}
steps:
{steps}
"""
#: What every notebook of a study declares.
DECLARED = 'study: str = "small"\nlang: str = "en"'
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def lay_out(root):
    """Make the folders of a project without notebooks, and the files that every run reads."""
    for folder in ("notebooks", "params", "surveys/small", "outputs"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    (root / "requirements.lock").write_text("nothing\n", encoding="utf-8")
    (root / "surveys" / "small" / "survey.yml").write_text("id: small\n", encoding="utf-8")
    return root


def save_notebook(root, stem, cells, declared="", tags=("parameters",)):
    """Write a notebook of code cells, or pairs of code and tags, with what it declares beside study and language."""
    first = f"{DECLARED}\n{declared}".strip()
    code = [nbformat.v4.new_code_cell(first, id="declared", metadata={"tags": list(tags)})]
    for number, cell in enumerate(cells):
        source, marks = cell if isinstance(cell, tuple) else (cell, [])
        code.append(nbformat.v4.new_code_cell(source, id=f"code-{number}", metadata={"tags": marks} if marks else {}))
    text = nbformat.writes(nbformat.v4.new_notebook(cells=code, metadata=KERNEL))
    file = root / "notebooks" / f"{stem}.ipynb"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def save_study(root, steps, parameters=None, more=""):
    """Write the study with these lines of steps, and lines behind them."""
    given = f"parameters: {json.dumps(parameters, ensure_ascii=False)}\n" if parameters else ""
    file = root / "params" / "small.yml"
    text = STUDY.format(steps="\n".join(f"  {step}" for step in steps))
    file.write_text(text + given + more, encoding="utf-8")
    return file


def make(root, notebooks, needs=None, parameters=None):
    """Write notebooks (cells, or what one declares and its cells) by the name of their step, and the study."""
    steps = []
    for number, (name, cells) in enumerate(notebooks.items(), start=1):
        declared, cells = cells if isinstance(cells, tuple) else ("", cells)
        save_notebook(root, f"{number}0_{name}", cells, declared)
        steps.append(f"{name}: {{notebook: {number}0_{name}, needs: {json.dumps((needs or {}).get(name, []))}}}")
    save_study(root, steps, parameters)


def executed(folder, name):
    """Return a notebook of a run."""
    return nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)


def states(report):
    """Return what became of each step of a run."""
    return {outcome.step: outcome.state for outcome in report.outcomes}
