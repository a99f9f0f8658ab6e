"""Designs whose variance is carried by replicate weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from evaluation.design.design import Design, require_design
from evaluation.design.replicates import make_replicates


def as_replicates(design: Design, *, kind: Literal["JK1", "JKn"]) -> Design:
    """Carry the variance by jackknife replicates instead of linearization.

    Parameters
    ----------
    design : Design
        Its whole weighting chain is repeated on every replicate.
    kind : {"JK1", "JKn"}
        Delete one PSU at a time: JK1 for designs without strata, JKn within strata.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        JK1 of a stratified design.

    References
    ----------
    R twin: ``survey::as.svrepdesign(type=kind)``. R refuses to make replicates after calibration;
    here each replicate is calibrated again.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"w": [2.0, 2.0, 3.0, 3.0]})
    >>> as_replicates(survey_design(respondents, weights="w"), kind="JK1").engine.method
    'replicates (JK1)'
    """
    require_design(design, "as_replicates")
    return replace(design, replicates=make_replicates(design.sampling, design.base_weights, kind))
