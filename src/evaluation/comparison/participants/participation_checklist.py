"""What must be said of participation before groups are compared: a printed list of what is answered and open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.covariate_columns import by_group, covariate_columns, fewest_behind, gaps
from evaluation.comparison.participants.listings import VERB as SHARED
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.domains import code_levels
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.small_counts import fewest, is_small
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates, Provenance, frame_html, plain

Floats = NDArray[np.float64]
Names = str | Sequence[str]
Status = Literal["answered", "assumed", "open"]

VERB = "participation_checklist"
#: What is said of each item in each state: Korean and English.
_SAID: dict[tuple[str, str], tuple[str, str]] = {
    ("definition", "answered"): (
        "한 번이라도 참여 {0}%, 그중 최근 참여 {1}%. 정의를 바꾸면 두 집단의 구성이 달라짐",
        "{0}% ever took part, {1}% of them recently; another definition makes other groups",
    ),
    ("definition", "open"): (
        "참여를 언제까지로 보는지 정하지 않음: ev.participation_windows(ever=, recent=)",
        "not said whether participants are those who ever or recently took part: ev.participation_windows(ever=, "
        "recent=)",
    ),
    ("self_report", "answered"): (
        "응답과 기록을 맞추어 봄: 민감도 {0}%, 특이도 {1}%. 차이의 범위는 ev.misclassification_bounds",
        "answers held against the record: sensitivity {0}%, specificity {1}%; ev.misclassification_bounds bounds the "
        "difference",
    ),
    ("self_report", "half"): (
        "명부의 참여자에게만 확인: 민감도 {0}%. 참여하지 않은 사람의 응답은 확인되지 않음",
        "held against the record of participants alone: sensitivity {0}%; how others answer is not known",
    ),
    ("self_report", "open"): (
        "참여 응답이 기록과 맞는지 확인되지 않음: ev.participation_agreement, 기록이 없으면 "
        "ev.misclassification_bounds",
        "reported participation was not held against a record: ev.participation_agreement, without a record "
        "ev.misclassification_bounds",
    ),
    ("several_projects", "answered"): (
        "참여자의 {0}%가 두 개 이상의 사업에 참여. 가중치를 참여 수로 나눔",
        "{0}% of participants took part in two projects or more; weights are shared among their listings",
    ),
    ("several_projects", "assumed"): (
        "참여자의 {0}%가 두 개 이상의 사업에 참여. 사람을 추출했다면 그대로 두고, 명부의 참여 건을 추출했다면 "
        "ev.share_listings",
        "{0}% of participants took part in two projects or more; right where people were drawn, else ev.share_listings",
    ),
    ("several_projects", "open"): (
        "여러 사업에 참여한 사람이 몇인지 알 수 없음: listings=로 참여 수를 지정",
        "not known who took part in several projects: name the column in listings=",
    ),
    ("nesting", "answered"): (
        "참여자는 사업 {0}개에 속하고, 사업이 1차 추출단위임",
        "participants belong to {0} projects, which are the sampling units of the error",
    ),
    ("nesting", "open"): (
        "참여자가 속한 사업 {0}개가 추출단위가 아니어서 오차가 작게 나올 수 있음: psu='{1}'로 설계를 선언",
        "participants belong to {0} projects that are no sampling units, so errors may be too small: declare the "
        "design with psu='{1}'",
    ),
    ("nesting", "unknown"): (
        "참여자가 어느 사업에 속하는지 지정하지 않음: project=",
        "not said to which projects participants belong: project=",
    ),
    ("interference", "assumed"): (
        "비참여자의 {0}%가 참여자가 있는 곳에 삶. 사업이 이웃에게는 영향을 주지 않는다고 가정하며, 그렇지 않으면 "
        "차이는 사업의 몫이 아님",
        "{0}% of the others live where participants do; that the programme does not reach neighbours is assumed, and "
        "if it does the difference is not the programme's share",
    ),
    ("interference", "open"): (
        "비참여자가 참여자의 이웃인지 지정하지 않음: place=",
        "not said who of the others are neighbours of participants: place=",
    ),
    ("rollout", "answered"): (
        "시행 시기({0})의 표준화 차이 {1}. 공변량에 들어 있음",
        "roll-out ({0}) differs by {1} standard deviations, and is among the covariates",
    ),
    ("rollout", "open"): (
        "시행 시기({0})의 표준화 차이 {1}인데 공변량에 없음: 참여와 결과를 함께 움직일 수 있으니 covariates에 넣을 것",
        "roll-out ({0}) differs by {1} standard deviations and is no covariate: it may move both participation and the "
        "outcome, so add it to covariates",
    ),
    ("rollout", "unknown"): (
        "같은 때 시행된 다른 사업이 어디까지 왔는지 지정하지 않음: exposure=",
        "not said what else was rolled out where people live: exposure=",
    ),
}


@dataclass(frozen=True, eq=False)
class ParticipationChecklist:
    """Six questions about participation and where each stands.

    Attributes
    ----------
    rows : pandas.DataFrame
        ``item``, ``status`` ("answered", "assumed", "open"), ``value`` (share 0 to 1, number of projects, or
        standardised difference; NaN where nothing is known), ``text_ko``, ``text_en``.
    treatment : str
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    treatment: str
    provenance: Provenance

    @property
    def open_items(self) -> list[str]:
        """Items that nobody answered."""
        return self.rows.loc[self.rows["status"] == "open", "item"].tolist()

    def tidy(self) -> pd.DataFrame:
        """Return one row per item."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.rows.to_dict("records")]
        return {
            "verb": VERB,
            "provenance": self.provenance.to_dict(),
            "fit": {"treatment": self.treatment},
            "rows": rows,
        }

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return item, status and finding in words, and no notes."""
        return {
            wording.term("checklist_item", lang): [
                wording.term(f"checklist_{item}", lang) for item in self.rows["item"]
            ],
            wording.term("checklist_status", lang): [
                wording.term(f"status_{name}", lang) for name in self.rows["status"]
            ],
            wording.term("checklist_finding", lang): self.rows[f"text_{lang}"].tolist(),
        }, []

    def text(self, lang: str | None = None) -> str:
        """Return one line per item in words."""
        columns, _ = self.layout(wording.language_of(lang))
        items, statuses, findings = columns.values()
        return "\n".join(f"{a} [{b}]: {c}" for a, b, c in zip(items, statuses, findings, strict=True))

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        columns, _ = self.layout(wording.language_of(None))
        return frame_html(pd.DataFrame(columns))


