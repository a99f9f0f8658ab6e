"""Unknown eligibility: the weight of cases nobody could classify goes to those whose eligibility is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.design.design import Design, require_design
from evaluation.survey.dispositions import read_dispositions
from evaluation.weighting.cells import GIVES, TAKES, applied, groups_by, transfer_step

#: Words of this verb beside the dispositions: eligible or not, or unknown.
STATUSES = {"eligible": "eligible", "ineligible": "ineligible", "unknown": "unknown"}
UNKNOWN = ("UH", "UO", "unknown")


def adjust_unknown_eligibility(
    design: Design,
    *,
    status: str,
    by: str | Sequence[str] | None = None,
    codes: Mapping[Any, str] | None = None,
) -> Design:
    """Spread the weight of cases of unknown eligibility over those whose eligibility is known, within cells.

    Parameters
    ----------
    design : Design
        All who were drawn, with their design weights.
    status : str
        Column of the final disposition.
    by : str or list of str, optional
        Columns known of everybody whose combinations are the cells; without it the sample is one cell.
    codes : mapping of code to meaning, optional
        ``"eligible"``, ``"ineligible"``, ``"unknown"``, or a disposition: AAPOR's category (``"I"``, ``"P"``, ``"R"``,
        ``"NC"``, ``"O"``, ``"UH"``, ``"UO"``, ``"NE"``), its word (``"complete"``, ``"refusal"``, ...) or its code
        number. Without it the column itself must hold these. A code without a meaning is refused.

    Returns
    -------
    Design
        Cases of unknown eligibility have weight zero. Known ones, eligible or not, carry their weight in
        proportion to their own: the share of ineligible ones among the unknown is taken to be that among the known
        of the cell. ``adjust_nonresponse`` then takes the ineligible out.

    Raises
    ------
    ColumnError
        A column does not exist or is missing for somebody with a weight; a code has no meaning.
    WeightingError
        A cell holds nobody whose eligibility is known; the message names the cell and its neighbour.

    Notes
    -----
    In cell c, :math:`w_i' = w_i \\sum_{c} w / \\sum_{c,\\,known} w` for known cases. The sum of weights of every cell
    stays. The exact variance counts that this factor is itself estimated; R survey sees weights as given.

    References
    ----------
    Valliant, Dever and Kreuter (2018), Practical Tools for Designing and Weighting Survey Samples, 2nd edition,
    section 13.4.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> drawn = pd.DataFrame({"result": ["complete", "refusal", "unknown", "ineligible"]})
    >>> adjust_unknown_eligibility(survey_design(drawn), status="result").weights.round(4).tolist()
    [1.3333, 1.3333, 0.0, 1.3333]
    """
    verb = "adjust_unknown_eligibility"
    require_design(design, verb)
    counted = design.weights != 0
    place, meanings = read_dispositions(design.column(status), codes, counted, verb, own=STATUSES)
    groups = groups_by(design, by, counted, verb)
    role = np.array([GIVES if meaning in UNKNOWN else TAKES for meaning in meanings])[place]
    asked = {"status": status, "by": by, "codes": codes}
    step = transfer_step(
        verb, asked, groups, role, counted, "cases of unknown eligibility", "case of known eligibility"
    )
    return applied(design, step)
