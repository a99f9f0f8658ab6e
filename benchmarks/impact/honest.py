"""Robust sets of a published event study, side by side with packages that make such sets.

Run ``python benchmarks/impact/honest.py``; it writes ``honest.csv`` beside itself. Ratios count; seconds are processor
time on this machine. Peers stand in environments of their own, ``.peers/<name>`` beside this file, made by
``peers.sh``; one that is not there is reported so. A peer counts where its sets agree with ours: to two steps
of its grid for conditional tests, to 1e-3 of the width for intervals of fixed length.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = HERE.parents[1] / "tests" / "reference" / "impact" / "honest_did.json"
MBAR, SIZES = (0.0, 0.5, 1.0, 1.5, 2.0), (0.05, 0.1, 0.2)
GRID = 1000
PEERS = {"moderndid_honest": "moderndid 0.2.0", "diff_diff": "diff-diff 3.13.0"}
NOT_RUN = {
    "R HonestDiD": "not installed on this machine",
    "honestdid": "not installed: needs torch, 4.9 GB",
    "moderndid 0.4": "needs Python 3.12",
}
Sets = list[tuple[float, float]]


def case() -> dict[str, Any]:
    """Return four leads and four effects with their covariance."""
    return dict(json.loads(CASES.read_text(encoding="utf-8"))["cases"]["BC_first_post"])


def timed(task: Callable[[], Sets], repeats: int) -> dict[str, Any]:
    """Return the sets of a task, its least processor time in seconds, and the process's peak in MB."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        sets = task()
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"sets": [list(map(float, pair)) for pair in sets], "seconds": min(times), "mb": peak}


def ours() -> dict[str, Any]:
    import evaluation as ev
    from evaluation.impact.credibility import conditional_tests

    given = case()
    times = [*range(-given["numPre"], 0), *range(1, given["numPost"] + 1)]
    path = ev.event_path(given["betahat"], given["sigma"], times, reference=0)

    def forget() -> None:
        """Start from nothing: critical values are kept between calls."""
        conditional_tests._quantile_of_largest.cache_clear()
        conditional_tests._normal_draws.cache_clear()

    def sets(**options: Any) -> Sets:
        forget()
        frame = ev.honest_did(path, breakdown=False, **options).tidy().iloc[1:]
        return list(zip(frame["conf_low"], frame["conf_high"], strict=True))

    def found() -> Sets:
        forget()
        made = ev.breakdown_value(path)
        return [(made.low, made.high)]

    sets(bounds=MBAR)  # what is imported on first use is not timed, here as with the peers
    return {
        "relative magnitudes": timed(lambda: sets(bounds=MBAR), 3),
        "smoothness": timed(lambda: sets(bounds=SIZES, restriction="smoothness"), 3),
        "breakdown value": timed(found, 3),
    }


def moderndid() -> dict[str, Any]:
    import numpy as np
    from moderndid.didhonest.delta.rm.rm import compute_conditional_cs_rm
    from moderndid.didhonest.fixed_length_ci import compute_flci

    given = case()
    beta, sigma = np.array(given["betahat"]), np.array(given["sigma"])
    shape = {"num_pre_periods": given["numPre"], "num_post_periods": given["numPost"]}
    first = np.eye(given["numPost"])[:, :1]

    def relative(sizes: tuple[float, ...] = MBAR, points: int = GRID) -> Sets:
        made = []
        for size in sizes:
            grid = compute_conditional_cs_rm(
                beta, sigma, **shape, l_vec=first, m_bar=size, grid_points=points, grid_lb=-0.5, grid_ub=1.0, seed=0
            )
            kept = grid["grid"][np.asarray(grid["accept"], dtype=bool)]
            made.append((kept.min(), kept.max()))
        return made

    def smooth() -> Sets:
        counts = {"n_pre_periods": given["numPre"], "n_post_periods": given["numPost"]}
        weights = {"post_period_weights": first.ravel()}
        return [tuple(compute_flci(beta, sigma, smoothness_bound=size, **counts, **weights).flci) for size in SIZES]

    relative((1.0,), 20)  # what is compiled or imported on first use is not timed
    smooth()
    return {"relative magnitudes": timed(relative, 1), "smoothness": timed(smooth, 3)}


def diff_diff() -> dict[str, Any]:
    import numpy as np
    from diff_diff.honest_did import _compute_optimal_flci, _solve_rm_bounds_union
    from scipy import stats

    given = case()
    beta, sigma = np.array(given["betahat"]), np.array(given["sigma"])
    n = given["numPre"]
    first = np.eye(given["numPost"])[0]

    def smooth() -> Sets:
        return [_compute_optimal_flci(beta[:n], beta[n:], sigma, first, n, len(beta) - n, size, 0.05) for size in SIZES]

    def relative() -> Sets:
        half = stats.norm.ppf(0.975) * np.sqrt(sigma[n, n])
        bounds = [_solve_rm_bounds_union(beta[:n], beta[n:], first, n, size) for size in MBAR]
        return [(low - half, high + half) for low, high in bounds]

    smooth()
    return {"smoothness": timed(smooth, 3), "relative magnitudes": timed(relative, 3)}


def agree(task: str, here: Sets, there: Sets) -> bool:
    """Tell whether a peer's sets are ours, as closely as its grid or its search can tell."""
    step = 1.5 / (GRID - 1)
    for (low, high), (peer_low, peer_high) in zip(here, there, strict=True):
        allowed = 2 * step if task == "relative magnitudes" else 1e-3 * (high - low)
        if max(abs(low - peer_low), abs(high - peer_high)) > allowed:
            return False
    return True


def asked(peer: str) -> dict[str, Any] | None:
    """Return what a peer measured in its own environment; None where that is not there."""
    python = HERE / ".peers" / peer / "bin" / "python"
    if not python.exists():
        return None
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    made = subprocess.run(
        [str(python), str(Path(__file__)), "--peer", peer],
        capture_output=True, text=True, check=False, env={**os.environ, **threads},
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(f"{peer}: {made.stderr[-800:]}")
    return dict(json.loads(made.stdout.splitlines()[-1]))


def main() -> None:
    own = ours()
    rows = ["task,tool,seconds,ratio_to_ours,peak_mb,agrees"]
    for task, one in own.items():
        rows.append(f"{task},ours,{one['seconds']:.4f},1,{one['mb']:.0f},")
    for peer, name in PEERS.items():
        measured = asked(peer)
        if measured is None:
            rows += [f"{task},{name},,,,not installed" for task in ("relative magnitudes", "smoothness")]
            continue
        for task, one in measured.items():
            ratio = one["seconds"] / own[task]["seconds"]
            same = "yes" if agree(task, own[task]["sets"], one["sets"]) else "no: other numbers"
            rows.append(f"{task},{name},{one['seconds']:.4f},{ratio:.2f},{one['mb']:.0f},{same}")
    rows += [f'relative magnitudes,{name},,,,"not run: {reason}"' for name, reason in NOT_RUN.items()]
    (HERE / "honest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        sys.stdout.write(json.dumps({"moderndid_honest": moderndid, "diff_diff": diff_diff}[sys.argv[2]]()) + "\n")
    else:
        main()
