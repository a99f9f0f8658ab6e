"""What the instances of a step published, put together again: one result over all districts and years."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.results import Estimates


def gather(name: str, *, where: Mapping[str, Any] | None = None, study: str | None = None) -> Estimates:
    """Put the estimates under each other that every instance of a step published under one name.

    Parameters
    ----------
    name : str
        As the notebook published it, without the instance: ``"district_items"``.
    where : mapping of key column to value or values, optional
        Rows to keep, such as ``{"year": 2016, "term": "stay"}``. A column of the matrix that is held at one value is
        left out of the keys, so that one row per district remains.
    study : str, optional
        Default: the study that the notebook opened.

    Returns
    -------
    Estimates
        The rows of all instances with the matrix's columns as keys. Instances that published nothing have rows
        without numbers, and ``refused_because`` says so. Between instances the covariance is zero where
        they differ in a column of the matrix: districts are strata, and waves are drawn anew.
    """
    raise NotImplementedError
