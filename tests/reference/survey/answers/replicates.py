"""Replicates that were made: their weights and scales."""

import numpy as np

from answers.designs import design_of


def weights(call, setting):
    """weights(d, "analysis"): the weights of each replicate."""
    return {"values": np.column_stack(list(design_of(call.given[0], setting).replicate_weights()))}


def first_rows(call, setting):
    """weights(d, "analysis")[1:20, ]."""
    matrix, rows = call.given[0], call.given[1]
    first, last = (int(number) for number in rows.given)
    return {"values": weights(matrix, setting)["values"][first - 1 : last]}


def scales(call, setting):
    """with(d, c(scale, rscales[1], rscales[length(rscales)]))."""
    engine = design_of(call.given[0], setting).engine
    return {"scale": engine.scale, "rscale_first": engine.rscales[0], "rscale_last": engine.rscales[-1]}


ANSWERS = {"weights": weights, "[": first_rows, "with": scales}
