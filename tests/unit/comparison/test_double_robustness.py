"""One right model is enough for aipw and ipwra, whoever the target; averaged by the fitted score it is not."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import WeightingError

N = 60_000


@pytest.fixture(scope="module")
def people():
    """Taking part goes with x squared, the outcome of each group with x: a logit of participation on x is wrong."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=N)
    joined = rng.random(N) < 1 / (1 + np.exp(1.5 - x**2))
    without, with_ = 1 / (1 + np.exp(2.0 + 0 * x)), 1 / (1 + np.exp(2.0 - 3 * x))
    stays = rng.random(N) < np.where(joined, with_, without)
    frame = pd.DataFrame({"x": x, "x2": x**2, "joined": joined.astype(int), "stays": stays.astype(float)})
    gain = with_ - without
    return ev.survey_design(frame), {"ATT": gain[joined].mean(), "ATC": gain[~joined].mean(), "ATE": gain.mean()}


@pytest.mark.parametrize("estimand", ["ATT", "ATC", "ATE"])
@pytest.mark.parametrize("verb", [ev.aipw, ev.ipwra])
def test_a_right_outcome_model_saves_a_wrong_participation_model(verb, estimand, people):
    design, truth = people
    made = verb(design, outcome="stays", treatment="joined", covariates=["x"], estimand=estimand)
    assert abs(made.estimate[0] - truth[estimand]) < 4 * made.std_error[0]


@pytest.mark.parametrize("verb", [ev.aipw, ev.ipwra])
def test_averaged_by_a_wrong_score_the_answer_is_about_other_people(verb, people):
    design, truth = people
    made = verb(design, outcome="stays", treatment="joined", covariates=["x"], target="fitted")
    assert abs(made.estimate[0] - truth["ATT"]) > 15 * made.std_error[0]
    assert made.fit["target"] == "fitted"


@pytest.mark.parametrize("estimand", ["ATT", "ATC"])
def test_a_right_participation_model_saves_a_wrong_outcome_model(estimand, people):
    design, truth = people
    given = {"outcome": "stays", "treatment": "joined", "covariates": ["x2"], "estimand": estimand}
    made = ev.aipw(design, **given)
    assert abs(made.estimate[0] - truth[estimand]) < 4 * made.std_error[0]


def test_participants_keep_their_own_mean(people):
    design, _ = people
    given = {"outcome": "stays", "treatment": "joined"}
    raw = ev.group_difference(design, **given)
    made = ev.aipw(design, covariates=["x"], **given)
    assert made.estimate[1] == pytest.approx(raw.estimate[1], abs=1e-12)
    assert made.std_error[1] == pytest.approx(raw.std_error[1], rel=1e-9)


def test_the_error_counts_every_model_at_the_observed_target(people):
    design, _ = people
    small = ev.survey_design(design.data.head(400))
    given = {"outcome": "stays", "treatment": "joined", "covariates": ["x"]}
    for verb in (ev.aipw, ev.ipwra):
        made, refitted = (verb(one, **given) for one in (small, ev.as_replicates(small, kind="JK1")))
        assert refitted.std_error[0] == pytest.approx(made.std_error[0], rel=0.1)


def test_a_design_that_was_balanced_is_refused(people):
    design, _ = people
    small = ev.survey_design(design.data.head(400))
    balanced = ev.entropy_balance(small, treatment="joined", covariates=["x"], estimand="ATE")
    given = {"outcome": "stays", "treatment": "joined"}
    for verb in (ev.ipw, ev.aipw, ev.ipwra, ev.g_computation, ev.regression_adjusted):
        with pytest.raises(WeightingError, match="was balanced by entropy_balance already"):
            verb(balanced, covariates=["x"], **given)
    for verb in (ev.oaxaca_blinder, ev.match, ev.entropy_balance, ev.propensity_weights, ev.cbps):
        asked = {"treatment": "joined", "covariates": ["x"]}
        with pytest.raises(WeightingError, match="was balanced by entropy_balance already"):
            verb(balanced, **asked, **({"outcome": "stays"} if verb is ev.oaxaca_blinder else {}))
    with pytest.raises(WeightingError, match="was balanced by entropy_balance already"):
        ev.group_difference(balanced, against="all", **given)
