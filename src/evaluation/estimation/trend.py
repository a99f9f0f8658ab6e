"""Trends over repeated cross-sections, what may be compared across waves, and levels that jump at one wave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation import project, wording
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import column_names, is_number
from evaluation.estimation.contrasts import bases_of
from evaluation.estimation.domains import names_of
from evaluation.estimation.means import survey_mean
from evaluation.results import Estimates, Provenance, plain
from evaluation.specification import Text
from evaluation.survey.changes import declared_breaks

Floats = NDArray[np.float64]
Names = str | Sequence[str]
BreakText = str | Text | Mapping[str, str]
Breaks = Mapping[Any, BreakText] | Mapping[str, Mapping[Any, BreakText]]

#: Unreached groups jump too where their own jump is beyond this level; one test among few, so no stricter.
GROUP_LEVEL = 0.05
#: Changes before and after a wave that tell what its own change would have been.
NEIGHBOURS = 2


def survey_trend(
    design: Design,
    variables: Names,
    *,
    time: str,
    by: Names | None = None,
    breaks: Breaks | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate means of each wave, and say where the wording changed between waves.

    Parameters
    ----------
    design : Design
        Waves under each other; strata and PSUs of two waves bear different names.
    variables : str or list of str
        Numeric columns.
    time : str
        Numeric column of the wave.
    by : str or list of str, optional
        Groups within each wave.
    breaks : mapping, optional
        First wave of a new wording to what changed: a text, or texts by language ("ko", "en"). Either for all
        variables, ``{2015: "..."}``, or variable by variable, ``{"rely": {2015: {"ko": "...", "en": "..."}}}``.
        Default: what the survey's changes.csv declares of the variables between these waves.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable, wave and group, with one covariance over all of them. Column ``segment`` counts the
        breaks up to a wave: rows of different segments are not one series. ``fit["breaks"]`` lists them.

    Raises
    ------
    ColumnError
        A column does not exist or is text.
    EstimationError
        One wave only, a wave that is no number, a break that is named for no wave or variable.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> waves = pd.DataFrame({"year": [1, 1, 2, 2, 3, 3], "y": [0, 1, 1, 1, 1, 1]})
    >>> trend = survey_trend(survey_design(waves), "y", time="year", breaks={2: "asked otherwise"})
    >>> trend.tidy()[["year", "estimate", "segment"]].to_numpy().tolist()
    [[1.0, 0.5, 0.0], [2.0, 1.0, 1.0], [3.0, 1.0, 1.0]]
    """
    require_design(design, "survey_trend")
    names = names_of(variables, "survey_trend")
    groups = list(column_names(by, "survey_trend: by"))
    if not pd.api.types.is_numeric_dtype(design.column(time)):
        raise EstimationError(
            f"survey_trend: '{time}' is no number, so waves have no order. Code the wave as a number."
        )
    means = survey_mean(design, list(names), by=[time, *groups], conf_level=conf_level)
    waves = sorted(means.keys[time].unique().tolist())
    if len(waves) < 2:
        raise EstimationError(f"survey_trend: '{time}' has one wave ({waves[0]}), so there is no trend.")
    if breaks is None:
        breaks = breaks_of_survey(design.provenance.survey, names, waves)
    declared = list(_declared(breaks, list(names), waves))
    segment = np.array(
        [
            sum(entry["term"] == term and entry["time"] <= wave for entry in declared)
            for term, wave in zip(means.keys["term"], means.keys[time], strict=True)
        ]
    )
    return replace(
        means, verb="survey_trend", columns={"segment": segment}, fit={"time": time, "by": groups, "breaks": declared}
    )


def breaks_of_survey(survey_id: str, names: Sequence[str], waves: Sequence[Any]) -> dict[str, dict[Any, Text]]:
    """Return the breaks in wording that a survey declares between waves, each at the first of them that has it.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/``, or anything else: then there is none.
    names : sequence of str
        Variables.
    waves : sequence
        In rising order; breaks are known of numbers alone.
    """
    changes = project.project_root() / "surveys" / survey_id / "changes.csv"
    if not changes.is_file() or not all(is_number(wave) for wave in waves):
        return {}
    declared = declared_breaks(survey_id)
    breaks: dict[str, dict[Any, Text]] = {}
    for name in names:
        between = [since for since in declared.get(name, {}) if waves[0] < since <= waves[-1]]
        if between:
            breaks[name] = {next(w for w in waves if w >= since): declared[name][since] for since in between}
    return breaks


