"""KGSS 2012 against R survey 4.1-1 (svyby, svyciprop, svyglm, svychisq), where the user's file and the numbers are.

The file needs registration and the numbers stand beside it, so both are outside the repository: without them these
tests are skipped and say so. Nothing of a respondent is printed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

import evaluation as ev
from evaluation import disclosure

#: Relative. ITERATED: R ends the logit where the deviance changes by less than 1e-8 of itself, and takes its errors
#: from the working weights of the step before; ours goes on until nothing moves.
ESTIMATE, ERROR, ITERATED = 1e-8, 1e-6, 2e-5
FLOOR = 1e-12

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "data" / "kgss2012"
COVARIATES = ["female", "age_group", "education", "married", "URBAN", "REGION"]
OUTCOMES = ("help_agree", "care_agree", "has_neighbour_to_ask", "trust_neighbours", "happy")

pytestmark = pytest.mark.skipif(
    not (FOLDER / "kgss2012.sav").is_file() or not (FOLDER / "reference.json").is_file(),
    reason="the KGSS 2012 extract and its reference numbers (../shared/data/kgss2012) may not be committed",
)


@pytest.fixture(scope="module")
def reference():
    return json.loads((FOLDER / "reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the survey's folder with the file where its user puts it."""
    root = tmp_path_factory.mktemp("project")
    (root / "pyproject.toml").write_text("[tool.evaluation]\n", encoding="utf-8")
    for name in ("survey.yml", "codebook.csv", "codes.csv", "margins.csv"):
        (root / "surveys" / "kgss_2012").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "surveys" / "kgss_2012" / name, root / "surveys" / "kgss_2012" / name)
    shutil.copyfile(FOLDER / "kgss2012.sav", root / "surveys" / "kgss_2012" / "kgss2012.sav")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALUATION_PROJECT", str(root))
        yield root


@pytest.fixture(scope="module")
def survey(project):
    return ev.read_survey("kgss_2012")


@pytest.fixture(scope="module")
def design(survey):
    return ev.survey_design(survey)


def close(ours, expected, tolerance):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=FLOOR)


def number(result, **where):
    """One row of a result."""
    rows = np.logical_and.reduce([result.keys[name] == value for name, value in where.items()])
    return int(np.flatnonzero(rows)[0])


def test_the_design_is_the_one_of_the_reference(design, reference):
    expected = reference["design"]
    assert (len(design), design.sampling.n_units, design.degrees_of_freedom()) == (1396, 198, expected["degf"])
    close(design.weights.sum(), expected["sum_weights"], ESTIMATE)
    close(ev.weight_summary(design).tidy()["n_eff"].iloc[0], expected["kish_neff"], ESTIMATE)


def test_the_csv_and_the_spss_file_are_the_same_survey(project, survey):
    folder = project / "surveys" / "kgss_2012"
    (folder / "kgss2012.sav").rename(folder / "aside.sav")
    shutil.copyfile(FOLDER / "kgss2012.csv", folder / "kgss2012.csv")
    try:
        again = ev.read_survey("kgss_2012")
    finally:
        (folder / "aside.sav").rename(folder / "kgss2012.sav")
    assert again.findings == {}
    assert again.source.file == "kgss2012.csv"
    assert again.data.equals(survey.data)


def test_every_code_is_counted_as_the_reference_counts_it(survey, reference):
    for name, expected in reference["unweighted_frequencies"].items():
        answers = survey.data[name].value_counts()
        lost = survey.missing[survey.missing["variable"] == name].set_index("code")["n"]
        for code, n in expected.items():
            found = lost[code] if code in lost.index else answers[int(code)]
            assert found == n, (name, code)


def test_nobody_left_an_item_blank_that_the_derived_ones_are_made_from(survey):
    derived = [name for name, variable in survey.codebook.variables.items() if variable.derived is not None]
    assert len(derived) == 13
    assert not survey.data[derived].isna().any().any()


@pytest.mark.parametrize("group", ["volunteer_local", "resident_assoc"])
def test_participation(design, reference, group):
    expected = reference["participation_rate"][group]
    mean = ev.survey_mean(design, group)
    close(mean.estimate[0], expected["estimate"], ESTIMATE)
    close(mean.std_error[0], expected["se"], ERROR)


def compared(reference, part):
    return [(entry["group"], entry["outcome"], entry) for entry in reference[part]]


@pytest.mark.parametrize("part", ["comparisons", "seoul_domain"])
def test_shares_errors_design_effects_and_intervals_by_group(design, reference, part):
    within = design if part == "comparisons" else ev.domain(design, {"REGION": 1})
    for group, outcome, expected in compared(reference, part):
        mean = ev.survey_mean(within, outcome, by=group, deff="replace")
        assert mean.n_obs.tolist() == expected["n"]
        close(mean.estimate, expected["proportion"], ESTIMATE)
        close(mean.std_error, expected["se"], ERROR)
        close(mean.columns["deff"], expected["deff"], ERROR)
        close(ev.survey_mean(as_plain(within), outcome, by=group).estimate, expected["unweighted_proportion"], ESTIMATE)
        # The reference takes the degrees of freedom of the whole design; ours are those of the group's own blocks.
        half = stats.t.ppf(0.975, expected["df"]) * mean.std_error / (mean.estimate * (1 - mean.estimate))
        limits = special.expit(special.logit(mean.estimate)[:, None] + half[:, None] * np.array([-1.0, 1.0]))
        close(limits, expected["logit_ci95"], ERROR)
        ours = ev.survey_prop(within, outcome, by=group)
        wider = ours.confidence_interval()[[number(ours, level=1, **{group: g}) for g in (0, 1)]]
        assert np.all(np.abs(wider - limits) < 0.03)


