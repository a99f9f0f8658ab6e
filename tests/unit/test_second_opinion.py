"""What a script for R survey says, and what it keeps quiet about."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import project
from evaluation.errors import DesignError, EstimationError, ProjectError

REFERENCE = Path(__file__).parents[1] / "reference" / "survey"
STYPE = {"E": 4421, "H": 755, "M": 1018}
SCHOOL_WIDE = {"No": 1072, "Yes": 5122}


def clus1(**options):
    survey = ev.read_survey("api_2000", sample="apiclus1")
    return ev.survey_design(survey, weights="pw", psu="dnum", fpc="fpc", linearization="r", **options)


def written(design, results, folder):
    ev.write_r_script(design, results, folder)
    return (folder / "script.R").read_text(encoding="utf-8")


def test_the_files_are_named_and_lie_where_they_were_asked_for(tmp_path):
    design = clus1()
    files = ev.write_r_script(design, ev.survey_mean(design, "api00"), tmp_path / "opinion")
    assert files == ("script.R", "data.csv", "ours.csv")
    assert sorted(path.name for path in (tmp_path / "opinion").iterdir()) == sorted(files)


def test_only_the_columns_that_are_needed_are_written_and_to_the_last_digit(tmp_path):
    design = clus1()
    script = written(design, {"mean": ev.survey_mean(design, "api00", by="stype")}, tmp_path)
    data = pd.read_csv(tmp_path / "data.csv")
    assert list(data) == ["weight_given", "dnum", "fpc", "stype", "api00"]
    np.testing.assert_array_equal(data["weight_given"], design.weights)
    assert "svydesign(ids = ~dnum, fpc = ~fpc, weights = ~weight_given, nest = TRUE, data = people)" in script
    assert "svyby(~api00, ~stype, d, svymean, na.rm = TRUE)" in script


def test_every_row_of_a_result_stands_in_ours(tmp_path):
    design = clus1()
    mean, shares = ev.survey_mean(design, "api00", by="stype"), ev.survey_prop(design, "sch.wide")
    written(design, {"mean": mean, "shares": shares}, tmp_path)
    ours = pd.read_csv(tmp_path / "ours.csv")
    assert ours["row"].tolist() == [*mean.addresses(), *shares.addresses()]
    assert ours["name"].tolist() == ["E", "H", "M", "sch.wideNo", "sch.wideYes"]
    np.testing.assert_array_equal(ours["estimate"], np.concatenate([mean.estimate, shares.estimate]))
    np.testing.assert_array_equal(ours["std_error"], np.concatenate([mean.std_error, shares.std_error]))


def test_the_chain_is_repeated_step_by_step(tmp_path):
    design = ev.poststratify(clus1(), {"stype": STYPE})
    design = ev.rake(design, {"stype": STYPE, "sch.wide": SCHOOL_WIDE})
    design = ev.calibrate(design, {"stype": STYPE, "api99": 3914069}, distance="logit", bounds=(0.5, 2))
    design = ev.trim_weights(design, upper=50, relative_to="none")
    script = written(design, ev.survey_mean(design, "api00"), tmp_path)
    calls = [line.split("(")[0] for line in script.splitlines() if line.startswith("d <- ")]
    steps = ["svydesign", "postStratify", "rake", "calibrate", "trimWeights"]
    assert calls == [f"d <- {step}" for step in steps]
    assert 'c("(Intercept)" = 6194, "stypeH" = 755, "stypeM" = 1018, "api99" = 3914069)' in script
    assert 'calfun = "logit", bounds = c(0.5, 2)' in script
    assert "in the convention of R survey" in script


def test_the_exact_variance_says_that_it_is_not_rs(tmp_path):
    survey = ev.read_survey("api_2000", sample="apiclus1")
    design = ev.poststratify(ev.survey_design(survey, weights="pw", psu="dnum"), {"stype": STYPE})
    assert "exact derivative" in written(design, ev.survey_mean(design, "api00"), tmp_path)


def test_a_step_that_r_does_not_know_is_named_and_its_weights_are_given(tmp_path):
    design = clus1()
    halved = ev.normalise_weights(design, to="n")
    final = ev.poststratify(halved, {"stype": STYPE})
    script = written(final, ev.survey_mean(final, "api00"), tmp_path)
    assert "# Not repeated here: normalise_weights" in script
    assert "standard errors leave out what" in script
    assert script.index("Not repeated here") < script.index("postStratify")
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "data.csv")["weight_given"], halved.weights)


def test_a_domain_is_a_subset(tmp_path):
    design = ev.domain(clus1(), {"stype": ["E", "M"]})
    script = written(design, ev.survey_mean(design, "api00"), tmp_path)
    assert "d <- subset(d, inside == 1)" in script
    assert pd.read_csv(tmp_path / "data.csv")["inside"].sum() == 169


def test_replicates_travel_as_factors_of_units(tmp_path):
    design = ev.as_replicates(clus1(), kind="JK1")
    files = ev.write_r_script(design, ev.survey_mean(design, "api00"), tmp_path)
    assert files == ("script.R", "data.csv", "ours.csv", "replicates.csv")
    factors = pd.read_csv(tmp_path / "replicates.csv")
    np.testing.assert_array_equal(factors.to_numpy(), design.replicates.factors)
    unit = pd.read_csv(tmp_path / "data.csv")["replicate_unit"]
    np.testing.assert_array_equal(unit - 1, design.replicates.unit)


def test_rules_for_lonely_psus_are_given_to_r(tmp_path):
    frame = pd.DataFrame({"area": ["a", "a", "b"], "y": [1.0, 2.0, 3.0]})
    design = ev.survey_design(frame, strata="area", lonely_psu="centre", lonely_domains=True)
    script = written(design, ev.survey_mean(design, "y"), tmp_path)
    assert 'options(survey.lonely.psu = "adjust", survey.adjust.domain.lonely = TRUE)' in script


def test_names_and_levels_of_any_script_reach_r(tmp_path):
    frame = pd.DataFrame({"신뢰 점수": [1.0, 2.0, 4.0, 5.0], "구": ["강남", 'say "x", y', "강남", 'say "x", y']})
    design = ev.survey_design(frame)
    script = written(design, {"평균": ev.survey_mean(design, "신뢰 점수", by="구")}, tmp_path)
    assert re.search(r"# column_\d: 신뢰 점수", script)
    assert 'levels = c("say \\"x\\", y", "강남")' in script
    data = pd.read_csv(tmp_path / "data.csv", encoding="utf-8")
    assert data.iloc[:, 1].tolist() == frame["구"].tolist()


def test_a_number_coded_column_is_a_category_in_one_call_and_a_number_in_another(tmp_path):
    frame = pd.DataFrame({"class": [1.0, 2.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0, 5.0]})
    design = ev.survey_design(frame)
    results = {"by": ev.survey_mean(design, "y", by="class"), "mean": ev.survey_mean(design, "class")}
    script = written(design, results, tmp_path)
    assert "svyby(~y, ~class, d, svymean" in script
    assert "svymean(~class_2, d, na.rm = TRUE)" in script
    assert 'people$class <- factor(as.character(people$class), levels = c("1", "2"))' in script


def test_a_regression_is_written_with_rs_names(tmp_path):
    design = clus1()
    fit = ev.survey_glm(design, outcome="sch.wide", covariates="~ ell * C(stype)", family="binomial")
    script = written(design, fit, tmp_path)
    assert 'svyglm(is_not_sch.wide ~ ell * stype, design = d, family = quasibinomial("logit")' in script
    names = pd.read_csv(tmp_path / "ours.csv")["name"].tolist()
    assert names == ["(Intercept)", "ell", "stypeH", "stypeM", "ell:stypeH", "ell:stypeM"]


def test_what_r_cannot_say_is_named_beside_what_it_can(tmp_path):
    design = clus1()
    mean = ev.survey_mean(design, "api00", by="stype")
    both = [mean, ev.survey_ratio(design, "api.stu", "enroll")]
    gap = ev.contrast(both, {"gap": {"api00 | stype=E": 1, "api.stu/enroll": -1}})
    fit = ev.survey_glm(design, outcome="api00", covariates="~ np.log(enroll + 1)")
    script = written(design, {"mean": mean, "gap": gap, "fit": fit}, tmp_path)
    assert "# Not asked of R: gap (its rows come from several calls of R, which knows no covariance" in script
    assert "# Not asked of R: fit (the formula" in script
    with pytest.raises(EstimationError, match=r"nothing here can be said in R survey: result \(its rows come"):
        ev.write_r_script(design, gap, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_result_of_another_design_is_refused(tmp_path):
    design = clus1()
    mean = ev.survey_mean(design, "api00")
    with pytest.raises(EstimationError, match=r"'result' was made from another design \(weight: pw"):
        ev.write_r_script(ev.poststratify(design, {"stype": STYPE}), mean, tmp_path)
    with pytest.raises(EstimationError, match="'x' is float, expected a result"):
        ev.write_r_script(design, {"x": 1.5}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_script_stays_unless_it_may_go(tmp_path):
    design = clus1()
    mean = ev.survey_mean(design, "api00")
    ev.write_r_script(design, mean, tmp_path)
    with pytest.raises(ProjectError, match=r"holds a script\.R already"):
        ev.write_r_script(design, mean, tmp_path)
    ev.write_r_script(design, mean, tmp_path, overwrite=True)


def test_records_of_respondents_stay_out_of_a_run_that_others_see(tmp_path, monkeypatch):
    design = clus1()
    mean = ev.survey_mean(design, "api00")
    monkeypatch.setenv(project.RUN_VARIABLE, str(tmp_path))
    with pytest.raises(ProjectError, match="others may see"):
        ev.write_r_script(design, mean, tmp_path / "tables")
    ev.write_r_script(design, mean, tmp_path / "restricted" / "opinion")
    with pytest.raises(ProjectError, match="others may see"):
        ev.write_r_script(design, mean, tmp_path)


def test_joint_probabilities_are_not_written(tmp_path):
    frame = pd.DataFrame({"y": [1.0, 2.0]})
    joint = np.array([[0.5, 0.2], [0.2, 0.5]])
    design = ev.survey_design(frame, pps=joint)
    with pytest.raises(DesignError, match="joint probabilities given as a matrix are not written"):
        ev.write_r_script(design, ev.survey_mean(design, "y"), tmp_path)


@pytest.mark.parametrize("folder", ["", "  ", None, 3])
def test_answers_of_respondents_are_never_written_to_nowhere_in_particular(tmp_path, monkeypatch, folder):
    design = clus1()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError, match=r"folder must say where answers of single respondents may be written"):
        ev.write_r_script(design, ev.survey_mean(design, "api00"), folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "script"])
def test_a_file_is_no_folder(tmp_path, below):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    design = clus1()
    with pytest.raises(ProjectError, match=r"'notes' is a file, expected a folder"):
        ev.write_r_script(design, ev.survey_mean(design, "api00"), tmp_path / "notes" / below)
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "mine"


def test_permission_to_replace_is_given_by_true_not_by_a_word(tmp_path):
    design = clus1()
    with pytest.raises(ProjectError, match=r"overwrite must be True or False, got 'no'"):
        ev.write_r_script(design, ev.survey_mean(design, "api00"), tmp_path, overwrite="no")


@pytest.mark.parametrize(
    ("formula", "called", "names"),
    [
        ("~ C(`type (of school)`) + ell", "y ~ column_2 + ell", ["(Intercept)", "column_2H", "column_2M", "ell"]),
        ("~ `type (of school)`:ell", "y ~ column_2:ell", ["(Intercept)", *(f"column_2{s}:ell" for s in "EHM")]),
        ("~ 영어 + ell", "y ~ column_2 + ell", ["(Intercept)", "column_2", "ell"]),
    ],
)
def test_names_that_r_does_not_take_are_written_wherever_they_stand_in_a_formula(tmp_path, formula, called, names):
    data = pd.read_csv(REFERENCE / "apistrat.csv")
    data = data.assign(**{"type (of school)": data["stype"], "영어": data["meals"], "y": data["api00"]})
    design = ev.survey_design(data, weights="pw")
    script = written(design, ev.survey_glm(design, outcome="y", covariates=formula), tmp_path)
    assert f"svyglm({called}, design" in script
    assert pd.read_csv(tmp_path / "ours.csv")["name"].tolist() == names


def test_steps_that_r_does_otherwise_for_such_a_design_are_not_repeated(tmp_path):
    replicated = ev.trim_weights(ev.as_replicates(clus1(), kind="JK1"), upper=1.2, relative_to="mean")
    script = written(replicated, ev.survey_total(replicated, "enroll"), tmp_path / "replicates")
    assert "# Not repeated here: trim_weights" in script
    assert "trimWeights" not in script
    answered = ev.survey_design(clus1().data.assign(answered=np.arange(183) % 4 > 0), weights="pw", psu="dnum")
    adjusted = ev.adjust_nonresponse(answered, response="answered")
    calibrated = ev.calibrate(adjusted, {"total": 6194, "api99": 3914069})
    script = written(calibrated, ev.survey_mean(calibrated, "api00"), tmp_path / "respondents")
    assert "Not repeated here: adjust_nonresponse" in script
    assert "calibrate(d" not in script
