"""The script: what R is to do, what we had found, and how far apart the two are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.design.design import Design, require_design
from evaluation.design.replicates import Replicates
from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import EstimationError, ProjectError
from evaluation.results import Estimates, TestResult
from evaluation.second_opinion.calls import NotSaid, Number, Result, numbers_of
from evaluation.second_opinion.drawing import declared, options_of, restricted
from evaluation.second_opinion.sheet import Sheet, quoted
from evaluation.second_opinion.weighting import weighted
from evaluation.survey.writing import require_private

SCRIPT, DATA, OURS, REPLICATES, COMPARED = "script.R", "data.csv", "ours.csv", "replicates.csv", "compared.csv"

_OPENING = """\
# A second opinion: the same numbers, computed by R's package survey.
# Run it in this folder and a UTF-8 locale: Rscript --encoding=UTF-8 script.R
# data.csv holds answers of single respondents: keep it where those may be kept.
suppressPackageStartupMessages(library(survey))
options(width = 160)"""

_ASKED = """\
ours <- read.csv("ours.csv", encoding = "UTF-8", na.strings = "NA", stringsAsFactors = FALSE)

# What an answer holds, by name: estimates with their standard errors, or a test's statistic and p-value.
held <- function(call, only = NULL) {
  answer <- tryCatch(call, error = function(reason) {
    message("R cannot answer: ", conditionMessage(reason))
    NULL
  })
  if (is.null(answer)) return(data.frame(name = character(), estimate = numeric(), std_error = numeric()))
  if (inherits(answer, "htest")) {
    values <- c(answer$statistic, p_value = unname(answer$p.value))
    return(data.frame(name = names(values), estimate = unname(values), std_error = NA))
  }
  values <- if (inherits(answer, "svyolr")) coef(answer, intercepts = TRUE) else coef(answer)
  names <- if (is.null(names(values))) only else names(values)
  errors <- unlist(SE(answer))[seq_along(values)]
  data.frame(name = names, estimate = as.numeric(values), std_error = as.numeric(errors))
}"""

_QUIRKS = {
    "svyquantile": (
        "# survey 4.1 takes the second smallest answer as a quantile where the smallest would do, so that lower limits",
        "# in small groups can differ from ours.",
    ),
    "svyolr": ("# svyolr takes second derivatives numerically: its standard errors agree to about three digits.",),
}

_COMPARED = """\
of_call <- rep(names(answers), vapply(answers, nrow, 1L))
theirs <- cbind(call = of_call, do.call(rbind, unname(answers)))
place <- match(paste(ours$call, ours$name), paste(theirs$call, theirs$name))
compared <- data.frame(
  result = ours$result, row = ours$row, ours = ours$estimate, R = theirs$estimate[place],
  ours_se = ours$std_error, R_se = theirs$std_error[place]
)
compared$difference <- compared$R / compared$ours - 1
compared$difference_se <- compared$R_se / compared$ours_se - 1
write.csv(format(compared, digits = 17, trim = TRUE), "compared.csv", row.names = FALSE, fileEncoding = "UTF-8")
print(compared, digits = 7, row.names = FALSE)
largest <- function(values) format(max(0, abs(values), na.rm = TRUE), digits = 2)
cat("\\nlargest relative difference of an estimate:", largest(compared$difference), "\\n")
cat("largest relative difference of a standard error:", largest(compared$difference_se), "\\n")
if (anyNA(compared$R)) cat("not found in R's answers:", sum(is.na(compared$R)), "\\n")"""


def write_r_script(
    design: Design,
    results: Result | Mapping[str, Result],
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write a design, its weighting chain and estimates made from it as a script for R survey.

    The folder then holds **answers of single respondents**. It is written where you say and nowhere else, and never
    leaves by ``publish``: choose a place where the data themselves may lie.

    Parameters
    ----------
    design : Design
        The design from which the results were made; a domain is a subset in R.
    results : Estimates, TestResult or mapping of name to them
        Means, totals, shares, ratios, quantiles, variances, regressions (ordinal ones too), t, rank and chi-squared
        tests; contrasts of rows that one call of R gives together (groups, shares, coefficients, means of all).
    folder : str or Path
        Made if it does not exist. A run's folder is refused, unless it is ``restricted/`` in it.
    overwrite : bool, default False
        Whether an earlier script in the folder may be replaced.

    Returns
    -------
    tuple of str
        The files: ``script.R``, ``data.csv`` (the columns needed, every digit), ``ours.csv``, and ``replicates.csv``
        for a design with replicates. ``script.R`` prints our numbers beside R's and writes ``compared.csv``.

    Raises
    ------
    ProjectError
        There is a script already, the folder is none or no name of one, or it belongs to a run.
    EstimationError
        A result was made from another design, or none can be said in R.

    Notes
    -----
    R survey repeats post-stratification, raking, calibration (bounds and one weight per sampling unit included),
    trimming without margins and direct standardisation. Before any other step (nonresponse, trimming with margins,
    ridge, estimated totals) it is given the weights as they are, and the script says that R's standard errors leave
    that step out. The exact variance of a chain is not R's: ``linearization="r"`` is.

    Examples
    --------
    >>> import tempfile
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> design = survey_design(pd.DataFrame({"trust": [1.0, 3.0, 4.0], "w": [10.0, 20.0, 10.0]}), weights="w")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_r_script(design, {"trust": survey_mean(design, "trust")}, folder)
    ('script.R', 'data.csv', 'ours.csv')
    """
    require_design(design, "write_r_script")
    given = dict(results) if isinstance(results, Mapping) else {"result": results}
    place = _checked(folder, overwrite)
    sheet = Sheet(design)
    weights, chain = weighted(design, sheet)
    drawing = [*options_of(design), *declared(design, sheet, weights), *chain, *restricted(design, sheet)]
    numbers, unsaid = _asked(given, design, sheet)
    place.mkdir(parents=True, exist_ok=True)
    _write_frame(sheet.frame(), place / DATA)
    _write_frame(_ours(numbers), place / OURS)
    written = [SCRIPT, DATA, OURS]
    if design.replicates is not None:
        _write_frame(_factors(design.replicates), place / REPLICATES)
        written.append(REPLICATES)
    parts = [_OPENING, "\n".join(sheet.reading()), "\n".join(drawing), _ASKED, _calls(numbers, unsaid), _COMPARED]
    (place / SCRIPT).write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")
    return tuple(written)


