"""The README's walk-through runs as it stands, on a file such as it describes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def own_survey(n=600):
    rng = np.random.default_rng(11)
    district = np.repeat(["마포구", "종로구", "구로구"], n // 3)
    return pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "district": district,
            "block": np.repeat(np.arange(101, 101 + n // 20), 20),
            "weight": rng.uniform(800, 2400, n).round(1),
            "sex": rng.choice(["f", "m"], n),
            "age": rng.choice(["15-29", "30-49", "50+"], n),
            "settle": rng.choice(["yes", "no"], n, p=[0.6, 0.4]),
        }
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_the_walk_through_runs(tmp_path, monkeypatch, encoding):
    columns = re.search(r"```csv\n(.*?)\n", README)[1].split(",")
    frame = own_survey()
    assert list(frame.columns) == columns
    frame.to_csv(tmp_path / "my_survey.csv", index=False, encoding=encoding)
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["raked"].weights.sum() == pytest.approx(1_000_000)
    written = pd.read_csv(tmp_path / "settle.csv")
    assert sorted(written["district"].unique()) == ["구로구", "마포구", "종로구"]
    last = names["ev"].contrast(
        names["means"], {"women - men": {"settle | level=yes,sex=f": 1, "settle | level=yes,sex=m": -1}}
    )
    assert last.std_error[0] > 0


def test_the_readme_names_what_exists():
    surveys, studies = README.split("| study |")
    for survey in re.findall(r"^\| `(\w+)` \|", surveys, flags=re.MULTILINE):
        assert (ROOT / "surveys" / survey / "survey.yml").is_file()
    for study in re.findall(r"^\| `(\w+)` \|", studies, flags=re.MULTILINE):
        assert (ROOT / "params" / f"{study}.yml").is_file()
    for notebook in re.findall(r"\b(\d\d_\w+)\b", README):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").is_file()
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / picture).is_file(), picture


def test_the_readme_lists_all_surveys_and_studies():
    for path in [*(ROOT / "surveys").glob("*/survey.yml"), *(ROOT / "params").glob("*.yml")]:
        name = path.parent.name if path.name == "survey.yml" else path.stem
        assert f"| `{name}` |" in README


def test_the_readme_counts_the_claims_of_the_register():
    register = pd.read_csv(ROOT / "params" / "claims" / "api_2000.csv")
    stated = int(re.search(r"(\d+) printed numbers, all reproduced", README)[1])
    assert stated == len(register)
    assert (register["reproducible"] == "yes").all()


def test_the_readme_states_the_published_result():
    rows = pd.read_csv(ROOT / "outputs" / "reference" / "api_2000" / "tables" / "mean_by_design.csv")
    error = rows.set_index("design")["std_error"]
    stated = re.search(
        r"(\d+) schools of 15 districts, weighted (\w+) ways.*?from ([\d.]+)\s+to (\d+) points", README, re.S
    )
    schools, ways, before, after = stated.groups()
    assert (int(schools), ways) == (rows["n_obs"].max(), "six")
    assert len(rows) == 6
    assert (before, after) == (f"{error['clus1']:.1f}", f"{error['clus1_calibrated']:.0f}")
