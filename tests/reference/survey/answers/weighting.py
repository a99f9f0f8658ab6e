"""Weights after each way of adjusting them, and the targets that cannot be met."""

import numpy as np

from answers.designs import design_of
from evaluation.errors import CalibrationError


def weights(call, setting):
    """postStratify, rake, calibrate, trimWeights, or a design as it is: its weights and what they come to."""
    try:
        made = design_of(call, setting).weights
    except CalibrationError as error:
        named = [total for total in ("stype", "api99") if total in str(error)]
        return {"error": "Calibration failed" if named else f"no total is named: {error}"}
    summary = {"sum": made.sum(), "sum_sq": (made**2).sum(), "min": made.min(), "max": made.max()}
    return {"weights": made, **summary, "kish_deff": len(made) * np.sum(made**2) / np.sum(made) ** 2}


ANSWERS = dict.fromkeys(("design", "postStratify", "rake", "calibrate", "trimWeights"), weights)
