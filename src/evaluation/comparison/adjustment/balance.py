"""Balance: how alike participants and others are, before and after weighting, judged apart from any estimate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.balance_layout import layout
from evaluation.comparison.adjustment.covariate_columns import (
    MISSING,
    CovariateColumn,
    GroupGap,
    by_group,
    covariate_columns,
    fewest_behind,
    gaps,
    marks_of_covariates,
    weighted_variance,
    without_missing,
)
from evaluation.comparison.adjustment.propensity import effective_number
from evaluation.comparison.adjustment.weighted_groups import WeightedGroups, weighted_groups
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.small_counts import is_small, shown_count
from evaluation.estimation.tilts import Estimand
from evaluation.results import Provenance, frame_html, plain

Floats = NDArray[np.float64]
Names = str | Sequence[str]
Denominator = Literal["participants", "comparison", "pooled", "balanced"]

#: Whose spread standardises the differences of each estimand.
DENOMINATORS: dict[str, Denominator] = {
    "ATT": "participants",
    "ATC": "comparison",
    "ATE": "pooled",
    "ATO": "pooled",
    "ATM": "pooled",
}
#: Standardised difference from which on a covariate counts as unbalanced, and the ratios of variances that pass.
SMD_LIMIT = 0.1
VARIANCE_RATIOS = (0.5, 2.0)
#: What the weights before balancing are called among methods.
UNWEIGHTED, SURVEY = "unweighted", "survey_weighted"
VERB = "balance_table"


@dataclass(frozen=True, eq=False)
class BalanceTable:
    """Means and spreads of the covariates in both groups.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per covariate or level: ``covariate``, ``level``, means, ``smd``, ``variance_ratio`` and
        ``ks``, each ``_raw`` (survey weights) and ``_weighted`` (survey times balancing weights), and
        ``denominator``. A variance ratio of a yes-or-no covariate is missing. Where too few of a group have a level
        to show it, its means are missing, its differences have one decimal, not rounded up, and a last column
        ``mark`` says so.
    estimand : str
        Whose composition the balancing weights aim at.
    effective : dict of str to float
        Effective number of respondents in each group under the balancing weights.
    n_left_out : int
        Respondents who count but miss the treatment or a covariate.
    provenance : Provenance
        For captions and manifests.
    by_method : pandas.DataFrame
        The same with one row per covariate or level and method, as in ``BalanceComparison``.
    verdicts : pandas.DataFrame
        As in ``BalanceComparison``.
    """

    rows: pd.DataFrame
    estimand: Estimand
    effective: dict[str, float]
    n_left_out: int
    provenance: Provenance
    by_method: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def is_balanced(self) -> bool:
        """Whether the weights leave no difference of 0.1 or more and no variance ratio outside 0.5 to 2."""
        return bool(self.verdicts["is_balanced"].iloc[-1])

    @property
    def failed(self) -> tuple[Literal["balance"], ...]:
        """The diagnostic that failed, as ``assess_comparability(failed=...)`` takes it; empty where it passed."""
        return () if self.is_balanced else ("balance",)

    def tidy(self) -> pd.DataFrame:
        """Return one row per covariate or level."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            "verb": VERB,
            "provenance": self.provenance.to_dict(),
            "fit": {"estimand": self.estimand, "n_left_out": shown_count(self.n_left_out, self.provenance)}
            | {name: plain(value) for name, value in self.effective.items()}
            | {"is_balanced": self.is_balanced},
            "rows": _records(self.rows),
            "verdicts": _records(self.verdicts),
        }

    def __repr__(self) -> str:
        left_out = shown_count(self.n_left_out, self.provenance)
        head = f"{VERB}: {self.provenance.survey}, estimand {self.estimand}, {left_out} left out"
        return f"{head}\n{_text(self.rows)}"

    def _repr_html_(self) -> str:
        return frame_html(self.rows)


