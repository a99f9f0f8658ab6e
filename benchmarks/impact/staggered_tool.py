"""One tool, one task, in a process of its own: prints seconds and memory, writes the effects that were found.

Run by ``staggered_speed.py`` as ``python staggered_tool.py <tool> <task> <folder>`` in the tool's environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from staggered_persons import COVARIATES, read

DRAWS = 999
Found = list[tuple[float, float, float]]


def ours(vcov: str) -> Callable[[pd.DataFrame], Found]:
    """Group-time effects, event study and its bands."""

    def work(frame: pd.DataFrame) -> Found:
        import evaluation as ev

        waves = ev.panel(ev.survey_design(frame, weights="w", psu="dong"), time="year")
        effects = ev.att_gt(
            waves,
            outcome="y",
            cohort="first",
            covariates=COVARIATES,
            control_group="nevertreated",
            cluster="district",
            vcov=vcov,  # type: ignore[arg-type]
        )
        for result in (effects, ev.aggregate(effects, type="dynamic")):
            ev.simultaneous_bands(result, seed=1, method="multiplier", draws=DRAWS)
        return list(zip(effects.keys["cohort"], effects.keys["time"], effects.estimate, strict=True))

    return work


def diff_diff(frame: pd.DataFrame) -> Found:
    """Repeated cross-sections with weights and clusters, multiplier bootstrap."""
    from diff_diff import CallawaySantAnna, SurveyDesign

    frame["person"] = np.arange(len(frame))
    model = CallawaySantAnna(panel=False, n_bootstrap=DRAWS, seed=1, cluster="district", pscore_trim=1e-9)
    design = SurveyDesign(weights="w")
    made = model.fit(
        frame, "y", "person", "year", "first", covariates=COVARIATES, aggregate="event_study", survey_design=design
    )
    return [(g, t, effect["effect"]) for (g, t), effect in made.group_time_effects.items()]


def csdid(frame: pd.DataFrame) -> Found:
    """Repeated cross-sections with weights and clusters, multiplier bootstrap."""
    from csdid.att_gt import ATTgt

    frame["person"] = np.arange(len(frame))
    model = ATTgt(
        yname="y",
        tname="year",
        idname="person",
        gname="first",
        data=frame,
        control_group=["nevertreated"],
        xformla="y ~ " + " + ".join(COVARIATES),
        panel=False,
        clustervar="district",
        weights_name="w",
        biters=DRAWS,
        cband=True,
    )
    made = model.fit(est_method="dr", base_period="varying", bstrap=True)
    made.aggte("dynamic", biters=DRAWS, cband=True)
    found = made.results
    return list(zip(found["group"], found["year"], found["att"], strict=True))


def differences(frame: pd.DataFrame) -> Found:
    """Repeated cross-sections with weights; its clusters fail, so errors of persons and no draws."""
    from differences import ATTgt

    frame["first"] = frame["first"].replace(0, np.nan)
    frame["person"] = np.arange(len(frame))
    model = ATTgt(data=frame.set_index(["person", "year"]), cohort_column="first")
    made = model.fit(
        formula="y ~ " + " + ".join(COVARIATES),
        est_method="dr",
        weights_column="w",
        as_repeated_cross_section=True,
        progress_bar=False,
    )
    made = made if isinstance(made, pd.DataFrame) else model.results(to_dataframe=True)
    made = made.reset_index()
    column = next(name for name in made.columns if "ATT" in str(name))
    return list(zip(made[made.columns[0]], made[made.columns[2]], made[column], strict=True))


def moderndid(frame: pd.DataFrame) -> Found:
    """Repeated cross-sections with weights and clusters, multiplier bootstrap."""
    import moderndid as md

    frame["person"] = np.arange(len(frame))
    made = md.att_gt(
        data=frame,
        yname="y",
        tname="year",
        idname="person",
        gname="first",
        xformla="~ " + " + ".join(COVARIATES),
        panel=False,
        control_group="nevertreated",
        weightsname="w",
        clustervars=["district"],
        boot=True,
        biters=DRAWS,
    )
    return list(zip(made.groups, made.times, made.att_gt, strict=True))


TASKS: dict[str, Callable[[pd.DataFrame], Found]] = {
    "ours": ours("cluster"),
    "ours_left_out": ours("jackknife"),
    "diff_diff": diff_diff,
    "csdid": csdid,
    "differences": differences,
    "moderndid": moderndid,
}


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return float(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def main(tool: str, folder: Path) -> None:
    """Run a tool once and print one line of JSON."""
    frame = read(folder)
    wall, cpu = time.perf_counter(), time.process_time()
    found = TASKS[tool](frame)
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak_mb": _memory("VmHWM")}
    np.save(folder / f"found-{tool}.npy", np.array(sorted(found), dtype=float))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
