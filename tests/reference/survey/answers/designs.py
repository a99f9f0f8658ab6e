"""R's designs, and what R does to their weights, said in the workbench's verbs."""

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

import evaluation as ev
from answers.language import Call, Name, written

FOLDER = Path(__file__).parents[1]
R_CONVENTION = {"linearization": "r"}


@cache
def _file(path):
    return pd.read_csv(path)


@dataclass(frozen=True)
class Setting:
    """What surrounds an R call: the columns that it computes on the way, R's rule for lonely PSUs, and the data."""

    call: Call | Name
    lonely: dict = field(default_factory=dict)
    folder: Path = FOLDER

    def file(self, name):
        """Return a sample as it stands in its file."""
        return _file(self.folder / name)

    def data(self, frame):
        """Return data with the columns that the call computes, under the names that R gives them."""
        return frame.assign(**{name_of(node): computed(node, frame) for node in made_columns(self.call)})


def _sampled(file, **declared):
    def made(setting):
        return ev.survey_design(setting.data(setting.file(file)), **declared, **setting.lonely, **R_CONVENTION)

    return made


def _replicated(file, replicates, **declared):
    def made(setting):
        weights = setting.file(replicates).add_prefix("replicate_")
        frame = pd.concat([setting.file(file), weights], axis=1)
        return ev.replicate_design(setting.data(frame), replicate_weights=list(weights.columns), **declared)

    return made


def _imputed(number):
    def made(setting):
        frame = setting.file("apistrat_imputed.csv")
        frame = setting.data(frame.assign(acs=frame[f"acs_core_{number}"]))
        return ev.survey_design(frame, weights="pw", strata="stype", fpc="fpc", **R_CONVENTION)

    return made


def _made_into(name, kind):
    return lambda setting: ev.as_replicates(DESIGNS[name](setting), kind=kind)


BOOTSTRAP = {"weights": "pw", "kind": "bootstrap", "scale": 1 / 40, "rscales": np.ones(40)}
IMPUTATIONS = range(1, 6)
# The designs by their names in the items; each takes the setting in which it is asked for.
DESIGNS = {
    "dstrat": _sampled("apistrat.csv", weights="pw", strata="stype", fpc="fpc"),
    "dclus1": _sampled("apiclus1.csv", weights="pw", psu="dnum", fpc="fpc"),
    "dsc": _sampled("own_strat2psu.csv", weights="wt", strata="stratum", psu="dnum", nested=True),
    "dsc_fpc2": _sampled(
        "own_strat2psu.csv", weights="wt", strata="stratum", psu=["dnum", "snum"], fpc=["Nh", "Mi"], nested=True
    ),
    "dmu": _sampled("mu284.csv", psu=["id1", "id2"], fpc=["n1", "n2"]),
    "dfpc_wr": _sampled("fpc.csv", weights="weight", strata="stratid", psu="psuid", nested=True),
    "dfpc": _sampled("fpc.csv", weights="weight", strata="stratid", psu="psuid", fpc="Nh", nested=True),
    "dyrbs": _sampled("yrbs.csv", weights="weight", strata="stratum", psu="psu", nested=True),
    "dpps_brewer": _sampled("election_pps.csv", fpc="p", pps="brewer"),
    "dpps_hr": _sampled("election_pps.csv", fpc="p", pps="hartley_rao"),
    "dpps_wr": _sampled("election_pps.csv", weights="wt"),
    "dlonely": _sampled("own_lonely.csv", weights="wt", strata="stratum", psu="dnum", nested=True),
    "dscd": _sampled("scd.csv", strata="ESA", psu="ambulance", nested=True),
    **{f"dmi_{number}": _imputed(number) for number in IMPUTATIONS},
    "rep_jkn": _made_into("dstrat", "JKn"),
    "rep_jk1": _made_into("dclus1", "JK1"),
    "rep_brr": _replicated("own_strat2psu.csv", "own_strat2psu_brr.csv", weights="wt", kind="BRR"),
    "rep_fay": _replicated("own_strat2psu.csv", "own_strat2psu_fay03.csv", weights="wt", kind="Fay", rho=0.3),
    "rep_boot": _replicated("apiclus1.csv", "apiclus1_bootstrap.csv", **BOOTSTRAP),
    "rep_boot_mse": _replicated("apiclus1.csv", "apiclus1_bootstrap.csv", **BOOTSTRAP, mse=True),
}


# --- columns that a call makes on the way -------------------------------------------------------------------------


def made_columns(node):
    """Yield every expression in a call that R computes from columns: I(...), conditions, offsets."""
    if not isinstance(node, Call):
        return
    if node.function in ("I", "cut", "log"):
        yield node
        return
    if node.function == "subset":
        yield node.given[1]
    for part in (*node.given, *node.options.values()):
        yield from made_columns(part)


def computed(node, frame):
    """Return the values of an expression of columns; missing where one of them is."""
    if isinstance(node, Name):
        return frame[node.name]
    if not isinstance(node, Call):
        return node
    if node.function == "cut":
        edges = numbers(node.given[1])
        return pd.cut(frame[node.given[0].name], edges, include_lowest=True, labels=_classes(edges))
    parts = [computed(part, frame) for part in node.given]
    missing = np.logical_or.reduce([part.isna() for part in parts if isinstance(part, pd.Series)])
    made = ARITHMETIC[node.function](*parts)
    return made.astype(float).mask(missing)