def participation_checklist(
    design: Design,
    *,
    treatment: str,
    covariates: Names = (),
    project: str | None = None,
    listings: str | None = None,
    place: str | None = None,
    exposure: str | None = None,
    agreement: Estimates | None = None,
    windows: Estimates | None = None,
) -> ParticipationChecklist:
    """Go through what must be known of participation before groups are compared: who, how sure, how many, where, when.

    Parameters
    ----------
    design : Design
        Of the comparison.
    treatment : str
        Two values.
    covariates : str or list of str, optional
        What is adjusted for.
    project : str, optional
        Column of the project that participants belong to, missing for others: is it a sampling unit?
    listings : str, optional
        Column with the number of projects of each participant: are weights shared among them?
    place : str, optional
        Column of where people live: how many of the others are neighbours of participants?
    exposure : str, optional
        Column that says how far another roll-out had come where people live, such as a pilot area: a confounder of
        participation unless it is among the covariates, and the reverse where both came together.
    agreement, windows : Estimates, optional
        From ``participation_agreement`` and ``participation_windows``.

    Returns
    -------
    ParticipationChecklist
        Prints itself; ``open_items`` names what nobody answered.

    Raises
    ------
    ColumnError
        An unknown column.
    EstimationError
        ``agreement`` or ``windows`` came from another verb.

    Notes
    -----
    No item is tested away: that neighbours are untouched is an assumption of every comparison here and stays one.

    References
    ----------
    Hudgens and Halloran (2008), JASA 103, 832-842, on interference.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> people = pd.DataFrame({"joined": [1, 1, 0, 0], "village": ["a", "b", "b", "c"]})
    >>> found = participation_checklist(survey_design(people), treatment="joined", place="village")
    >>> found.open_items
    ['definition', 'self_report', 'several_projects', 'nesting', 'rollout']
    >>> found.rows.set_index("item").loc["interference", "value"]
    np.float64(0.5)
    """
    require_design(design, VERB)
    groups = groups_of(design, treatment=treatment, verb=VERB)
    adjusted = [covariates] if isinstance(covariates, str) and "~" not in covariates else covariates
    named = set(variables_of(adjusted)) if adjusted else set()
    rows = [
        _definition(windows),
        _self_report(agreement),
        _several(design, groups, listings),
        _nesting(design, groups, project),
        _interference(design, groups, place),
        _rollout(design, groups, treatment, exposure, named),
    ]
    return ParticipationChecklist(pd.DataFrame(rows), treatment, design.provenance)