def _declared(breaks: Breaks, names: list[str], waves: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield each declared break of each variable: term, time, and what changed in both languages."""
    for key, value in breaks.items():
        if key in names and isinstance(value, Mapping):
            yield from (_break(key, wave, text, waves) for wave, text in value.items())
        elif isinstance(key, str):
            hint = did_you_mean(key, [*names, *waves])
            raise EstimationError(f"survey_trend: breaks names '{key}', neither a variable nor a wave. {hint}")
        else:
            yield from (_break(name, key, value, waves) for name in names)


def _break(term: str, wave: Any, text: Any, waves: list[Any]) -> dict[str, Any]:
    if wave not in waves[1:]:
        raise EstimationError(
            f"survey_trend: a break at {wave} ('{term}') is the first wave of a new wording, but the waves after the "
            f"first are {', '.join(map(str, waves[1:]))}. Name one of them."
        )
    if isinstance(text, Text):
        text = text.model_dump()
    if isinstance(text, str):
        text = {"ko": text, "en": text}
    if not isinstance(text, Mapping) or not all(str(text.get(lang, "")).strip() for lang in ("ko", "en")):
        raise EstimationError(
            f"survey_trend: the break of '{term}' at {wave} needs a text, or one for ko and one for en."
        )
    return {"term": term, "time": wave, "ko": str(text["ko"]), "en": str(text["en"])}


def trend_change(
    trend: Estimates, start: float, end: float, *, across_breaks: Literal["refuse", "mark"] = "refuse"
) -> Estimates:
    """Estimate the change between two waves where the wording allows it.

    Parameters
    ----------
    trend : Estimates
        From ``survey_trend``.
    start, end : float
        Waves; the change is that of ``end`` over ``start``.
    across_breaks : {"refuse", "mark"}, default "refuse"
        What becomes of variables whose wording changed in between: an error, or rows without a number whose
        column ``break`` names the wave (``fit["not_comparable"]`` says why).

    Returns
    -------
    Estimates
        One row per variable and group. The variance is that of the difference: waves that share sampling units
        are not taken as independent.

    Raises
    ------
    EstimationError
        Not a trend, or an unknown wave.
    IdentificationError
        The wording changed in between.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> waves = pd.DataFrame({"year": [1, 1, 2, 2], "y": [0, 1, 1, 1]})
    >>> trend_change(survey_trend(survey_design(waves), "y", time="year"), 1, 2).estimate.tolist()
    [0.5]
    """
    time = _time_of(trend, "trend_change")
    if across_breaks not in ("refuse", "mark"):
        raise EstimationError(f"trend_change: across_breaks must be 'refuse' or 'mark', got {across_breaks!r}.")
    waves = trend.keys[time].unique().tolist()
    for wave in (start, end):
        if wave not in waves:
            raise EstimationError(f"trend_change: no wave {wave}. {did_you_mean(wave, waves)}")
    low, high = sorted((start, end))
    between = [entry for entry in trend.fit["breaks"] if low < entry["time"] <= high]
    if between and across_breaks == "refuse":
        told = "; ".join(f"'{entry['term']}' in {entry['time']}: {entry['en']}" for entry in between)
        raise IdentificationError(
            f"trend_change: between {start} and {end} the wording changed ({told}), so a change of answers is not told "
            f"from a change of the question. Take waves on one side, or across_breaks='mark'."
        )
    return _changes(trend, time, start, end, between)


def _changes(trend: Estimates, time: str, start: float, end: float, between: list[dict[str, Any]]) -> Estimates:
    others = [name for name in trend.keys if name != time]
    place = {tuple(row): at for at, row in enumerate(trend.keys[[*others, time]].itertuples(index=False, name=None))}
    pairs = [
        (at, place[(*row[:-1], end)]) for row, at in place.items() if row[-1] == start and (*row[:-1], end) in place
    ]
    first, last = (np.array(rows, dtype=np.int64) for rows in zip(*pairs, strict=True))
    matrix = np.zeros((len(pairs), len(trend)))
    matrix[np.arange(len(pairs)), first], matrix[np.arange(len(pairs)), last] = -1.0, 1.0
    estimate, vcov = matrix @ trend.estimate, matrix @ trend.vcov @ matrix.T
    keys = trend.keys.iloc[first][others].reset_index(drop=True)
    changed = {entry["term"]: entry for entry in between}
    refused = keys["term"].isin(changed).to_numpy()
    estimate[refused], vcov[refused], vcov[:, refused] = np.nan, np.nan, np.nan
    influence_of, contributions = trend.influence_of, trend.contributions
    return Estimates(
        verb="trend_change",
        keys=keys,
        estimate=estimate,
        vcov=vcov,
        df=np.minimum(trend.df[first], trend.df[last]),
        n_obs=trend.n_obs[first] + trend.n_obs[last],
        provenance=trend.provenance,
        engine=trend.engine,
        contributions=None if contributions is None else contributions @ matrix.T,
        influence_of=None if influence_of is None else lambda: influence_of() @ matrix.T,
        conf_level=trend.conf_level,
        bases=np.minimum(bases_of(trend)[first], bases_of(trend)[last]),
        columns={"break": np.array([str(changed[t]["time"]) if t in changed else "" for t in keys["term"]])},
        fit={"time": time, "start": start, "end": end, "not_comparable": between},
    )


def _time_of(trend: Estimates, verb: str) -> str:
    if not isinstance(trend, Estimates) or trend.verb != "survey_trend":
        raise EstimationError(f"{verb} needs what ev.survey_trend returned, got {getattr(trend, 'verb', type(trend))}.")
    return str(trend.fit["time"])


@dataclass(frozen=True, eq=False)
class BreakTable:
    """Where levels jump at one wave against the waves around it.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per variable and wave after the first: ``term``, the wave, ``jump`` with ``std_error``,
        ``statistic``, ``p_value`` (times the number of tests), ``n_groups``, ``p_groups_alike``, ``jump_unreached``
        with ``p_unreached`` (where a cohort column was named), and ``verdict``: empty, ``declared``,
        ``everywhere``, ``some groups``, or ``all reached`` (the policy had reached all groups, so that it and a
        wording cannot be told apart).
    time : str
        Column of the wave.
    alpha : float
        Level of ``p_value`` below which a jump counts.
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    time: str
    alpha: float
    provenance: Provenance

    @property
    def flagged(self) -> pd.DataFrame:
        """The jumps beyond sampling error, declared ones included."""
        return self.rows[self.rows["verdict"] != ""].reset_index(drop=True)

    def tidy(self) -> pd.DataFrame:
        """Return one row per variable and wave."""
        return self.rows.assign(**{self.time: self.rows[self.time].astype(str)})

    def sentences(self, lang: str | None = None) -> tuple[str, ...]:
        """Return one sentence per jump, in Korean or English: how large, where, and what to check."""
        return tuple(_told(row, self.time, self.provenance, lang) for row in self.flagged.to_dict("records"))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.rows.to_dict("records")]
        fit = {"time": self.time, "alpha": self.alpha}
        return {"verb": "find_breaks", "provenance": self.provenance.to_dict(), "fit": fit, "rows": rows}

    def __repr__(self) -> str:
        found = self.sentences() or (wording.term("no_breaks"),)
        return "\n".join([f"find_breaks: {self.provenance.survey}, {len(self.rows)} jumps tested", *found])

    def _repr_html_(self) -> str:
        found = self.sentences() or (wording.term("no_breaks"),)
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in found)


