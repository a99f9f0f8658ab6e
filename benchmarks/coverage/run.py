"""How often 95 % intervals hold the truth, in 4,000 seeded samples of each population; beside R for cluster samples.

Run ``python benchmarks/coverage/run.py``; it writes ``coverage.csv`` beside itself. Without ``Rscript`` and the
package ``survey`` the column of R stays empty.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from designs import STUDIES, Study, covered

SAMPLES, SEED = 4_000, 2016
HERE = Path(__file__).resolve().parent
CLUSTERS = "apipop, 15 of 757 districts"
NAMES = {"mean": "mean", "total": "total", "post-stratified total": "poststratified"}


def by_r(study: Study) -> dict[str, float]:
    """Return the coverage of R's intervals on the same cluster samples, by name of the estimate."""
    if shutil.which("Rscript") is None:
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = [
            study.draw(np.random.default_rng([SEED, number])).assign(sample=number)[
                ["sample", "dnum", "stype", "api00"]
            ]
            for number in range(SAMPLES)
        ]
        pd.concat(drawn).to_csv(folder / "samples.csv", index=False)
        done = subprocess.run(
            ["Rscript", str(HERE / "clusters.R"), str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stderr)
            return {}
        limits = pd.read_csv(folder / "limits.csv")
    return {
        ours: float(
            ((limits[f"{theirs}_low"] <= study.truth[ours]) & (study.truth[ours] <= limits[f"{theirs}_high"])).mean()
        )
        for ours, theirs in NAMES.items()
    }


def main() -> None:
    """Count coverage in every population."""
    tables = []
    for name, make in STUDIES.items():
        study = make()
        found = covered(study, SAMPLES, SEED)
        peer = by_r(study) if name == CLUSTERS else {}
        groups = found.groupby("estimate", sort=False)
        table = (
            pd.DataFrame(
                {
                    "population": name,
                    "samples": SAMPLES,
                    "ours": groups["covers"].mean(),
                    "r_survey": pd.Series(peer),
                    "mean_std_error": groups["std_error"].mean(),
                    "true_std_error": groups["value"].std(),
                    "median_df": groups["df"].median(),
                }
            )
            .loc[list(study.truth)]
            .rename_axis("estimate")
            .reset_index()
        )
        print(table.to_string(), flush=True)
        tables.append(table)
    whole = pd.concat(tables)
    whole["mean_std_error"] = whole["mean_std_error"].map("{:.5g}".format)
    whole["true_std_error"] = whole["true_std_error"].map("{:.5g}".format)
    whole.round({"ours": 4, "r_survey": 4, "median_df": 1}).to_csv(HERE / "coverage.csv", index=False)


if __name__ == "__main__":
    main()