def _row(
    item: str, kind: str, value: float = float("nan"), *words: str, status: Status | None = None
) -> dict[str, Any]:
    korean, english = _SAID[item, kind]
    return {
        "item": item,
        "status": status or kind,
        "value": value,
        "text_ko": korean.format(*words),
        "text_en": english.format(*words),
    }


def _values(result: Estimates, verb: str, argument: str) -> Mapping[str, float]:
    if not isinstance(result, Estimates) or result.verb != verb:
        came = result.verb if isinstance(result, Estimates) else type(result).__name__
        raise EstimationError(f"{VERB}: {argument} must come from ev.{verb}, got {came}.")
    shown = result.masked()
    return dict(zip(shown.keys["quantity"], map(float, shown.estimate), strict=True))


def _per_cent(share: float) -> str:
    return wording.number(100 * share, 1)


def _definition(windows: Estimates | None) -> dict[str, Any]:
    if windows is None:
        return _row("definition", "open")
    found = _values(windows, "participation_windows", "windows")
    return _row("definition", "answered", found["share_ever"], *map(_per_cent, (found["share_ever"],
                found["recent_among_ever"])))  # fmt: skip


def _self_report(agreement: Estimates | None) -> dict[str, Any]:
    if agreement is None:
        return _row("self_report", "open")
    found = _values(agreement, "participation_agreement", "agreement")
    own = _per_cent(found["sensitivity"])
    if "specificity" not in found:
        return _row("self_report", "half", found["sensitivity"], own, status="answered")
    return _row("self_report", "answered", found["sensitivity"], own, _per_cent(found["specificity"]))


def _share(design: Design, whole: NDArray[np.bool_], part: NDArray[np.bool_]) -> float:
    """Return the weighted share of a part; not a number where it would count few of one side."""
    if is_small(fewest([int(part.sum()), int((whole & ~part).sum())]), design.provenance):
        return float("nan")
    weights = design.domain_weights
    return float(weights[part].sum() / weights[whole].sum())


def _several(design: Design, groups: Groups, listings: str | None) -> dict[str, Any]:
    if listings is None:
        return _row("several_projects", "open")
    counts = pd.to_numeric(design.column(listings), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    own = groups.members(1) & ~np.isnan(counts)
    share = _share(design, own, own & (counts > 1)) if own.any() else float("nan")
    is_shared = any(applied.step.verb == SHARED for applied in design.steps)
    return _row("several_projects", "answered" if is_shared or share == 0 else "assumed", share, _per_cent(share))


def _nesting(design: Design, groups: Groups, project: str | None) -> dict[str, Any]:
    if project is None:
        return _row("nesting", "unknown", status="open")
    members = groups.members(1)
    levels, _ = code_levels(design.column(project), members)
    units = {name for sampling in (design.sampling, *(part.sampling for part in design.sampling.parts))
             for name in sampling.psu}  # fmt: skip
    kind = "answered" if project in units else "open"
    return _row("nesting", kind, float(len(levels)), f"{len(levels):,}", project)


def _interference(design: Design, groups: Groups, place: str | None) -> dict[str, Any]:
    if place is None:
        return _row("interference", "open")
    levels, code = code_levels(design.column(place), groups.used)
    with_participants = np.zeros(len(levels) + 1, dtype=bool)
    with_participants[code[groups.members(1)]] = True
    with_participants[-1] = False
    others = groups.members(0)
    share = _share(design, others, others & with_participants[code])
    return _row("interference", "assumed", share, _per_cent(share))


def _rollout(design: Design, groups: Groups, treatment: str, exposure: str | None, named: set[str]) -> dict[str, Any]:
    if exposure is None:
        return _row("rollout", "unknown", status="open")
    at, split = by_group((groups.members(0), groups.members(1)))
    (column,) = covariate_columns(design, treatment, [exposure], at)
    (found,) = gaps(column, split, design.domain_weights[at][None, :])
    largest = max((each.standardised(sum(each.variance) / 2) for each in found), key=abs)
    few = [fewest_behind(column, place, split) for place in range(len(found))]
    if is_small(fewest(few), design.provenance):
        largest = round(largest, 1)
    kind = "answered" if exposure in named else "open"
    label = wording.term_label(exposure, design.provenance.labels, "en")
    row = _row("rollout", kind, largest, label, wording.number(largest, 2))
    korean = wording.term_label(exposure, design.provenance.labels, "ko")
    return row | {"text_ko": _SAID["rollout", kind][0].format(korean, wording.number(largest, 2))}
