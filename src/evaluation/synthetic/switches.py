"""What of the synthetic city can be switched, and its named streams of random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Streams by name. New names go to the end: the place of a name decides its numbers.
STREAMS = (
    *("households", "dongs", "dwelling", "persons", "trait", "places", "participation", "projects", "answers"),
    *("citizens", "response", "reporting", "roster", "module", "small_file", "public_file"),
)


@dataclass(frozen=True)
class Switches:
    """Ways in which the city can be kind or unkind to an estimator.

    Attributes
    ----------
    unobserved_trait : bool
        Sociability, which no survey measures, moves participation. Without it participation depends on
        measured covariates alone.
    overlap_in_place : bool
        Participants are more frequent in the 14 and 35 dongs of the village plans, which are among the
        first that the roll-out reached.
    heterogeneous_effects : bool
        Early dongs gain more from the roll-out than late ones, repeat participants more than others.
    growing_effects : bool
        The roll-out's effect goes on growing by its whole size every year: two-way fixed effects then get
        its sign wrong in the later waves.
    informative_nonresponse : bool
        Sociable people answer more often.
    pre_trend : float
        Points per year by which the dongs of 2015 outgrow those of 2019 without any roll-out.
    anticipation : bool
        A third of the first year's effect comes one wave early.
    spillover : bool
        Dongs not yet covered gain two points once another dong of their district is covered.
    mode_effect : bool
        An interviewer's presence turns some "no" into "yes".
    wording_break : bool
        From the wave of 2015 on, two questions are worded so that more people agree.
    planned_schedule : bool
        Files carry the plan of 2016 in place of the roll-out that took place.

    Examples
    --------
    >>> Switches(pre_trend=0.5).unobserved_trait
    True
    """

    unobserved_trait: bool = True
    overlap_in_place: bool = True
    heterogeneous_effects: bool = True
    growing_effects: bool = False
    informative_nonresponse: bool = True
    pre_trend: float = 0.0
    anticipation: bool = False
    spillover: bool = False
    mode_effect: bool = False
    wording_break: bool = False
    planned_schedule: bool = False


def stream(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one purpose, whatever else is drawn.

    Parameters
    ----------
    seed : int
        Of the city.
    name : str
        One of ``STREAMS``.
    *numbers : int
        Sub-streams, e.g. item and year.

    Examples
    --------
    >>> float(stream(1, "trait").random()) == float(stream(1, "trait").random())
    True
    >>> children = np.random.SeedSequence(1).spawn(len(STREAMS))
    >>> float(stream(1, "dongs").random()) == float(np.random.default_rng(children[1]).random())
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), *numbers)))