@dataclass(frozen=True, eq=False)
class BalanceComparison:
    """Balance under several ways of weighting the same respondents, one under another.

    Attributes
    ----------
    by_method : pandas.DataFrame
        One row per covariate or level and method: ``covariate``, ``level``, ``method`` (``unweighted``, where the
        survey has weights ``survey_weighted``, then each name), ``mean_participants``, ``mean_comparison``, ``smd``,
        ``denominator``, ``variance_ratio``, ``ks``, and ``mark`` as in ``BalanceTable``.
    verdicts : pandas.DataFrame
        One row per method: ``method``, respondents with a weight and effective number in each group, ``largest_smd``
        (absolute) and the row where it is, ``n_unbalanced`` (rows of 0.1 and more), range of the variance ratios,
        ``is_balanced``.
    estimands : dict of str to str
        Of each method.
    n_left_out : int
        Respondents who count but miss the treatment or a covariate.
    provenance : Provenance
        For captions and manifests.
    """

    by_method: pd.DataFrame
    verdicts: pd.DataFrame
    estimands: dict[str, Estimand]
    n_left_out: int
    provenance: Provenance

    @property
    def is_balanced(self) -> dict[str, bool]:
        """Whether each method leaves no difference of 0.1 or more and no variance ratio outside 0.5 to 2."""
        own = self.verdicts[self.verdicts["method"].isin(list(self.estimands))]
        return dict(zip(own["method"], own["is_balanced"].map(bool), strict=True))

    def tidy(self) -> pd.DataFrame:
        """Return one row per covariate or level and method."""
        return self.by_method.copy()

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return a row per covariate and a column per method in words, and notes."""
        columns, notes = layout(self.by_method, self.verdicts, self.provenance.labels, lang)
        asked = dict.fromkeys(self.estimands.values())
        return columns, [f"{wording.term('estimand', lang)}: {', '.join(asked)}", *notes]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            "verb": VERB,
            "provenance": self.provenance.to_dict(),
            "fit": {"estimands": dict(self.estimands)} | {"n_left_out": shown_count(self.n_left_out, self.provenance)},
            "rows": _records(self.by_method),
            "verdicts": _records(self.verdicts),
        }

    def __repr__(self) -> str:
        left_out = shown_count(self.n_left_out, self.provenance)
        head = f"{VERB}: {self.provenance.survey}, {len(self.estimands)} methods, {left_out} left out"
        return f"{head}\n{_text(self.verdicts)}\n{_text(self.by_method)}"

    def _repr_html_(self) -> str:
        return frame_html(self.verdicts) + frame_html(self.by_method)


def balance_table(
    design: Design | Any | Mapping[str, Any],
    *,
    treatment: str | None = None,
    covariates: Names | None = None,
    estimand: Estimand | None = None,
    denominator: Denominator | None = None,
    squares: bool = False,
    interactions: bool = False,
) -> BalanceTable | BalanceComparison:
    """Compare the covariates of participants and others, as they are and after weighting or matching.

    Parameters
    ----------
    design : Design, Matched, or mapping of name to these
        A design whose last step balances (``propensity_weights``, ``entropy_balance``, ``cbps``) and a matching
        bring treatment, covariates and estimand; any other design is weighted by its propensity scores. Of a
        mapping the first entry says what stands before balancing and what divides the differences.
    treatment : str, optional
        Column with two values; needed where ``design`` does not know it.
    covariates : str or list of str, optional
        Names, of which text columns show every level; or a one-sided formula, of which the columns of
        the model matrix are shown. Default: those that were balanced.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, optional
        Whose composition propensity weights aim at, default "ATT"; a balanced design has its own.
    denominator : {"participants", "comparison", "pooled", "balanced"}, optional
        Whose standard deviation, before balancing, divides both the raw and the weighted
        difference. Default: participants for ATT, comparison for ATC, else
        :math:`\\sqrt{(s_1^2 + s_0^2)/2}`. "balanced": that of everybody under the balancing weights, as cobalt has
        it for ATO and ATM; of one method at a time.
    squares, interactions : bool, default False
        Also squares of numbers (``age:age``), and products of every two covariates.

    Returns
    -------
    BalanceTable
        Of a mapping a ``BalanceComparison``: every method in one long table. ``is_balanced`` and ``verdicts`` say what
        passes.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``; methods of other respondents, or of another treatment.

    Notes
    -----
    Weighted variance :math:`\\sum w / ((\\sum w)^2 - \\sum w^2) \\sum w (x - \\bar x)^2`; of a yes-or-no covariate
    :math:`p (1 - p)`. ``ks`` is the largest distance of the weighted distribution functions. Where balanced
    respondents miss a covariate, means are of those who have it and a row ``missing`` shows the share of the others.

    References
    ----------
    Austin (2011), Multivariate Behavioral Research 46, 399-424; Stuart (2010), Statistical Science 25, 1-21, for the
    limits. R twin: ``cobalt::bal.tab``; its default for ATO and ATM is ``denominator="balanced"``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"joined": [0, 0, 0, 1, 1, 1], "sex": ["f", "f", "m", "f", "m", "m"]})
    >>> table = balance_table(survey_design(respondents), treatment="joined", covariates=["sex"])
    >>> table.rows["smd_raw"].round(4).tolist(), table.rows["smd_weighted"].abs().round(4).tolist()
    ([-0.7071, 0.7071], [0.0, 0.0])
    >>> table.is_balanced
    True
    """
    if denominator not in (None, "participants", "comparison", "pooled", "balanced"):
        raise EstimationError(
            f"denominator must be 'participants', 'comparison', 'pooled' or 'balanced', got {denominator!r}."
        )
    several = isinstance(design, Mapping)
    entries = {
        name: weighted_groups(
            one,
            treatment=treatment,
            covariates=covariates,
            estimand=estimand,
            verb=f"{VERB}, '{name}'" if several else VERB,
        )
        for name, one in (design.items() if isinstance(design, Mapping) else [("", design)])
    }
    _refuse_unlike(entries)
    shown = _shown(entries, covariates)
    if not shown:
        raise EstimationError(f"{VERB}: covariates names no column, so there is nothing to compare.")
    if not several:
        entries = {one.method: one for one in entries.values()}
    first = next(iter(entries.values()))
    chosen = _denominator(entries, denominator)
    long = _long(entries, shown, chosen, squares, interactions)
    verdicts = _verdicts(long, _methods(entries), first)
    long = _blank(long)
    if several:
        estimands = {name: one.estimand for name, one in entries.items()}
        return BalanceComparison(long, verdicts, estimands, first.groups.n_left_out, first.provenance)
    effective = {f"ess_{name}": float(verdicts[f"ess_{name}"].iloc[-1]) for name in ("participants", "comparison")}
    return BalanceTable(
        _wide(long, first.method), first.estimand, effective, first.groups.n_left_out, first.provenance, long,
        verdicts,
    )  # fmt: skip


def _refuse_unlike(entries: Mapping[str, WeightedGroups]) -> None:
    if not entries:
        raise EstimationError(f"{VERB}: the mapping names no method. Write {{'entropy balancing': balanced, ...}}.")
    name, first = next(iter(entries.items()))
    for other, one in entries.items():
        if other in (UNWEIGHTED, SURVEY):
            raise EstimationError(
                f"{VERB}: '{other}' is what the weights before balancing are called. Rename the method."
            )
        if len(one.design) != len(first.design) or not one.design.sampling.is_same_sample(first.design.sampling):
            raise EstimationError(
                f"{VERB}: '{other}' and '{name}' are of different respondents. Make all methods from one design."
            )
        if one.treatment != first.treatment:
            raise EstimationError(
                f"{VERB}: '{other}' compares by '{one.treatment}', but '{name}' by '{first.treatment}'. Show them in "
                f"two tables."
            )


def _denominator(entries: Mapping[str, WeightedGroups], asked: Denominator | None) -> Denominator:
    wanted = dict.fromkeys(DENOMINATORS[one.estimand] for one in entries.values())
    if asked is None and len(wanted) > 1:
        estimands = list(dict.fromkeys(one.estimand for one in entries.values()))
        raise EstimationError(
            f"{VERB}: methods for {estimands} divide by different standard deviations ({list(wanted)}), so their "
            f"differences could not stand side by side. Say which: denominator='pooled', for instance."
        )
    if asked == "balanced" and len(entries) > 1:
        raise EstimationError(
            f"{VERB}: denominator='balanced' is another one under each method. Take one method at a time, or another "
            f"denominator."
        )
    return next(iter(wanted)) if asked is None else asked


def _shown(entries: Mapping[str, WeightedGroups], covariates: Names | None) -> Names:
    """Return the covariates that are shown: those asked for, or all that any method balanced."""
    own = [one.covariates for one in entries.values()]
    if covariates is not None or len(own) == 1:
        return own[0] if covariates is None else covariates
    formulas = [each for each in own if isinstance(each, str) and each.lstrip().startswith("~")]
    if formulas:
        if len(set(map(str, own))) == 1:
            return formulas[0]
        raise EstimationError(
            f"{VERB}: the methods were balanced by different formulas ({formulas[0]} among them). Say which covariates "
            f"are to be shown: covariates=[...]."
        )
    lists = [[each] if isinstance(each, str) else list(each) for each in own]
    return list(dict.fromkeys(name for each in lists for name in each))


def _methods(entries: Mapping[str, WeightedGroups]) -> dict[str, Floats]:
    """Return the weights of every method, before balancing first, each of shape (n,)."""
    survey = next(iter(entries.values())).survey
    counted = survey[survey != 0]
    same = np.ptp(counted) == 0
    before = {UNWEIGHTED: survey} if same else {UNWEIGHTED: (survey != 0).astype(float), SURVEY: survey}
    return before | {name: one.final for name, one in entries.items()}


def _before(methods: Iterable[str]) -> str:
    """Return what survey weights are called: nobody has any where all are equal."""
    return SURVEY if SURVEY in methods else UNWEIGHTED


def _long(
    entries: Mapping[str, WeightedGroups], covariates: Names, denominator: Denominator, squares: bool, products: bool
) -> pd.DataFrame:
    first = next(iter(entries.values()))
    used = np.logical_or.reduce([one.used for one in entries.values()])
    takes_part = first.groups.participation.y == 1
    at, split = by_group((used & ~takes_part, used & takes_part))
    methods = {name: weights[at] for name, weights in _methods(entries).items()}
    columns = covariate_columns(first.design, first.treatment, covariates, at, squares=squares, interactions=products)
    everybody_weights, weightings = first.final[at], np.vstack(list(methods.values()))
    rows: list[dict[str, Any]] = []
    few: list[tuple[str, str, int]] = []
    for column, levels in _with_missing(columns):
        compared = dict(zip(methods, gaps(column, split, weightings), strict=True))
        everybody = weighted_variance(column, everybody_weights) if denominator == "balanced" else None
        for place, level in enumerate(levels):
            few.append((column.name, level, fewest_behind(column, place, split)))
            spread = (
                everybody[place] if everybody is not None else _spread(compared[_before(methods)][place], denominator)
            )
            rows += [
                _row(column.name, level, name, found[place], spread, denominator) for name, found in compared.items()
            ]
    return _marked(pd.DataFrame(rows), few, first.provenance)


def _marked(frame: pd.DataFrame, few: Sequence[tuple[str, str, int]], provenance: Provenance) -> pd.DataFrame:
    """Mark levels that too few of a group have; without a mark column where there are none."""
    names, levels, counts = zip(*few, strict=True)
    marks = marks_of_covariates(pd.Series(names), np.array(counts), provenance)
    if not any(marks):
        return frame
    found = dict(zip(zip(names, levels, strict=True), marks, strict=True))
    mark = np.array([found[pair] for pair in zip(frame["covariate"], frame["level"], strict=True)], dtype=object)
    return frame.assign(mark=mark)


def _blank(frame: pd.DataFrame) -> pd.DataFrame:
    """Blank the means of marked levels and cut their differences, of which two decimals leave few whole numbers."""
    if "mark" not in frame:
        return frame
    shown = frame["mark"] == ""
    numbers = ["mean_participants", "mean_comparison", "variance_ratio", "ks"]
    blank = {name: frame[name].where(shown) for name in numbers}
    return frame.assign(**blank, smd=frame["smd"].where(shown, np.trunc(10 * frame["smd"]) / 10 + 0.0))


def _with_missing(columns: Sequence[CovariateColumn]) -> Iterator[tuple[CovariateColumn, tuple[str, ...]]]:
    """Yield each covariate with its levels, and behind it who misses it."""
    for column in columns:
        yield column, column.levels or ("",)
        if column.known is not None and not column.is_made:
            yield without_missing(column), (MISSING,)


def _spread(found: GroupGap, denominator: Denominator) -> float:
    others, participants = found.variance
    known = {"participants": participants, "comparison": others, "pooled": (participants + others) / 2}
    return known[denominator]


def _row(
    covariate: str, level: str, method: str, found: GroupGap, spread: float, denominator: Denominator
) -> dict[str, Any]:
    return {
        "covariate": covariate,
        "level": level,
        "method": method,
        "mean_participants": found.mean[1],
        "mean_comparison": found.mean[0],
        "smd": found.standardised(spread),
        "denominator": denominator,
        "variance_ratio": found.variance_ratio,
        "ks": found.ks,
    }


def _wide(long: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return one row per covariate or level: survey weights beside balancing weights."""
    before, after = (
        long[long["method"] == name].reset_index(drop=True) for name in (_before(set(long["method"])), method)
    )
    sides = {"raw": before, "weighted": after}
    centre = ("mean_participants", "mean_comparison", "smd")
    return pd.DataFrame(
        {"covariate": before["covariate"], "level": before["level"]}
        | {f"{name}_{side}": frame[name] for side, frame in sides.items() for name in centre}
        | {"denominator": before["denominator"]}
        | {f"{name}_{side}": frame[name] for name in ("variance_ratio", "ks") for side, frame in sides.items()}
        | ({"mark": before["mark"]} if "mark" in before else {})
    )


