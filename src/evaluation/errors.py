"""One tree of errors and one of warnings, by the stage at which something goes wrong.

Every message says what was expected, what came, where, and the next move; the offending rows,
where there are any, travel in ``error.failures``.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    import pandas as pd


class EvaluationError(Exception):
    """Base of every error the workbench raises on purpose.

    Parameters
    ----------
    message : str
        What was expected, what came, where, and the next move.
    failures : pandas.DataFrame, optional
        The offending rows, one per row, for the reader who wants to look.

    Examples
    --------
    >>> raise EvaluationError("expected a survey, got None")
    Traceback (most recent call last):
    evaluation.errors.EvaluationError: expected a survey, got None
    """

    def __init__(self, message: str, *, failures: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.failures = failures


class ProjectError(EvaluationError):
    """The project folder, a file of it, or a setting of it is not as it must be."""


class ColumnError(EvaluationError):
    """A column that was named does not exist or cannot serve its purpose."""


class SurveyError(EvaluationError):
    """A survey cannot be read as it was described."""


class SourceError(SurveyError):
    """A survey's file is missing, unreadable, or not the file that was described."""


class CodebookError(SurveyError):
    """Data and codebook contradict each other, or the codebook contradicts itself."""


class MarginError(SurveyError):
    """Population margins contradict each other or the sample."""


class IndicatorError(SurveyError):
    """Administrative figures contradict each other, or are put to a use they cannot bear."""


class DesignError(EvaluationError):
    """A sampling design contradicts itself or the data."""


class WeightingError(EvaluationError):
    """A weighting step cannot do what was asked of it."""


class CalibrationError(WeightingError):
    """Calibration targets cannot be met."""


class EstimationError(EvaluationError):
    """An estimate does not exist for these data."""


class IdentificationError(EstimationError):
    """The data do not identify what was asked for."""


class FewClustersError(IdentificationError):
    """There are too few clusters to say anything about how much clusters differ."""


class SeparationError(IdentificationError):
    """A covariate tells some outcomes for certain, so that its coefficient has no bound."""


class StudyError(EvaluationError):
    """A study file, its steps or its parameters are wrong; found before anything ran."""


class CacheDamage(EvaluationError):
    """A kept result is not what was kept; it is removed, and its step runs."""


class PublishError(EvaluationError):
    """Something cannot leave a notebook in this form or under this name."""


class ClaimError(EvaluationError):
    """A claims register contradicts itself or names what does not exist."""


class EvaluationWarning(UserWarning):
    """Base of every warning the workbench gives on purpose."""


class FewClustersWarning(EvaluationWarning):
    """Too few clusters are treated, or left to compare with, for an error to be trusted."""


class SharedTreatmentWarning(EvaluationWarning):
    """Respondents share their treatment, but the error counts them as independent."""


class DoseWarning(EvaluationWarning):
    """A treatment has values that neither a 0/1 treatment nor a share can have."""


class ReplicateWarning(EvaluationWarning):
    """Some replicates give no estimate, so a variance rests on the others."""


class ContraryItemWarning(EvaluationWarning):
    """An item runs against the others that it is put together with, and nobody said that it is reversed."""


class SourceWarning(EvaluationWarning):
    """A file that the user brought is not the extract that a survey describes."""


def require_flag(value: object, argument: str, error: type[EvaluationError]) -> None:
    """Raise ``error`` unless an argument is True or False (or 1 or 0): text, even "no", would count as yes.

    Examples
    --------
    >>> require_flag("no", "survey_design: nested", DesignError)
    Traceback (most recent call last):
    evaluation.errors.DesignError: survey_design: nested must be True or False, got 'no'. Write it without quotes.
    """
    if type(value).__name__ not in ("bool", "bool_") and value not in (0, 1):
        move = "Write it without quotes." if isinstance(value, str) else "Write one of the two."
        raise error(f"{argument} must be True or False, got {value!r}. {move}")


def did_you_mean(name: object, options: Iterable[object]) -> str:
    """Return a closing half-sentence that names the nearest option, or lists what there is.

    Parameters
    ----------
    name : object
        What came.
    options : iterable
        What would have been understood.

    Returns
    -------
    str
        A sentence to put behind an error message; empty where there are no options.

    Examples
    --------
    >>> did_you_mean("trim_uper", ["lang", "trim_upper"])
    "Did you mean 'trim_upper'?"
    >>> did_you_mean("성벌", ["연령", "성별"])
    "Did you mean '성별'?"
    >>> did_you_mean("2015", [2015, 2016])
    "It has the number 2015, but the text '2015' came."
    >>> did_you_mean("x", ["lang", "seed"])
    'Known: lang, seed.'
    """
    given = list(options)
    known = [str(option) for option in given]
    other = next((option for option in given if str(option) == str(name) and type(option) is not type(name)), None)
    if other is not None:
        return f"It has {_with_kind(other)}, but {_with_kind(name)} came."
    nearest = get_close_matches(str(name), known, n=1, cutoff=0.6) or _sounding_alike(str(name), known)
    if nearest:
        return f"Did you mean '{nearest[0]}'?"
    listing = ", ".join(known[:12]) + (f", ... ({len(known)} in all)" if len(known) > 12 else "")
    return f"Known: {listing}." if known else ""


def _with_kind(value: object) -> str:
    return f"the text {str(value)!r}" if isinstance(value, str) else f"the number {value}"


def _sounding_alike(name: str, known: list[str]) -> list[str]:
    """Return the nearest of ``known`` by letters: Korean syllables taken apart, capitals made small."""
    spelt = {normalize("NFD", option).casefold(): option for option in known}
    found = get_close_matches(normalize("NFD", name).casefold(), list(spelt), n=1, cutoff=0.6)
    return [spelt[near] for near in found]
