"""One area of a survey in one wave: who was asked, beside the rest, against the wave before, and its rare groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import project, wording
from evaluation.design.design import Design, domain, require_design
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.contrasts import combined
from evaluation.estimation.diagnostic_frames import hidden, marks_of
from evaluation.estimation.domains import names_of
from evaluation.estimation.means import survey_mean
from evaluation.estimation.pooled_waves import ABSENT_WAVE, pooled_waves, refuse_small, require_minima
from evaluation.estimation.trend import survey_trend, trend_change
from evaluation.results import Estimates, Provenance, card_html

Names = str | Sequence[str]

#: Why a row has no number; keys of the vocabulary.
NO_EARLIER_WAVE = "no earlier wave in this file"
REWORDED = "asked in other words in the wave before"
NOBODY = "nobody of this group was met"
IN_WINDOW = "part of the window of {wave}"
BEFORE_WINDOW = "given for the window of {wave} alone"
#: Column of whether a respondent is in the area; no data can have it, since names of columns hold no blank first.
_HERE = " here"


@dataclass(frozen=True, eq=False)
class Area:
    """An area in one wave, as its page starts: its name, and who was asked there.

    Attributes
    ----------
    design : Design
        All waves and areas, so that errors are those of the whole design.
    area, wave : mapping of column to value
        ``{"district": 110}`` and ``{"year": 2016}``.
    frame : pandas.DataFrame, one row
        The keys, then ``n_obs``, ``n_psu`` (sampling units with a respondent), ``sum`` of weights, its share of the
        wave's (``share_of_sum``), ``kish_deff`` and ``n_eff`` (what unequal weights alone leave).
    """

    design: Design
    area: Mapping[str, Any]
    wave: Mapping[str, Any]
    frame: pd.DataFrame

    @property
    def provenance(self) -> Provenance:
        """The survey, with the respondents of the wave."""
        return self.design.provenance

    @property
    def time(self) -> str:
        """Column of the wave."""
        return str(next(iter(self.wave)))

    @property
    def whole_wave(self) -> Design:
        """The wave in all areas."""
        return domain(self.design, self.wave)

    @property
    def here(self) -> Design:
        """The area in its wave."""
        return domain(self.design, {**self.wave, **self.area})

    def name(self, lang: str | None = None) -> str:
        """Return the area and the wave in words, such as "Jongno-gu, 2016"."""
        lang, labels = wording.language_of(lang), self.provenance.labels
        words = [wording.value_label(column, value, labels, lang) for column, value in self.area.items()]
        return ", ".join([*words, *map(wording.wave_label, self.wave.values())])

    def tidy(self) -> pd.DataFrame:
        """Return one row: the keys, and who was asked."""
        return self.frame.copy()

    def _card(self) -> list[tuple[str, str]]:
        lang, row = project.language(), self.frame.iloc[0]
        if row.get("mark"):
            return [(wording.term("n_obs", lang), str(row["mark"]))]
        numbers = {name: wording.number(float(row[name])) for name in ("n_obs", "n_psu", "sum", "n_eff")}
        numbers["sum"] += f" ({wording.number(100 * float(row['share_of_sum']), 1)}%)"
        return [(wording.term(f"area_{name}", lang), text) for name, text in numbers.items()]

    def __repr__(self) -> str:
        notice = self.provenance.notice.get(project.language(), "")
        lines = [self.name(), *(f"{head}: {text}" for head, text in self._card()), notice]
        return "\n".join(filter(None, lines))

    def _repr_html_(self) -> str:
        notice = self.provenance.notice.get(project.language(), "")
        foot = f"<p>{escape(notice)}</p>" if notice else ""
        return f"<p><strong>{escape(self.name())}</strong></p>{card_html(self._card())}{foot}"


def survey_area(design: Design, area: Mapping[str, Any], *, wave: Mapping[str, Any]) -> Area:
    """Take one area in one wave: what its page is about.

    Parameters
    ----------
    design : Design
        All areas; earlier waves too, where changes and rare groups are asked for. Strata and sampling units of two
        waves bear different names, or the same where they are the same.
    area : mapping of column to value
        ``{"district": 110}``.
    wave : mapping of column to value
        ``{"year": 2016}``; a numeric column.

    Returns
    -------
    Area
        For ``area_means``, ``area_difference``, ``area_change`` and ``area_group``.

    Raises
    ------
    ColumnError
        A column does not exist, or is area and wave at once; a wave that is no number.
    EstimationError
        Nobody was asked there in that wave.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"gu": ["a", "a", "b"], "year": 2016, "w": [2.0, 2.0, 4.0]})
    >>> survey_area(survey_design(respondents, weights="w"), {"gu": "a"}, wave={"year": 2016}).tidy()["sum"].tolist()
    [4.0]
    """
    require_design(design, "survey_area")
    for name, given in (("area", area), ("wave", wave)):
        if not isinstance(given, Mapping) or not given or (name == "wave" and len(given) != 1):
            raise EstimationError(
                f"survey_area: {name} must map a column to a value, got {given!r}. Write area={{'district': 110}}, "
                f"wave={{'year': 2016}}."
            )
    ((column, value),) = wave.items()
    time = str(column)
    if not pd.api.types.is_scalar(value):
        raise EstimationError(f"survey_area: a page is about one wave, a number, got {value!r}. Give one of them.")
    if time in area:
        raise ColumnError(f"survey_area: '{time}' cannot be area and wave at once. Leave it out of the area.")
    if not pd.api.types.is_numeric_dtype(design.column(time)):
        raise ColumnError(f"survey_area: '{time}' is no number, so no wave comes before another. Code it as a number.")
    of_wave = domain(design, wave)
    size = int(of_wave.present.sum())
    design = replace(design, provenance=replace(design.provenance, n=size))
    return Area(design, dict(area), dict(wave), _who_was_asked(of_wave, area, wave))


def _who_was_asked(of_wave: Design, area: Mapping[str, Any], wave: Mapping[str, Any]) -> pd.DataFrame:
    here = domain(of_wave, area)
    weights, n = here.weights[here.present], int(here.present.sum())
    total, squares = float(weights.sum()), float(weights @ weights)
    stage = here.sampling.stages[0]
    row = {
        **area,
        **wave,
        "n_obs": n,
        "n_psu": len(np.unique(stage.unit[here.present])),
        "sum": total,
        "share_of_sum": total / float(of_wave.domain_weights.sum()),
        "kish_deff": n * squares / total**2,
        "n_eff": total**2 / squares,
    }
    return hidden(pd.DataFrame([row]), [*area, *wave], marks_of(np.array([n]), of_wave.provenance, bases=False))


def _require_area(area: object, verb: str) -> Area:
    if not isinstance(area, Area):
        raise EstimationError(f"{verb} needs what ev.survey_area returned, got {type(area).__name__}.")
    return area


def wave_means(design: Design, variables: Names, *, wave: Mapping[str, Any], conf_level: float = 0.95) -> Estimates:
    """Estimate means of all areas of a wave together; what stands below names the wave and counts its respondents.

    Parameters
    ----------
    design : Design
        May hold other waves.
    variables : str or list of str
        Numeric columns.
    wave : mapping of column to value
        ``{"year": 2016}``.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        As ``survey_mean`` of the wave, one row per variable.

    Raises
    ------
    EstimationError
        ``wave`` is no mapping of one column, or nobody was asked in it.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"year": [2015, 2016, 2016], "y": [0.0, 2.0, 4.0]})
    >>> made = wave_means(survey_design(respondents), "y", wave={"year": 2016})
    >>> made.estimate.tolist(), made.provenance.n
    ([3.0], 2)
    """
    require_design(design, "wave_means")
    if not isinstance(wave, Mapping) or len(wave) != 1:
        raise EstimationError(f"wave_means: wave must map one column to a value, got {wave!r}. Write {{'year': 2016}}.")
    of_wave = domain(design, wave)
    means = survey_mean(of_wave, variables, conf_level=conf_level)
    size = int(of_wave.present.sum())
    told = wording.wave_label(next(iter(wave.values())))
    title = {lang: f"{text}: {told}" for lang, text in means.provenance.title.items() if text}
    return replace(means, provenance=replace(means.provenance, n=size, title=title))


def area_means(area: Area, variables: Names, *, conf_level: float = 0.95) -> Estimates:
    """Estimate means in an area, with the number of respondents of a simple sample that would be as precise.

    Parameters
    ----------
    area : Area
        From ``survey_area``.
    variables : str or list of str
        Numeric columns.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable, with the area and the wave as keys; columns ``deff`` and ``n_effective`` (respondents over
        the design effect).
    """
    area = _require_area(area, "area_means")
    by = [*area.area, *area.wave]
    means = survey_mean(area.here, variables, by=by, deff="replace", conf_level=conf_level)
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(means.columns["deff"] > 0, means.n_obs / means.columns["deff"], np.nan)
    return replace(means, verb="area_means", columns={**means.columns, "n_effective": effective}, fit=_of_shares(means))


def _of_shares(means: Estimates) -> dict[str, Any]:
    """Return what the record says of means that are shares: all of 0/1 variables."""
    rarer = means.cell_counts
    return {"shares": True} if rarer is not None and bool((rarer > 0).all()) else {}


def area_difference(area: Area, variables: Names, *, conf_level: float = 0.95) -> Estimates:
    """Estimate how far an area lies from the rest of its wave.

    Parameters
    ----------
    area : Area
        From ``survey_area``.
    variables : str or list of str
        Numeric columns.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable: the mean here less that of everybody else, both of one design, so that what they share
        is counted once. Columns ``mean_here`` and ``mean_elsewhere``.

    Raises
    ------
    EstimationError
        There is nobody elsewhere.
    """
    area = _require_area(area, "area_difference")
    names = list(names_of(variables, "area_difference"))
    of_wave = area.whole_wave
    is_here = area.here.present
    if not (of_wave.present & ~is_here).any():
        raise EstimationError("area_difference: nobody was asked outside this area, so there is no rest to compare.")
    flagged = replace(of_wave, data=of_wave.data.assign(**{_HERE: is_here.astype(np.int64)}))
    means = survey_mean(flagged, names, by=_HERE, conf_level=conf_level)
    flag = means.keys[_HERE].to_numpy()
    same = means.keys["term"].to_numpy()[None, :] == np.array(names, dtype=object)[:, None]
    matrix = np.where(same, np.where(flag == 1, 1.0, -1.0), 0.0)
    difference = combined(means, matrix, names)
    counts = np.where(same & (flag == 1), means.n_obs, 0).sum(axis=1)
    levels = {
        "mean_here": (same & (flag == 1)) @ means.estimate,
        "mean_elsewhere": (same & (flag == 0)) @ means.estimate,
    }
    keys = _keys(area, names)
    return replace(difference, verb="area_difference", keys=keys, n_obs=counts.astype(np.int64), columns=levels)


def _keys(area: Area, names: Sequence[str]) -> pd.DataFrame:
    fixed = {name: [value] * len(names) for name, value in {**area.area, **area.wave}.items()}
    return pd.DataFrame({"term": list(names), **fixed})


def area_change(area: Area, variables: Names, *, conf_level: float = 0.95) -> Estimates:
    """Estimate the change in an area since the wave before, or say why there is none to be had.

    Parameters
    ----------
    area : Area
        From ``survey_area``, of a design that holds the wave before too.
    variables : str or list of str
        Numeric columns.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable; columns ``wave_before``, ``at_start``, ``at_end`` and ``refused_because``: no
        earlier wave, or a wording that the survey's changes.csv says was another one.

    Notes
    -----
    The variance is that of the difference under one design: waves that share sampling units are not independent.
    """
    area = _require_area(area, "area_change")
    names = list(names_of(variables, "area_change"))
    own = next(iter(area.wave.values()))
    earlier = [wave for wave in _waves(domain(area.design, area.area), area.time) if wave < own]
    if not earlier:
        return _without_numbers("area_change", area, names, NO_EARLIER_WAVE, conf_level)
    both = domain(area.design, {**area.area, area.time: [earlier[-1], own]})
    trend = survey_trend(both, names, time=area.time, conf_level=conf_level)
    change = trend_change(trend, earlier[-1], own, across_breaks="mark")
    wave, term = trend.keys[area.time].to_numpy(), trend.keys["term"].to_numpy()
    at = {(str(name), float(year)): row for row, (name, year) in enumerate(zip(term, wave, strict=True))}
    start = np.array([trend.estimate[at[str(name), float(earlier[-1])]] for name in change.keys["term"]])
    end = np.array([trend.estimate[at[str(name), float(own)]] for name in change.keys["term"]])
    reason = np.where(np.isnan(change.estimate), REWORDED, "").astype(object)
    columns = {
        "wave_before": np.full(len(change), wording.wave_label(earlier[-1]), dtype=object),
        "at_start": np.where(reason == "", start, np.nan),
        "at_end": np.where(reason == "", end, np.nan),
        "refused_because": reason,
    }
    return replace(change, verb="area_change", keys=_keys(area, change.keys["term"].tolist()), columns=columns)


def _waves(design: Design, time: str) -> list[Any]:
    return sorted(design.column(time)[design.present].dropna().unique().tolist())


def area_group(
    area: Area,
    variables: Names,
    *,
    group: Mapping[str, Any],
    waves: int = 3,
    newest: int | float | None = None,
    minimum_n: int = 30,
    minimum_df: float = 3,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate means of a rare group in an area, over its last waves together, or refuse to in words.

    Parameters
    ----------
    area : Area
        From ``survey_area``, of a design that holds earlier waves too.
    variables : str or list of str
        Numeric columns.
    group : mapping of column to value
        ``{"participant": 1}``.
    waves : int, default 3
        Waves up to the area's own that are put together, every wave counting alike; fewer where there are fewer.
    newest : number, optional
        Last wave for which the same is published anywhere: it alone has numbers then. Default: the area's own. Of two
        windows that overlap, one less the other is the level of the waves that only one of them holds, so several
        waves together would hide nobody.
    minimum_n : int, default 30
        Fewest respondents over these waves.
    minimum_df : float, default 3
        Fewest degrees of freedom.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable; columns ``waves_pooled`` (which), ``waves_alike`` (see ``pooled_waves``) and
        ``refused_because``. It is the average level of these waves, and stands for the last one only if nothing
        changed in between.

    Raises
    ------
    EstimationError
        ``waves`` is no whole number above zero, a minimum is negative, or ``newest`` lies before the area's own wave.
    """
    area = _require_area(area, "area_group")
    names = list(names_of(variables, "area_group"))
    if not isinstance(group, Mapping) or not group:
        raise EstimationError(
            f"area_group: group must map a column to a value, got {group!r}. Write group={{'participant': 1}}."
        )
    if isinstance(waves, bool) or not isinstance(waves, int) or waves < 1:
        raise EstimationError(f"area_group: waves must be 1 or above, got {waves!r}. Write waves=3.")
    require_minima(minimum_n, minimum_df)
    own = next(iter(area.wave.values()))
    if newest is not None and newest != own:
        return _group_refused(area, names, _within_later(area, newest, waves), "", conf_level)
    chosen = [wave for wave in _waves(area.design, area.time) if wave <= own][-waves:]
    among = _present_in(area.design, {**area.area, **group})
    met = [wave for wave in chosen if (among & (area.design.column(area.time) == wave).to_numpy(dtype=bool)).any()]
    told = _told(chosen)
    if not met or len(met) < len(chosen):
        return _group_refused(area, names, ABSENT_WAVE if met else NOBODY, told, conf_level)
    restricted = domain(area.design, {**area.area, **group, area.time: chosen})
    size = int(domain(area.design, {area.time: chosen}).present.sum())
    restricted = replace(restricted, provenance=replace(restricted.provenance, n=size))
    by = list(area.area)
    if len(chosen) == 1:
        made = refuse_small(
            survey_mean(restricted, names, by=by, conf_level=conf_level), minimum_n=minimum_n, minimum_df=minimum_df
        )
    else:
        made = pooled_waves(
            restricted, names, by=by, time=area.time, waves=chosen, minimum_n=minimum_n, minimum_df=minimum_df,
            conf_level=conf_level,
        )  # fmt: skip
    alike = made.columns.get("waves_alike", np.full(len(made), np.nan))
    columns: dict[str, NDArray[Any]] = {
        "waves_pooled": np.full(len(made), told, dtype=object),
        "waves_alike": alike,
        "refused_because": made.columns["refused_because"],
    }
    group_told = {str(name): str(value) for name, value in group.items()}
    return replace(
        made, verb="area_group", keys=_keys(area, made.keys["term"].tolist()), columns=columns,
        fit={**made.fit, **_of_shares(made), "group": group_told},
    )  # fmt: skip