def _told(row: Mapping[Any, Any], time: str, provenance: Provenance, lang: str | None) -> str:
    what = wording.term_label(row["term"], provenance.labels, lang)
    share = -1 <= row["jump"] <= 1
    size = wording.number(100 * row["jump"], 1) if share else wording.plain_number(row["jump"])
    unit = wording.percentage_point_unit(lang) if share else ""
    kind = row["verdict"].replace(" ", "_")
    if kind == "everywhere":
        kind = "unreached" if not np.isnan(row["p_unreached"]) else "alone" if row["n_groups"] == 1 else kind
    frame = wording.term(f"break_{kind}", lang)
    return frame.format(what=what, wave=row[time], size=size, unit=f" {unit}" if unit == "points" else unit)


def find_breaks(trend: Estimates, *, cohort: str | None = None, alpha: float = 0.01) -> BreakTable:
    """Find waves at which levels jump against the waves around them, as they do when a question is worded anew.

    Parameters
    ----------
    trend : Estimates
        From ``survey_trend``, with at least three waves; with groups (``by``) it tells a jump of all from one of some.
    cohort : str, optional
        One of the groups' columns: the wave from which a policy reached the group (0 or missing: never). A jump that
        groups not yet reached share is not the policy's.
    alpha : float, default 0.01
        Level for all tests together (Bonferroni).

    Returns
    -------
    BreakTable
        A diagnosis, no correction: what to look up in the questionnaires.

    Raises
    ------
    EstimationError
        Not a trend, fewer than three waves, or an unknown cohort column.

    Notes
    -----
    With waves :math:`t` and levels averaged over groups (shares of respondents, the same in each wave, so that a
    change of composition is none), the jump at :math:`t` is :math:`y_t - y_{t-1}` less what the two changes before
    and the two after it lead to expect (the mean of both sides, per unit of time). It is a linear contrast, so its
    variance comes from the joint covariance of the trend. Declared breaks are no neighbours; the largest jump is
    taken first, and then is none of the others. At the last wave the changes before it alone are known.
    """
    time = _time_of(trend, "find_breaks")
    waves = sorted(trend.keys[time].unique().tolist())
    if len(waves) < 3:
        raise EstimationError(f"find_breaks needs three waves and more, got {len(waves)}: two have no neighbours.")
    if cohort is not None and cohort not in trend.fit["by"]:
        raise EstimationError(
            f"find_breaks: '{cohort}' is no group of the trend. {did_you_mean(cohort, trend.fit['by'])} "
            f"Name it in survey_trend(by=...)."
        )
    terms = list(dict.fromkeys(trend.keys["term"]))
    tests = len(terms) * (len(waves) - 1)
    rows: list[dict[str, Any]] = []
    for term in terms:
        levels = _levels(trend, term, time, waves, cohort)
        declared = {entry["time"] for entry in trend.fit["breaks"] if entry["term"] == term}
        rows += _jumps(levels, term, time, declared, tests, alpha)
    return BreakTable(pd.DataFrame(rows), time, alpha, trend.provenance)