ARITHMETIC = {
    "I": lambda x: x,
    "as.numeric": lambda x: x,
    "log": np.log,
    "sqrt": np.sqrt,
    "==": lambda x, y: x == y,
    ">": lambda x, y: x > y,
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "^": lambda x, y: x**y,
}


def _classes(edges):
    """Return R's names of classes with their upper ends, the lowest with both."""
    return [f"{'[' if place == 0 else '('}{low:g},{high:g}]" for place, (low, high) in enumerate(pairwise(edges))]


def name_of(node):
    """Return what R calls a column that it computes; text in backticks is one name already."""
    return "mealcat" if node.function == "cut" else written(node)


# --- plain values -----------------------------------------------------------------------------------------------


def numbers(node):
    """Return c(1, 2) or rep(1, 40) as a list of numbers."""
    if not isinstance(node, Call):
        return [node]
    if node.function == "rep":
        return [node.given[0]] * int(node.given[1])
    return list(node.given)


def named(node):
    """Return c(a = 1, b = 2) or setNames(c(1, 2), c("a", "b")) as a mapping."""
    if node.function == "setNames":
        return dict(zip(numbers(node.given[1]), numbers(node.given[0]), strict=True))
    return dict(node.options)


def terms(node):
    """Return the terms of a one-sided formula, ~a + b, as names of columns."""
    node = node.given[-1] if isinstance(node, Call) and node.function == "~" else node
    if isinstance(node, Call) and node.function == "+":
        return [*terms(node.given[0]), *terms(node.given[1])]
    return [] if node in (0.0, 1.0) else [written(node)]


def _counts(node, names):
    """Return the counts of a data.frame(...) or of a cross table as a margin."""
    while node.function in ("as.data.frame", "xtabs"):
        node = node.options["data"] if node.function == "xtabs" else node.given[0]
    columns = [_values(node.options[name]) for name in names]
    return dict(zip(map(tuple, zip(*columns, strict=True)), numbers(node.options["Freq"]), strict=True))


def _values(node):
    if node.function != "rep":
        return numbers(node)
    inner = numbers(node.given[0])
    return [value for value in inner for _ in range(int(node.options["each"]))] if "each" in node.options else inner * 2


def _margin(formula, frame):
    names = terms(formula)
    counts = _counts(frame, names)
    if len(names) == 1:
        return {names[0]: {level: count for (level,), count in counts.items()}}
    return {":".join(names): counts}


# --- weighting --------------------------------------------------------------------------------------------------


def post_stratified(call, design):
    """postStratify(d, ~a, counts)."""
    return ev.poststratify(design, _margin(call.given[1], call.given[2]))


def raked(call, design):
    """rake(d, list(~a, ~b), list(counts of a, counts of b))."""
    margins = {}
    for formula, counts in zip(call.given[1].given, call.given[2].given, strict=True):
        margins |= _margin(formula, counts)
    return ev.rake(design, margins)


def calibrated(call, design):
    """calibrate(d, ~a + x, totals with the intercept): the first level of a has what the others leave."""
    totals = dict(call.given[2].options)
    size = totals.pop("(Intercept)")
    margins, columns = {}, []
    for name in terms(call.given[1]):
        if name in totals:
            margins[name] = totals[name]
            columns.append(name)
            continue
        first, *others = sorted(design.data[name].dropna().unique())
        counts = {level: totals[f"{name}{level}"] for level in others}
        margins[name] = {first: size - sum(counts.values()), **counts}
    return ev.calibrate(design, margins, **_calibration_options(call, design))


def _calibration_options(call, design):
    options = {"distance": call.options.get("calfun", "linear")}
    if "bounds" in call.options:
        options["bounds"] = tuple(numbers(call.options["bounds"]))
    if "variance" in call.options:
        # R multiplies its model matrix by this vector: the last column is api99.
        options["variance"] = "api99"
    if "aggregate.stage" in call.options:
        options["cluster"] = "dnum"
    return options


def trimmed(call, design):
    """trimWeights(d, upper, lower, strict): R cuts once unless told to be strict."""
    bounds = {name: call.options[name] for name in ("upper", "lower") if name in call.options}
    return ev.trim_weights(design, relative_to="none", strict=call.options.get("strict", False), **bounds)


def standardised(call, design):
    """svystandardize(d, by, over, population)."""
    (by,), (over,) = terms(call.options["by"]), terms(call.options["over"])
    levels = sorted(design.data[by].dropna().unique())
    shares = dict(zip(levels, numbers(call.options["population"]), strict=True))
    return ev.standardise(design, by=by, population=shares, over=over)


def in_domain(call, design):
    """subset(d, condition)."""
    return ev.domain(design, {written(call.given[1]): 1.0})


def replicated(call, design):
    """as.svrepdesign(d, type)."""
    return ev.as_replicates(design, kind=call.options["type"])


CHANGES = {
    "postStratify": post_stratified,
    "rake": raked,
    "calibrate": calibrated,
    "trimWeights": trimmed,
    "svystandardize": standardised,
    "subset": in_domain,
    "as.svrepdesign": replicated,
}


def design_of(node, setting):
    """Return the design that an R expression makes."""
    if isinstance(node, Name):
        return DESIGNS[node.name](setting)
    return CHANGES[node.function](node, design_of(node.given[0], setting))
