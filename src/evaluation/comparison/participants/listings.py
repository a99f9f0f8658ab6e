"""People who stand on a roster several times: their weight is shared among their chances to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.design.steps import Derivative
from evaluation.errors import ColumnError

Floats = NDArray[np.float64]

VERB = "share_listings"


@dataclass(frozen=True, eq=False)
class ListingStep:
    """Weights divided by how often each person is listed.

    Attributes
    ----------
    factor : ndarray, shape (n,)
        One over the listings.
    asked, arguments : mapping
        The verb's arguments as given, and as a study file writes them.
    """

    factor: Floats
    asked: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    verb: str = VERB

    def replay(self, weights: Floats) -> Floats:
        """Share other weights, shape (n,)."""
        return weights * self.factor

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights."""
        return Derivative(self.factor)

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """A factor that is known moves nothing: weighted influence stays as it is."""
        return x


def share_listings(design: Design, *, listings: str) -> Design:
    """Divide each weight by how often the person stands on the roster, so that memberships become people.

    Parameters
    ----------
    design : Design
        A sample of memberships: who took part in k projects had k chances to be drawn.
    listings : str
        Column with the number of projects of each person, 1 and more.

    Returns
    -------
    Design
        Its totals count people. Projects as sampling units stay as they are: who was drawn through two projects
        stands in both, with half the weight in each.

    Raises
    ------
    ColumnError
        The number is missing or below 1 for somebody with a weight (``failures``).

    References
    ----------
    Sirken (1970), JASA 65, 257-266 (multiplicity estimator); Lavallée (2007), Indirect Sampling, chapter 2.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> drawn = survey_design(pd.DataFrame({"w": [10.0, 10.0], "projects": [1, 2]}), weights="w")
    >>> share_listings(drawn, listings="projects").weights.tolist()
    [10.0, 5.0]
    """
    require_design(design, VERB)
    column = design.column(listings)
    counts = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    counted = design.weights != 0
    wrong = counted & ~(counts >= 1)
    if wrong.any():
        raise ColumnError(
            f"{VERB}: '{listings}' must be 1 or more for everybody with a weight, but is missing or below 1 in "
            f"{int(wrong.sum())} rows. Who was drawn from the roster stands on it at least once.",
            failures=design.data.loc[wrong],
        )
    factor = np.where(counted, 1 / np.where(counted, counts, 1.0), 1.0)
    return design.adjusted(ListingStep(factor, {"listings": listings}, {"listings": listings}))
