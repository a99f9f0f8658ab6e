"""What labels and answers say about a scale: which end means more, which codes are no answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from evaluation.survey.codebook import Codebook, Direction, Variable

_NO_ANSWER = re.compile(
    r"don'?t know|don’t know|do not know|no answer|no response|not answered|refus|not applicable|not asked|inapplicable"
    r"|\b(dk|iap|n/a|nr|na)\b"
    r"|모르|모름|무응답|응답\s*거[절부]|거절|비해당|해당\s*(사항\s*)?없|결측",
    re.IGNORECASE,
)
_LESS = {
    "en": re.compile(
        r"\b(not|never|none|nobody|no|disagree\w*|dissatisf\w*|unsatisf\w*|unhappy|distrust\w*|mistrust\w*|oppos\w*"
        r"|unlikely|poor|bad|low|lowest|worst|weak|reject\w*|against)\b",
        re.IGNORECASE,
    ),
    "ko": re.compile(r"반대|불만|불행|불신|않|아니|아님|전혀|나쁘|나쁨|없|낮|못|최하|싫"),
}
_MORE = {
    "en": re.compile(
        r"\b(agree\w*|satisf\w*|happy|trust\w*|always|often|good|excellent|high|highest|best|favou?r\w*|support\w*"
        r"|likely|strong\w*|daily|weekly|completely|fully|very much|a lot|a great deal)\b",
        re.IGNORECASE,
    ),
    "ko": re.compile(r"동의|찬성|만족|행복|신뢰|그렇|좋|높|최상|자주|항상|매일|매주|있|적극"),
}
#: Respondents below which answers say nothing about the direction of an item.
_ENOUGH = 30


def sounds_like_no_answer(label: str) -> bool:
    """Tell whether a label reads as "don't know", "refused", "no answer" or "not applicable".

    Examples
    --------
    >>> sounds_like_no_answer("모르겠다/무응답"), sounds_like_no_answer("DK/Refusal"), sounds_like_no_answer("없다")
    (True, True, False)
    """
    return bool(_NO_ANSWER.search(label))


def reason_of(label: str) -> str:
    """Return the reason for a missing value that a label states, ``no_answer`` where it is not clear.

    Examples
    --------
    >>> reason_of("모르겠다"), reason_of("IAP"), reason_of("Refused"), reason_of("")
    ('dont_know', 'not_applicable', 'refused', 'no_answer')
    """
    lower = label.lower()
    if re.search(r"know|\bdk\b|모르|모름", lower):
        return "dont_know"
    if re.search(r"applicable|\biap\b|not asked|비해당|해당", lower):
        return "not_applicable"
    return "refused" if re.search(r"refus|거절|거부", lower) else "no_answer"


def direction_of(labels: Iterable[str], lang: str) -> Direction:
    """Return which way a scale runs, judged by the labels of its two ends; empty where they do not tell.

    Parameters
    ----------
    labels : iterable of str
        From the lowest code to the highest.
    lang : {"ko", "en"}
        Language of the labels.

    Examples
    --------
    >>> direction_of(["Strongly agree", "Neither", "Strongly disagree"], "en")
    'higher_is_less'
    >>> direction_of(["매우 불만족", "보통", "매우 만족"], "ko")
    'higher_is_more'
    >>> direction_of(["Under 20", "20 to 39", "40 or over"], "en")
    ''
    """
    ends = [label for label in labels if label]
    if len(ends) < 2:
        return ""
    low, high = _pole(ends[0], lang), _pole(ends[-1], lang)
    if low * high >= 0:
        return ""
    return "higher_is_more" if high > low else "higher_is_less"


def _pole(label: str, lang: str) -> int:
    if _LESS[lang].search(label):
        return -1
    return 1 if _MORE[lang].search(label) else 0


def direction_problem(variable: Variable) -> str:
    """Return what is wrong with a scale's declared direction, empty where nothing is.

    An ordinal variable must declare one; the labels of its ends must not say the opposite, nor
    contradict each other between the languages.
    """
    if variable.kind == "ordinal" and not variable.direction:
        return (
            "is ordinal but declares no scale_direction. Put higher_is_more where a higher code means more of what "
            "the labels say, else higher_is_less"
        )
    if variable.scale and not variable.direction:
        return f"belongs to the scale '{variable.scale}' but declares no scale_direction. Declare it for every item"
    numbers = variable.numeric_codes
    if not numbers or variable.kind != "ordinal":
        return ""
    order = sorted(variable.codes, key=int)
    low, high = variable.codes[order[0]], variable.codes[order[-1]]
    judged = {
        lang: direction_of([variable.codes[code][place] for code in order], lang)
        for place, lang in enumerate(("ko", "en"))
    }
    ends = {lang: f"{order[0]}='{low[i]}' ... {order[-1]}='{high[i]}'" for i, lang in enumerate(("ko", "en"))}
    if judged["ko"] and judged["en"] and judged["ko"] != judged["en"]:
        return f"has labels that run opposite ways: Korean {ends['ko']}, English {ends['en']}. Correct one of them"
    for lang in ("ko", "en"):
        if judged[lang] and judged[lang] != variable.direction:
            return (
                f"declares {variable.direction}, but its labels say {judged[lang]} ({ends[lang]}). "
                "Correct scale_direction in codebook.csv, or the labels in codes.csv"
            )
    return ""


def lone_code(variable: Variable) -> str:
    """Return a code such as 9 or 99 that stands apart at the top of a scale without a label of its own."""
    numbers = sorted(variable.numeric_codes or [])
    if variable.kind != "ordinal" or len(numbers) < 3:
        return ""
    top, below = numbers[-1], numbers[-2]
    labels = set(variable.codes[str(top)]) - {"", str(top)}
    looks = top in (8, 9) or set(str(top)) in ({"8"}, {"9"}) or top in (97, 98, 997, 998)
    unspoken = not labels and str(top) not in variable.valid
    return str(top) if looks and top - below > 1 and unspoken else ""


def lone_number(values: pd.Series, variable: Variable) -> float | None:
    """Return a number such as -9 or 999 that stands far from all others at an end with no declared bound."""
    if not pd.api.types.is_numeric_dtype(values) or variable.kind != "numeric":
        return None
    present = np.unique(values.to_numpy(dtype=float, na_value=np.nan))
    present = present[~np.isnan(present)]
    if len(present) < 3:
        return None
    top, below, bottom, above = present[-1], present[-2], present[0], present[1]
    if variable.maximum is None and _all_nines(top) and below < top * 0.6 and str(int(top)) not in variable.valid:
        return float(top)
    if variable.minimum is None and bottom in (-1, -7, -8, -9, -88, -99, -999) and above >= 0:
        return None if str(int(bottom)) in variable.valid else float(bottom)
    return None


def _all_nines(value: float) -> bool:
    return value >= 88 and value.is_integer() and set(str(int(value))) in ({"8"}, {"9"})


def contrary_items(codebook: Codebook, frame: pd.DataFrame) -> Mapping[str, tuple[str, float, int]]:
    """Find items that run against the rest of their battery once all are turned to the same direction.

    An item is contrary where its correlation with the mean of the others lies more than three standard
    errors, and at least 0.1, below zero: its codes are reversed, or it is worded the other way round.

    Returns
    -------
    mapping of str to (scale, correlation, n)
        By variable; empty where fewer than 30 respondents answered all items.
    """
    found: dict[str, tuple[str, float, int]] = {}
    batteries: dict[str, list[Variable]] = {}
    for name, variable in codebook.variables.items():
        if variable.scale and variable.direction and name in frame and pd.api.types.is_numeric_dtype(frame[name]):
            batteries.setdefault(variable.scale, []).append(variable)
    for scale, items in batteries.items():
        answers = frame[[item.name for item in items]].dropna().to_numpy(dtype=float)
        n = len(answers)
        if len(items) < 2 or n < _ENOUGH:
            continue
        signs = [(1 if item.direction == "higher_is_more" else -1) * (-1) ** item.reverse_worded for item in items]
        spread = answers.std(axis=0)
        usable = spread > 0
        scores = np.where(usable, (answers - answers.mean(axis=0)) / np.where(usable, spread, 1.0) * signs, 0.0)
        rest = scores.sum(axis=1, keepdims=True) - scores
        for place, item in enumerate(items):
            if usable[place] and rest[:, place].std() > 0:
                correlation = float(np.corrcoef(scores[:, place], rest[:, place])[0, 1])
                if correlation < -max(0.1, 3 / np.sqrt(n)):
                    found[item.name] = (scale, correlation, n)
    return found