def as_plain(design):
    """The same respondents, each with weight one."""
    data = design.data if design.inside is None else design.data[design.inside]
    return ev.survey_design(data.reset_index(drop=True))


@pytest.mark.parametrize("part", ["comparisons", "seoul_domain"])
def test_differences_and_the_rao_scott_test(design, reference, part):
    within = design if part == "comparisons" else ev.domain(design, {"REGION": 1})
    for group, outcome, expected in compared(reference, part):
        gap = ev.group_difference(within, outcome=outcome, treatment=group)
        close(gap.estimate[0], expected["difference"], ESTIMATE)
        close(gap.std_error[0], expected["difference_se"], ERROR)
        close(gap.confidence_interval()[0], expected["difference_ci95"], ERROR)
        test = ev.survey_chisq(within, outcome, group)
        close(test.statistic, expected["rao_scott_F"], ERROR)
        assert (test.ndf, test.ddf) == (expected["rao_scott_ndf"], expected["rao_scott_ddf"])
        close(test.p_value, expected["rao_scott_p"], 1e-5)  # a p-value moves faster than its F


def test_adjusted_differences_are_those_of_the_linear_and_the_logistic_model(design, reference):
    for entry in reference["adjusted"]:
        arguments = {"outcome": entry["outcome"], "covariates": [entry["group"], *COVARIATES]}
        for family, name, tolerance in (("gaussian", "lpm", ERROR), ("binomial", "logit", ITERATED)):
            model = ev.survey_glm(design, **arguments, family=family)
            row = number(model, term=entry["group"])
            close(model.estimate[row], entry[f"{name}_coef"], tolerance)
            close(model.std_error[row], entry[f"{name}_se"], tolerance)
        effect = ev.regression_adjusted(
            design, outcome=entry["outcome"], treatment=entry["group"], covariates=COVARIATES, family="gaussian"
        )
        close(effect.estimate[0], entry["lpm_coef"], ESTIMATE)
        close(effect.std_error[0], entry["lpm_se"], ERROR)
        assert effect.df[0] == entry["df"]


def test_the_masked_effect_shows_only_after_adjustment(design):
    raw = ev.group_difference(design, outcome="happy", treatment="resident_assoc")
    adjusted = ev.regression_adjusted(
        design, outcome="happy", treatment="resident_assoc", covariates=COVARIATES, family="gaussian"
    )
    assert round(100 * raw.estimate[0], 1) == 0.1
    assert round(100 * adjusted.estimate[0], 1) == 7.0
    assert raw.tidy()["p_value"][0] > 0.9
    assert adjusted.tidy()["p_value"][0] < 0.05


def test_the_weighted_att_is_that_of_the_reference(design, reference):
    for entry in reference["ipw_att"]:
        effect = ev.ipw(design, outcome=entry["outcome"], treatment="volunteer_local", covariates=COVARIATES)
        close(effect.estimate[0], entry["att"], ITERATED)


def test_balance_before_adjustment(design, reference):
    seoul = (design.column("REGION") == 1).astype(int)
    with_seoul = ev.survey_design(design.data.assign(seoul=seoul), weights="FINALWT", strata="REGION", psu="BLOCKNO")
    for name, expected in reference["balance_before"].items():
        gap = ev.group_difference(with_seoul, outcome=name, treatment="volunteer_local")
        close(gap.estimate[1:], [expected["mean_participants"], expected["mean_others"]], ESTIMATE)


def test_means(design, reference):
    expected = reference["means"]
    age = ev.survey_mean(design, "AGE")
    close([age.estimate[0], age.std_error[0]], [expected["AGE"]["estimate"], expected["AGE"]["se"]], ERROR)
    by_region = ev.survey_mean(design, "happy", by="REGION")
    close(by_region.estimate, expected["happy_by_region"]["estimate"], ESTIMATE)
    close(by_region.std_error, expected["happy_by_region"]["se"], ERROR)


def test_the_seoul_volunteers_are_too_few_to_be_shown_anywhere(design, reference, tmp_path, monkeypatch):
    seoul = ev.domain(design, {"REGION": 1})
    happy = ev.survey_mean(seoul, "happy", by="volunteer_local")
    close(happy.estimate[1], reference["seoul_domain"][1]["proportion"][1], ESTIMATE)
    assert (disclosure.marks(happy), disclosure.counts(happy)) == (["", "[u]"], ["197", "22"])
    gap = ev.group_difference(seoul, outcome="happy", treatment="volunteer_local")
    assert disclosure.marks(gap) == ["[u]", "[u]", ""]
    monkeypatch.setenv("EVALUATION_RUN", str(tmp_path))
    ev.publish("seoul_happy", happy)
    ev.publish("seoul_gap", gap)
    picture = ev.plot(happy, lang="ko")
    ev.publish("seoul_happy_figure", picture)
    written = [file.read_text(encoding="utf-8") for file in tmp_path.rglob("*.*") if file.suffix != ".png"]
    shown = [repr(happy), happy._repr_html_(), repr(ev.table(happy)), repr(gap), repr(ev.table(gap)), repr(picture)]
    for text in [*shown, *written]:
        assert not any(digits in text for digits in ("0.98694", "0.9869", "98.7", "0.26014", "26.0"))
    assert sum("[u]" in text for text in written) >= 4
