import nbformat
import pytest

STUDY = """
study: small
title: {ko: 작은 연구, en: A small study}
question: {ko: 무엇을?, en: What?}
survey: small
headline: final
parameters: {trim_upper: 4, lang: ko}
designs:
  drawn: {sample: all}
  final:
    from: drawn
    chain:
      - trim_weights: {upper: $trim_upper}
steps:
  profile: {notebook: 10_profile}
  weighting:
    notebook: 20_weighting
    needs: [profile]
    parameters: {label: "011"}
"""
COMMON = 'study: str = "small"\nlang: str = "en"'
WEIGHTING = f"""{COMMON}
trim_upper: float = 5.0  # multiple of the median weight
replicates: int = 500
label: str = "none"
is_quick: bool = False"""


def notebook(parameters, tags=("parameters",), code="lang"):
    cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": list(tags)}), nbformat.v4.new_code_cell(code)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=metadata))


class Project:
    """A project in a folder of its own; every method changes one file of it."""

    def __init__(self, root):
        self.root = root
        for folder in ("notebooks", "params", "surveys/small"):
            (root / folder).mkdir(parents=True)
        (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
        self.study(STUDY)
        self.notebook("10_profile", COMMON)
        self.notebook("20_weighting", WEIGHTING)

    def study(self, text, name="small"):
        (self.root / "params" / f"{name}.yml").write_text(text, encoding="utf-8")

    def replaced(self, old, new):
        assert old in STUDY
        self.study(STUDY.replace(old, new))

    def notebook(self, stem, parameters, **options):
        (self.root / "notebooks" / f"{stem}.ipynb").write_text(notebook(parameters, **options), encoding="utf-8")

    def files(self):
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path / "project"))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return Project(tmp_path / "project")