@dataclass(frozen=True, eq=False)
class _Levels:
    """Means of one variable: groups by waves with their covariance, weights of the groups, and when each is reached."""

    estimate: Floats
    vcov: Floats
    waves: list[Any]
    weights: Floats
    reached: Floats | None

    def contrast(self, coefficients: Floats, weights: Floats) -> tuple[float, float]:
        """Return a contrast of waves averaged over groups, and its standard error."""
        row = np.outer(weights, coefficients).ravel()
        variance = float(row @ self.vcov @ row)
        return float(row @ self.estimate.ravel()), float(np.sqrt(max(variance, 0.0)))


def _levels(trend: Estimates, term: str, time: str, waves: list[Any], cohort: str | None) -> _Levels:
    own = np.flatnonzero((trend.keys["term"] == term).to_numpy())
    keys = trend.keys.iloc[own]
    by = trend.fit["by"]
    group = keys.groupby(by, sort=False, observed=True).ngroup().to_numpy() if by else np.zeros(len(keys), dtype=int)
    wave = keys[time].map({value: place for place, value in enumerate(waves)}).to_numpy()
    rows = np.full((int(group.max()) + 1, len(waves)), -1)
    rows[group, wave] = own
    whole = (rows >= 0).all(axis=1)
    if not whole.any():
        raise EstimationError(f"find_breaks: no group has '{term}' in every wave. Take fewer groups.")
    reached = None
    if cohort is not None:
        first = keys.assign(_group=group).groupby("_group")[cohort].first()
        reached = pd.to_numeric(first, errors="coerce").to_numpy(dtype=float)[whole]
        reached = np.where(np.isnan(reached) | (reached == 0), np.inf, reached)
    rows = rows[whole]
    sizes = trend.n_obs[rows].sum(axis=1).astype(float)
    at = rows.ravel()
    return _Levels(trend.estimate[rows], trend.vcov[np.ix_(at, at)], waves, sizes / sizes.sum(), reached)


