"""What the codes in the name of an instance stand for: the 종로구 of ``district/110_2016``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation import project
from evaluation.errors import EvaluationError

if TYPE_CHECKING:
    from evaluation.study.plan import PlannedStep
    from evaluation.survey.codebook import Codebook


def places_of(survey_id: str, steps: Iterable[PlannedStep]) -> dict[str, str]:
    """Return the words for the codes of each planned instance; steps without a coded value are left out.

    Parameters
    ----------
    survey_id : str
        The survey whose codebook knows the codes. Where it cannot be read there are no words: a run
        never fails for want of a name.
    steps : iterable of PlannedStep

    Returns
    -------
    dict of str to str
        By name of the step: ``"종로구 (Jongno-gu)"``, of a notebook in English ``"Jongno-gu (종로구)"``; several
        codes with ``"; "`` between them.
    """
    planned = [step for step in steps if step.values]
    languages = {step.name: str(step.parameters.get("lang", "en")) for step in planned}
    return _places(survey_id, {step.name: step.values for step in planned}, languages)


def places_named(
    survey_id: str, steps: Iterable[str], matrices: Mapping[str, Sequence[str]], lang: str
) -> dict[str, str]:
    """Return the words for names of instances alone, as ``places_of`` does for planned ones.

    Parameters
    ----------
    survey_id : str
    steps : iterable of str
        Names such as ``"district/110_2016"``.
    matrices : mapping of str to sequence of str
        The matrix names of each step, in order: ``{"district": ["district", "year"]}``. A name whose
        parts cannot be told apart gets no words.
    lang : {"ko", "en"}
        Language of the study, whose names come first.
    """
    values = {}
    for name in steps:
        step, _, label = name.partition("/")
        names, parts = matrices.get(step, ()), label.split("_")
        if label and len(names) == len(parts):
            values[name] = dict(zip(names, parts, strict=True))
    return _places(survey_id, values, dict.fromkeys(values, lang))


def _places(survey_id: str, values: Mapping[str, Mapping[str, object]], languages: Mapping[str, str]) -> dict[str, str]:
    codebook = _codebook(survey_id) if values else None
    if codebook is None:
        return {}
    told = {}
    for name, codes in values.items():
        words = [word for variable, code in codes.items() if (word := _word(codebook, variable, code, languages[name]))]
        if words:
            told[name] = "; ".join(words)
    return told


def _codebook(survey_id: str) -> Codebook | None:
    from evaluation.survey.codebook import read_codebook  # brings pandas, which a plan without a matrix can spare

    try:
        path = project.survey_folder(survey_id) / "codebook.csv"
        return read_codebook(path) if path.is_file() else None
    except (EvaluationError, OSError):
        return None


def _word(codebook: Codebook, variable: str, code: object, lang: str) -> str:
    from evaluation.survey.codebook import code_text

    if variable not in codebook:
        return ""
    korean, english = codebook[variable].codes.get(code_text(code), ("", ""))
    first, second = (korean, english) if lang == "ko" else (english, korean)
    word = f"{first} ({second})" if first and second and first != second else first or second
    return "" if word == str(code) else word
