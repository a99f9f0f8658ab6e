"""Power and size of a staged roll-out on samples of the synthetic city: its blocks and households, person rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as entry
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.design.declaration import survey_design
from evaluation.errors import EstimationError, FewClustersWarning
from evaluation.estimation.arguments import require_choice, require_number, require_numbers, require_seed
from evaluation.impact.clusters.randomization import randomization_inference
from evaluation.impact.identification import ControlGroup
from evaluation.impact.panel import panel
from evaluation.impact.planning.detectable import Correlations
from evaluation.impact.planning.simulated_power import TESTS, RolloutSimulation
from evaluation.impact.rollout.table import Rollout
from evaluation.impact.staggered.aggregation import aggregate
from evaluation.impact.staggered.group_time import att_gt
from evaluation.results import Provenance
from evaluation.survey.codebook import code_text
from evaluation.synthetic.outcomes import ITEMS
from evaluation.synthetic.population import City, synthesize
from evaluation.synthetic.sampling import citizen_survey

Floats = NDArray[np.float64]
VERB = "city_power"
FEWEST = 5
#: Answers of this code are no answers.
LAST_ANSWER = 1


@dataclass(frozen=True, eq=False, repr=False)
class CityPower(RolloutSimulation):
    """How often an effect is found in samples of the synthetic city.

    Attributes
    ----------
    outcome : str
        The item whose answers were moved.
    shocks : float
        Standard deviation of shocks of district and wave, as a share.
    """

    outcome: str = entry(default="", kw_only=True)
    shocks: float = entry(default=0.0, kw_only=True)

    def setting_text(self, lang: str | None = None) -> str:
        """Return what was simulated as one line."""
        return wording.term("city_power_setting", lang).format(
            draws=wording.number(self.draws),
            seed=self.seed,
            persons=wording.number(round(self.persons)),
            outcome=self.outcome,
            shocks=f"{100 * self.shocks:g}",
            alpha=f"{100 * self.alpha:g}%",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        record = super().to_dict()
        fit = {name: value for name, value in record["fit"].items() if name not in ("icc", "cac", "std_dev")}
        return record | {"verb": VERB, "fit": fit | {"outcome": self.outcome, "shocks": self.shocks}}


def city_power(
    schedule: Rollout | Mapping[Any, float] | pd.Series[Any],
    *,
    effect: float | Sequence[float],
    outcome: str = "stay",
    waves: Sequence[int] = (2013, 2014, 2015, 2016),
    shocks: float = 0.0,
    covariates: Sequence[str] = (),
    control_group: ControlGroup = "notyettreated",
    test: str | Sequence[str] = TESTS,
    draws: int = 100,
    permutations: int = 199,
    alpha: float = 0.05,
    seed: int = 1,
    city: City | None = None,
) -> CityPower:
    """Draw surveys of the synthetic city again and again: how often an effect is found, and an effect of zero.

    Parameters
    ----------
    schedule : Rollout, or first treated wave by district code
        From ``ev.read_rollout``; 0 or missing for districts that never start.
    effect : float or list of float
        True effect on the share of yes, 0 to 1, in every treated district and wave: some who said no say yes (yes to no
        below zero). All effects meet the same people. 0 gives the size of the test.
    outcome : {"stay", "live_in_seoul", "rely", "happy"}
        Question whose answers are moved.
    waves : sequence of int
        Surveys, 2010 to 2019.
    shocks : float, default 0
        Standard deviation of shocks that all of a district share in a wave, as a share of yes; the root of
        ``var_place_wave`` of ``ev.cluster_correlations`` of one's own earlier waves.
    covariates, control_group
        As in ``ev.att_gt``.
    test : {"jackknife", "randomization"} or list, default both
    draws : int, default 100
        Sets of surveys, 5 and more; each takes about as long as drawing them.
    permutations : int, default 199
        Orders of the roll-out for randomization inference.
    alpha : float, default 0.05
    seed : int, default 1
    city : City, optional
        From ``evaluation.synthetic.population.synthesize``; made where it is not given.

    Returns
    -------
    CityPower
        ``frame`` as of ``ev.rollout_power``.

    Raises
    ------
    EstimationError
        An argument is out of range, or an effect cannot be had by moving answers.

    Notes
    -----
    Where ``ev.rollout_power`` draws means of cells from stated correlations, here blocks and households are drawn from
    a population with its own clustering, nonresponse and post-stratified weights, and person rows go through
    ``ev.att_gt`` and ``ev.aggregate(supported_only=True)``. The city has no shocks of district and wave: say them.
    """
    require_choice(outcome, tuple(ITEMS), f"{VERB}: outcome")
    tests = (test,) if isinstance(test, str) else tuple(test)
    for name in tests:
        require_choice(name, TESTS, f"{VERB}: test")
    effects = require_numbers(effect, f"{VERB}: effect")
    spread, level = require_number(shocks, f"{VERB}: shocks", least=0), require_number(alpha, f"{VERB}: alpha", above=0)
    require_seed(seed, VERB)
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < FEWEST:
        raise EstimationError(f"{VERB}: draws must be a whole number of {FEWEST} or more, got {draws!r}.")
    first, place = _first_waves(schedule), synthesize() if city is None else city
    asked = {"covariates": list(covariates), "control_group": control_group}
    rows, persons = [], 0.0
    for number in range(draws):
        people = _surveys(place, outcome, [int(wave) for wave in waves], seed * 10_000 + number)
        random = np.random.default_rng([seed, number])
        people["first_wave"] = people["district"].map(code_text).map(first).fillna(0.0)
        persons += len(people) / (draws * people["district"].nunique() * len(waves))
        moved = _Moves.drawn(people, random, spread)
        for size in effects:
            answered = people.assign(answer=moved.answers(size))
            rows += [{"effect": size, **found} for found in _tests(answered, asked, tests, permutations, number)]
    return CityPower(
        frame=_summed(pd.DataFrame(rows), level),
        alpha=level,
        draws=int(draws),
        permutations=permutations,
        seed=seed,
        persons=persons,
        places={f"{wave:g}": int(n) for wave, n in pd.Series(first).value_counts().sort_index().items()},
        method="att_gt",
        correlations=Correlations(np.nan, np.nan, np.nan),
        provenance=Provenance("synthetic", notice=_NOTICE),
        outcome=outcome,
        shocks=spread,
    )


_NOTICE = {"ko": "합성(synthetic) 도시의 표본", "en": "samples of a synthetic city"}


def _first_waves(schedule: Any) -> dict[str, float]:
    if isinstance(schedule, Rollout):
        table = schedule.cohorts()
        return dict(zip(table["district"].map(code_text), table["first_wave"].astype(float), strict=True))
    if isinstance(schedule, (Mapping, pd.Series)):
        found = {code_text(district): float(wave) for district, wave in dict(schedule).items() if not pd.isna(wave)}
        if any(np.isfinite(wave) and wave > 0 for wave in found.values()):
            return found
    raise EstimationError(
        f"{VERB}: schedule must be a roll-out from ev.read_rollout, or first treated waves by district code with at "
        f"least one district that starts; got {type(schedule).__name__}."
    )


def _surveys(city: City, outcome: str, waves: list[int], seed: int) -> pd.DataFrame:
    parts = [citizen_survey(city, wave, seed=seed) for wave in waves]
    people = pd.concat(parts, ignore_index=True)
    people["stratum"] = people["year"] * 1000 + people["district"]
    return people[people[outcome] <= LAST_ANSWER].rename(columns={outcome: "given"}).reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Moves:
    """Answers that are moved: those given, a number per person, the share of yes and the shock of their cell."""

    given: Floats
    number: Floats
    share: Floats
    shock: Floats
    treated: Floats

    @classmethod
    def drawn(cls, people: pd.DataFrame, random: np.random.Generator, spread: float) -> _Moves:
        cell = people.groupby(["district", "year"]).ngroup().to_numpy()
        weight, given = people["weight"].to_numpy(dtype=float), people["given"].to_numpy(dtype=float)
        share = (np.bincount(cell, weight * given) / np.bincount(cell, weight))[cell]
        shock = random.normal(0, spread, int(cell.max()) + 1)[cell]
        started = (people["first_wave"] > 0) & (people["year"] >= people["first_wave"])
        return cls(given, random.random(len(people)), share, shock, np.asarray(started, dtype=np.float64))

    def answers(self, effect: float) -> Floats:
        """Return answers whose share moved by the shock, and in treated cells by the effect."""
        move = self.shock + effect * self.treated
        chance = np.where(move > 0, move / np.maximum(1 - self.share, 1e-9), -move / np.maximum(self.share, 1e-9))
        if chance.max() > 1:
            raise EstimationError(
                f"{VERB}: a move by {move[chance.argmax()]:.3g} cannot be had: in some district and wave the share of "
                f"yes is {self.share[chance.argmax()]:.3g}. Choose smaller effects or shocks."
            )
        moved = self.number < chance
        return np.where(moved, (move > 0).astype(float), self.given)


def _tests(
    people: pd.DataFrame, asked: dict[str, Any], tests: Sequence[str], permutations: int, number: int
) -> list[dict[str, Any]]:
    """Return estimate, error and p-value of each test for one set of surveys."""
    design = survey_design(people, weights="weight", strata="stratum", psu="block_draw")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewClustersWarning)
        effects = att_gt(panel(design, time="year"), outcome="answer", cohort="first_wave", cluster="district", **asked)
        overall = aggregate(effects, supported_only=True)
        row = {"estimate": float(overall.estimate[0]), "error": float(overall.std_error[0])}
        p_values = {
            "jackknife": lambda: float(overall.tidy()["p_value"].iloc[0]),
            "randomization": lambda: randomization_inference(overall, draws=permutations, seed=number).p_value,
        }
        return [{**row, "test": name, "p_value": p_values[name]()} for name in tests]


def _summed(found: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Return one row per effect and test, as ``rollout_power`` has them."""
    rows = []
    for (effect, test), own in found.groupby(["effect", "test"], sort=False):
        share = float((own["p_value"] <= alpha).mean())
        rows.append(
            {
                "effect": effect,
                "test": test,
                "rejected": share,
                "mc_error": float(np.sqrt(share * (1 - share) / len(own))),
                "mean_estimate": float(own["estimate"].mean()),
                "sd_estimate": float(own["estimate"].std(ddof=1)),
                "mean_std_error": float(own["error"].mean()) if test == "jackknife" else np.nan,
                "reason": "",
            }
        )
    return pd.DataFrame(rows)