def _jumps(
    levels: _Levels, term: str, time: str, declared: set[Any], tests: int, alpha: float
) -> Iterator[dict[str, Any]]:
    places = range(1, len(levels.waves))
    known = {place for place in places if levels.waves[place] in declared}
    found: set[int] = set()
    while True:
        tested = {place: _tested(levels, place, found | known, tests) for place in places}
        open_ = {place: test for place, test in tested.items() if place not in found and test["p_value"] < alpha}
        if not open_ or len(found) >= len(levels.waves) // 2:
            break
        sizes = {place: abs(float(test["statistic"])) for place, test in open_.items()}
        found.add(max(sizes, key=lambda place: sizes[place]))
    for place, test in tested.items():
        verdict = ""
        if place in found:
            verdict = "declared" if place in known else _verdict(test, levels.reached is not None)
        yield {"term": term, time: levels.waves[place], **test, "verdict": verdict}


def _tested(levels: _Levels, place: int, found: set[int], tests: int) -> dict[str, Any]:
    coefficients = _coefficients(levels.waves, place, found)
    jump, error = levels.contrast(coefficients, levels.weights)
    statistic = jump / error if error > 0 else np.nan
    unreached, p_unreached = np.nan, np.nan
    if levels.reached is not None and (levels.reached > levels.waves[place]).any():
        weights = np.where(levels.reached > levels.waves[place], levels.weights, 0.0)
        unreached, own = levels.contrast(coefficients, weights / weights.sum())
        p_unreached = float(2 * stats.norm.sf(abs(unreached / own))) if own > 0 else np.nan
    return {
        "jump": jump,
        "std_error": error,
        "statistic": statistic,
        "p_value": min(1.0, tests * float(2 * stats.norm.sf(abs(statistic)))) if error > 0 else np.nan,
        "n_groups": len(levels.weights),
        "p_groups_alike": _alike(levels, coefficients),
        "jump_unreached": unreached,
        "p_unreached": p_unreached,
    }


def _coefficients(waves: list[Any], place: int, found: set[int]) -> Floats:
    """Return the coefficients of the waves in the jump at a place: its change less that of its neighbours."""

    def change(at: int) -> Floats:
        row = np.zeros(len(waves))
        row[at], row[at - 1] = 1.0, -1.0
        return row

    below = [at for at in range(place - 1, 0, -1) if at not in found][:NEIGHBOURS]
    above = [at for at in range(place + 1, len(waves)) if at not in found][:NEIGHBOURS]
    sides = [
        np.mean([change(at) / (waves[at] - waves[at - 1]) for at in side], axis=0) for side in (below, above) if side
    ]
    if not sides:
        return change(place)
    return np.asarray(change(place) - (waves[place] - waves[place - 1]) * np.mean(sides, axis=0))


def _alike(levels: _Levels, coefficients: Floats) -> float:
    """Return the p-value of equal jumps in all groups (Wald)."""
    count = len(levels.weights)
    if count < 2:
        return np.nan
    matrix = np.kron(np.eye(count), coefficients)
    jumps, vcov = matrix @ levels.estimate.ravel(), matrix @ levels.vcov @ matrix.T
    apart = np.eye(count)[1:] - np.eye(count)[0]
    gap = apart @ jumps
    statistic = float(gap @ np.linalg.pinv(apart @ vcov @ apart.T) @ gap)
    return float(stats.chi2.sf(statistic, count - 1))


def _verdict(test: Mapping[str, Any], by_cohort: bool) -> str:
    """Tell a jump that all share from one of some groups."""
    if by_cohort and np.isnan(test["p_unreached"]):
        return "all reached"
    if not np.isnan(test["p_unreached"]):
        shared = test["p_unreached"] < GROUP_LEVEL and test["jump_unreached"] * test["jump"] > 0
    else:
        shared = test["n_groups"] == 1 or test["p_groups_alike"] >= GROUP_LEVEL
    return "everywhere" if shared else "some groups"