def _checked(folder: object, overwrite: bool) -> Path:
    if not isinstance(folder, (str, Path)) or not str(folder).strip():
        raise ProjectError(
            f"write_r_script: folder must say where answers of single respondents may be written, got {folder!r}. Name "
            f"a folder, for example 'restricted/second_opinion'."
        )
    if not isinstance(overwrite, bool):
        raise ProjectError(f"write_r_script: overwrite must be True or False, got {overwrite!r}.")
    place = Path(folder)
    file = next((part for part in (place, *place.parents) if part.exists() and not part.is_dir()), None)
    if file is not None:
        raise ProjectError(f"write_r_script: '{file.name}' is a file, expected a folder. Choose another name.")
    if (place / SCRIPT).exists() and not overwrite:
        raise ProjectError(f"{place.name}/ holds a {SCRIPT} already. Choose another folder, or pass overwrite=True.")
    require_private(place, DATA)
    return place


def _asked(given: Mapping[str, Result], design: Design, sheet: Sheet) -> tuple[list[Number], list[str]]:
    numbers, unsaid = [], []
    for name, result in given.items():
        _require_made_from(design, name, result)
        try:
            numbers += numbers_of(name, result, design, sheet)
        except NotSaid as reason:
            unsaid.append(f"{name} ({reason})")
    if not numbers:
        raise EstimationError(
            f"write_r_script: nothing here can be said in R survey: {', '.join(unsaid) or 'no result was given'}. Give "
            f"means, totals, shares, ratios, quantiles, regressions, t or chi-squared tests."
        )
    return numbers, unsaid


def _require_made_from(design: Design, name: str, result: object) -> None:
    if not isinstance(result, (Estimates, TestResult)):
        raise EstimationError(
            f"write_r_script: '{name}' is {type(result).__name__}, expected a result such as ev.survey_mean gives."
        )
    same = result.provenance == design.provenance
    if isinstance(result, Estimates) and isinstance(result.engine, (TaylorEngine, ReplicateEngine)):
        engine = result.engine
        same = same and engine.method == design.engine.method and engine.sampling.is_same_sample(design.sampling)
    if not same:
        raise EstimationError(
            f"write_r_script: '{name}' was made from another design (weight: {result.provenance.weight}; this one: "
            f"{design.provenance.weight}). Pass the design that the result came from."
        )


def _ours(numbers: list[Number]) -> pd.DataFrame:
    calls = list(dict.fromkeys(each.call for each in numbers))
    return pd.DataFrame(
        {
            "result": [each.result for each in numbers],
            "row": [each.row for each in numbers],
            "call": [f"a{calls.index(each.call) + 1}" for each in numbers],
            "name": [each.name for each in numbers],
            "estimate": [each.estimate for each in numbers],
            "std_error": [each.std_error for each in numbers],
        }
    )


def _calls(numbers: list[Number], unsaid: list[str]) -> str:
    calls = list(dict.fromkeys(each.call for each in numbers))
    lines = [
        *(line for asked, told in _QUIRKS.items() if any(asked in call for call in calls) for line in told),
        "answers <- list()",
        *(f'answers[["a{place}"]] <- held({call}{_only(call, numbers)})' for place, call in enumerate(calls, start=1)),
    ]
    return "\n".join([*(f"# Not asked of R: {each}." for each in unsaid), *lines])


def _only(call: str, numbers: list[Number]) -> str:
    """Return the name of a call's only number: R gives some single numbers none."""
    names = {each.name for each in numbers if each.call == call}
    return f", {quoted(names.pop())}" if len(names) == 1 else ""


def _factors(replicates: Replicates) -> pd.DataFrame:
    return pd.DataFrame(replicates.factors, columns=[f"r{r + 1}" for r in range(replicates.count)])


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV with every digit; text is quoted, so that no level is taken for a number or for missing."""
    text = frame.copy()
    for name in text.columns:
        if not pd.api.types.is_numeric_dtype(text[name]):
            text[name] = pd.Series(
                [None if pd.isna(value) else quoted_csv(value) for value in text[name]], dtype=object
            )
    lines = [",".join(quoted_csv(name) for name in text.columns)]
    missing = "NA" if path.name == OURS else ""
    for row in text.itertuples(index=False, name=None):
        lines.append(",".join(_cell(value, missing) for value in row))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _cell(value: object, missing: str) -> str:
    if value is None:
        return missing
    if isinstance(value, (float, np.floating)):
        return missing if np.isnan(value) else repr(float(value))
    return str(value)


def quoted_csv(value: object) -> str:
    """Return text as a CSV field in quotes.

    Examples
    --------
    >>> quoted_csv('a "b", c')
    '"a ""b"", c"'
    """
    return '"' + str(value).replace('"', '""') + '"'
