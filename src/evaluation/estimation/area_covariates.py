"""What is known of areas without sampling error: shares of their residents, from the margins of a survey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from evaluation.errors import MarginError
from evaluation.survey.codebook import code_text
from evaluation.survey.margins import Margins
from evaluation.wording import CROSS


def area_shares(margins: Margins, shares: Mapping[str, Mapping[str, Any]], *, area: str = "district") -> pd.DataFrame:
    """Return shares of each area's residents, as covariates of a small-area model.

    Parameters
    ----------
    margins : Margins
        With a margin that crosses the area with every variable named.
    shares : mapping of name to mapping of variable to code or codes
        ``{"women": {"sex": 2}, "aged_30_to_49": {"age_group": [3, 4]}}``.
    area : str, default "district"

    Returns
    -------
    pandas.DataFrame
        The area's codes, then one column for each share, 0 to 1.

    Raises
    ------
    MarginError
        No margin has the area and these variables, or one lacks a code.

    Examples
    --------
    >>> counts = pd.Series({"a:f": 30.0, "a:m": 10.0, "b:f": 5.0, "b:m": 5.0})
    >>> area_shares(Margins({"gu:sex": counts}, {}), {"women": {"sex": "f"}}, area="gu").to_numpy().tolist()
    [['a', 0.75], ['b', 0.5]]
    """
    if not isinstance(shares, Mapping) or not shares:
        raise MarginError(f"area_shares: name at least one share, got {shares!r}. Write {{'women': {{'sex': 2}}}}.")
    columns = {name: _share(margins, area, name, where) for name, where in shares.items()}
    frame = pd.DataFrame(columns)
    codes = [int(code) if str(code).isdigit() and str(int(code)) == code else code for code in frame.index]
    frame.insert(0, area, codes)
    return frame.reset_index(drop=True)


def _share(margins: Margins, area: str, name: str, where: Mapping[str, Any]) -> pd.Series:
    wanted = {area, *where}
    found = [known for known in margins.categorical if wanted <= set(margins.variables(known))]
    if not found:
        raise MarginError(
            f"area_shares '{name}': no margin crosses {CROSS.join([area, *where])}. Known in {margins.place}: "
            f"{', '.join(margins.categorical)}."
        )
    counts = margins.categorical[found[0]]
    levels = pd.DataFrame(
        [str(level).split(CROSS) for level in counts.index], columns=list(margins.variables(found[0]))
    )
    inside = pd.Series(True, index=levels.index)
    for variable, asked in where.items():
        several = isinstance(asked, Iterable) and not isinstance(asked, str)
        codes = {code_text(code) for code in (asked if several else [asked])}
        if unknown := codes - set(levels[variable]):
            raise MarginError(f"area_shares '{name}': margin '{found[0]}' has no {variable} = {sorted(unknown)[0]}.")
        inside &= levels[variable].isin(codes)
    values = pd.Series(counts.to_numpy(dtype=float))
    whole = values.groupby(levels[area], sort=False).sum()
    part = values.where(inside, 0.0).groupby(levels[area], sort=False).sum()
    return part / whole
