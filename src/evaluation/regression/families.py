"""Families of regressions: mean, slope, variance and deviance of the outcome at a linear predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluation.errors import EstimationError, did_you_mean

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Of the outcome models behind adjusted comparisons.
Family = Literal["gaussian", "binomial", "poisson"]
GlmFamily = Literal["gaussian", "binomial", "poisson", "gamma"]
Link = Literal["identity", "logit", "log", "inverse"]

#: The links of each family, the default first.
LINKS: dict[GlmFamily, tuple[Link, ...]] = {
    "gaussian": ("identity",),
    "binomial": ("logit",),
    "poisson": ("log",),
    "gamma": ("log", "inverse"),
}


#: What families and models are called elsewhere, and what they are here.
_ELSEWHERE: dict[str, tuple[GlmFamily, str]] = {
    **dict.fromkeys(
        ("quasibinomial", "binomial", "logistic", "logit", "bernoulli"),
        ("binomial", "its standard errors allow for any dispersion, as quasibinomial does in R"),
    ),
    **dict.fromkeys(
        ("quasipoisson", "poisson", "negbin", "log"),
        ("poisson", "its standard errors allow for any dispersion, as quasipoisson does in R"),
    ),
    **dict.fromkeys(("normal", "linear", "ols", "gaussian", "identity"), ("gaussian", "the linear regression")),
    "gamma": ("gamma", "with the log as its link"),
}


@dataclass(frozen=True)
class Kind:
    """A family with its link.

    Attributes
    ----------
    family : {"gaussian", "binomial", "poisson", "gamma"}
        Which says how the variance of the outcome follows its mean.
    link : {"identity", "logit", "log", "inverse"}
        Function of the mean that is linear in the covariates.
    """

    family: GlmFamily = "gaussian"
    link: Link = "identity"

    @property
    def canonical(self) -> bool:
        """Whether slope and variance are proportional, so that the score is x (y - mean)."""
        return (self.family, self.link) != ("gamma", "log")

    def mean(self, eta: Floats) -> Floats:
        """Return the mean of the outcome at a linear predictor, shape (n,)."""
        if self.link == "logit":
            return np.asarray(special.expit(eta))
        if self.link == "log":
            return np.exp(eta)
        return 1 / eta if self.link == "inverse" else eta

    def slope(self, mean: Floats) -> Floats:
        """Return the derivative of the mean in the linear predictor, shape (n,)."""
        if self.link == "logit":
            return mean * (1 - mean)
        if self.link == "log":
            return mean
        return -(mean**2) if self.link == "inverse" else np.ones_like(mean)

    def bend(self, mean: Floats) -> Floats:
        """Return the second derivative of the mean in the linear predictor, shape (n,)."""
        if self.link == "logit":
            return mean * (1 - mean) * (1 - 2 * mean)
        if self.link == "log":
            return mean
        return 2 * mean**3 if self.link == "inverse" else np.zeros_like(mean)

    def variance(self, mean: Floats) -> Floats:
        """Return the variance of the outcome at its mean, up to dispersion, shape (n,)."""
        if self.family == "binomial":
            return mean * (1 - mean)
        if self.family == "poisson":
            return mean
        return mean**2 if self.family == "gamma" else np.ones_like(mean)

    def score(self, y: Floats, mean: Floats) -> Floats:
        """Return the derivative of the log quasi-likelihood in the linear predictor, shape (n,)."""
        if not self.canonical:
            return (y - mean) / mean
        return mean - y if self.link == "inverse" else y - mean

    def information(self, y: Floats, mean: Floats, *, expected: bool = False) -> Floats:
        """Return minus the derivative of ``score``, at the outcomes or ``expected`` at the mean, shape (n,)."""
        if not self.canonical:
            return np.ones_like(mean) if expected else y / mean
        return self.variance(mean)

    def legitimate(self, eta: Floats) -> bool:
        """Tell whether means exist at every linear predictor."""
        return self.link != "inverse" or bool((eta > 0).all())

    def deviance(self, y: Floats, mean: Floats) -> Floats:
        """Return each respondent's deviance, shape (n,)."""
        if self.family == "binomial":
            return 2 * (special.rel_entr(y, mean) + special.rel_entr(1 - y, 1 - mean))
        if self.family == "poisson":
            return 2 * (special.rel_entr(y, mean) - (y - mean))
        if self.family == "gamma":
            return 2 * ((y - mean) / mean - np.log(y / mean))
        return (y - mean) ** 2

    def first_guess(self, y: Floats) -> Floats:
        """Return a linear predictor near the outcomes, shape (n,), from which Newton steps start."""
        if self.link == "log":
            return np.log(y + 0.1) if self.family == "poisson" else np.log(y)
        return 1 / y if self.link == "inverse" else np.zeros_like(y)


def kind_of(family: str, link: str | None, verb: str) -> Kind:
    """Return the family with its link, the family's usual one where none is named; refuse what does not exist.

    Examples
    --------
    >>> kind_of("poisson", None, "survey_glm")
    Kind(family='poisson', link='log')
    """
    for known in get_args(GlmFamily):
        if family == known:
            links = LINKS[known]
            for possible in links:
                if link in (None, possible):
                    return Kind(known, possible)
            raise EstimationError(
                f"{verb}: link of family '{family}' must be one of {list(links)}, got {link!r}. Leave link out for "
                f"'{links[0]}'."
            )
    names = get_args(GlmFamily)
    told = _ELSEWHERE.get(str(family).casefold())
    move = f"Write family='{told[0]}': {told[1]}." if told else did_you_mean(family, names)
    raise EstimationError(f"{verb}: family must be one of {list(names)}, got {family!r}. {move}")


def inverse_link(eta: Floats, family: Family) -> Floats:
    """Return the mean of the outcome at a linear predictor, under the family's usual link."""
    return Kind(family, LINKS[family][0]).mean(eta)


def curvature(mean: Floats, family: Family) -> Floats:
    """Return the derivative of the mean in the linear predictor, under the family's usual link."""
    return Kind(family, LINKS[family][0]).slope(mean)