def _verdicts(long: pd.DataFrame, methods: Mapping[str, Floats], first: WeightedGroups) -> pd.DataFrame:
    """Return one row per method: how much weight each group keeps, and whether the groups are alike."""
    rows = []
    for name, weights in methods.items():
        own = long[long["method"] == name]
        size, ratios = own["smd"].abs(), own["variance_ratio"].dropna()
        worst = own.iloc[int(np.argmax(size.fillna(np.inf)))]
        row: dict[str, Any] = {"method": name}
        row |= _left({group: weights[first.groups.members(group)] for group in (1, 0)}, first.provenance)
        unbalanced = ~(size < SMD_LIMIT)
        low, high = float(ratios.min()), float(ratios.max())
        largest = float(size.max(skipna=False))
        if worst.get("mark"):
            largest = float(np.floor(10 * largest) / 10)
        fits = ratios.between(*VARIANCE_RATIOS).all()
        rows.append(
            row
            | {"largest_smd": largest, "covariate": worst["covariate"], "level": worst["level"]}
            | {"n_unbalanced": int(unbalanced.sum()), "variance_ratio_low": low, "variance_ratio_high": high}
            | {"is_balanced": bool(fits and not unbalanced.any())}
        )
    frame = pd.DataFrame(rows)
    if any(is_small(count, first.provenance) for count in first.groups.counts()):
        sizes = ("n_participants", "n_comparison", "ess_participants", "ess_comparison")
        return frame.assign(**dict.fromkeys(sizes, np.nan))
    return frame


def _left(weights: Mapping[int, Floats], provenance: Provenance) -> dict[str, float]:
    """Return how many a method keeps of each group; without their number where few are lost, whom it would count."""
    kept = {group: own[own != 0] for group, own in weights.items()}
    counts = [count for group, own in kept.items() for count in (len(own), len(weights[group]) - len(own))]
    few, least = any(is_small(count, provenance) for count in counts), provenance.min_cell
    row: dict[str, float] = {}
    for group, label in ((1, "participants"), (0, "comparison")):
        effective = effective_number(kept[group])
        row[f"n_{label}"] = np.nan if few else len(kept[group])
        row[f"ess_{label}"] = float(np.floor(effective / least) * least) if few else effective
    return row


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _text(frame: pd.DataFrame) -> str:
    return frame.to_string(index=False, float_format=lambda value: f"{value:.6g}")