def _group_refused(area: Area, names: list[str], reason: str, told: str, conf_level: float) -> Estimates:
    refused = _without_numbers("area_group", area, names, reason, conf_level)
    return replace(refused, columns={"waves_pooled": np.full(len(names), told, dtype=object), **refused.columns})


def _within_later(area: Area, newest: object, waves: int) -> str:
    """Say why an earlier wave has no numbers of its own: its window would be subtracted from the newest one."""
    own = next(iter(area.wave.values()))
    if isinstance(newest, bool) or not isinstance(newest, (int, float, np.number)) or not newest > own:
        raise EstimationError(
            f"area_group: newest is the last wave for which the group is given anywhere, got {newest!r}, but the area "
            f"is of {wording.wave_label(own)}. Give the last wave of the study."
        )
    later = [wave for wave in _waves(area.design, area.time) if wave <= newest][-waves:]
    return (IN_WINDOW if own in later else BEFORE_WINDOW).format(wave=wording.wave_label(newest))


def _present_in(design: Design, where: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Tell who counts and has these values; unlike ``domain``, nobody may be no error."""
    inside = design.present.copy()
    for name, value in where.items():
        inside &= (design.column(name) == value).to_numpy(dtype=bool, na_value=False)
    return inside


def _told(waves: Sequence[Any]) -> str:
    return ", ".join(map(wording.wave_label, waves))


def _without_numbers(verb: str, area: Area, names: list[str], reason: str, conf_level: float) -> Estimates:
    k = len(names)
    return Estimates(
        verb=verb,
        keys=_keys(area, names),
        estimate=np.full(k, np.nan),
        vcov=np.full((k, k), np.nan),
        df=np.full(k, np.nan),
        n_obs=np.zeros(k, dtype=np.int64),
        provenance=area.provenance,
        conf_level=conf_level,
        columns={"refused_because": np.full(k, reason, dtype=object)},
    )
