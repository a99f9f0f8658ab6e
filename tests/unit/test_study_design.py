"""Studies: what their files may say, and designs replayed from them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import evaluation as ev
from evaluation.declared.checks import check_declarations
from evaluation.declared.estimates import declared_verb
from evaluation.errors import CalibrationError, ColumnError, EvaluationError, MarginError, ProjectError, StudyError
from evaluation.specification import EstimateSpecification, read_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project's surveys and params that a test may change."""
    for name in ("pyproject.toml", "params", "surveys"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    monkeypatch.delenv("EVALUATION_RUN", raising=False)
    return tmp_path


def change(project, old, new):
    path = project / "params" / "api_2000.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_declared_chain_equals_the_same_calls_by_hand():
    survey, margins = ev.read_survey("api_2000", sample="apiclus1"), ev.read_margins("api_2000")
    known = margins.select(["stype", "sch.wide", "api99"])
    by_hand = ev.trim_weights(
        ev.calibrate(ev.survey_design(survey), known, distance="raking"), upper=2.0, margins=known
    )
    np.testing.assert_array_equal(ev.study_design("api_2000").weights, by_hand.weights)


def test_a_parameter_given_in_the_notebook_replaces_the_files(project):
    loose, tight = (ev.study_design("api_2000", trim_upper=upper) for upper in (5.0, 1.8))
    assert loose.weights.max() > tight.weights.max()
    assert ev.study_design("api_2000", weighted=False).steps == ()


def test_designs_stem_from_designs():
    assert [s.step.verb for s in ev.study_design("api_2000", "clus1_raked").steps] == ["rake"]
    assert ev.study_design("api_2000", "population").provenance.weight == "census"


def test_the_known_truth_is_the_populations():
    assert ev.known_truth("api_2000", "api00")["truth"].tolist() == pytest.approx([664.712625121085], rel=1e-12)


def test_a_study_without_a_known_population_says_none(project):
    change(project, "truth: population\n", "")
    assert ev.known_truth("api_2000", "api00") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "headline: clus1_final",
            "headline: clus1_finale",
            r"headline: unknown name 'clus1_finale'. Did you mean 'clus1_final'",
        ),
        (
            "    sample: apiclus1\n",
            "    smaple: apiclus1\n",
            r"unknown key 'designs\.clus1\.smaple'. Did you mean 'sample'",
        ),
        ("    from: clus1\n", "    from: clus9\n", r"designs\.clus1_poststratified\.from: unknown name 'clus9'"),
        (
            "      design: clus1\n",
            "      design: clus2\n",
            r"estimates\.profile\.clus1_mean_api00\.design: unknown name 'clus2'",
        ),
        ("needs: [profile, weighting]}", "needs: [profil, weighting]}", r"steps\.report\.needs: unknown name 'profil'"),
        ("trim_upper: 2.0", "trim_upper: [2.0]", r"parameters\.trim_upper"),
        ("study: api_2000", "study: api_2001", r"the id of a study is its file's stem"),
        (
            "      - poststratify: {margins: [stype]}",
            "      - poststratify: {}\n        rake: {}",
            r"each step of 'chain' is one",
        ),
    ],
)
def test_a_study_file_is_held_to_its_form(project, old, new, message):
    change(project, old, new)
    with pytest.raises(StudyError, match=message):
        read_study("api_2000")


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (
            "- rake:",
            "- rakee:",
            StudyError,
            r"design 'clus1_raked': unknown weighting verb 'rakee'. Did you mean 'rake'",
        ),
        ("upper: $trim_upper", "upper: $trim_uper", StudyError, r"'\$trim_uper' names no parameter .* 'trim_upper'"),
        ("upper: $trim_upper", "uper: $trim_upper", StudyError, r"step 'trim_weights': .*'uper'"),
        (
            "trim_upper: 2.0",
            "trim_upper: 1.2",
            CalibrationError,
            r"design 'clus1_final', step 'trim_weights': trimming at",
        ),
        ("[stype, sch.wide]}", "[stype, schwide]}", MarginError, r"no margin 'schwide'"),
    ],
)
def test_a_chain_that_cannot_be_replayed_says_where(project, old, new, error, message):
    change(project, old, new)
    with pytest.raises(error, match=message):
        [ev.study_design("api_2000", design) for design in read_study("api_2000").designs]


def test_unknown_names_are_met_with_the_nearest(project):
    with pytest.raises(StudyError, match="declares no design 'clus'"):
        ev.study_design("api_2000", "clus")
    with pytest.raises(StudyError, match="Did you mean 'trim_upper'"):
        ev.study_design("api_2000", trim_uper=3.0)
    with pytest.raises(ProjectError, match="Did you mean 'api_2000'"):
        ev.study_design("api_200")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "verb: survey_ratio",
            "verb: survey_ration",
            r"estimate 'clus1_ratio_apistu_enroll': unknown verb 'survey_ration'",
        ),
        ("numerator: api.stu", "nominator: api.stu", r"estimate 'clus1_ratio_apistu_enroll': .*'nominator'"),
        ("where: {stype: H}", "where: {stype: X}", r"estimate 'clus1_ratio_H': domain: no respondent has stype = 'X'"),
    ],
)
def test_declared_estimates_that_cannot_be_made_are_named(project, old, new, message):
    change(project, old, new)
    with pytest.raises(EvaluationError, match=message):
        ev.declared_estimates("api_2000", "profile")


def test_a_declared_estimate_may_ask_for_a_bootstrap(project):
    asked = "verb: survey_mean\n      replicates: {kind: bootstrap, replicates: 40, seed: 3}\n      variables: api00"
    change(project, "verb: survey_mean\n      variables: api00", asked)
    design = ev.as_replicates(ev.study_design("api_2000", "clus1"), kind="bootstrap", replicates=40, seed=3)
    found = ev.declared_estimates("api_2000", "profile")["clus1_mean_api00"]
    np.testing.assert_array_equal(found.std_error, ev.survey_mean(design, "api00").std_error)
    change(project, "seed: 3", "sed: 3")
    with pytest.raises(
        StudyError, match=r"'clus1_mean_api00', replicates: unknown argument 'sed'. Did you mean 'seed'"
    ):
        ev.declared_estimates("api_2000", "profile")


def test_counts_written_into_a_chain_are_the_counts_used(project):
    inline = "- rake: {margins: {stype: {E: 4000, H: 1000, M: 1194}, sch.wide: {'No': 1000, 'Yes': 5194}}}"
    change(project, "- rake: {margins: [stype, sch.wide]}", inline)
    design = ev.study_design("api_2000", "clus1_raked")
    counts = design.data.assign(w=design.weights).groupby("stype", observed=True)["w"].sum()
    np.testing.assert_allclose(counts[["E", "H", "M"]], [4000, 1000, 1194], rtol=1e-10)


@pytest.mark.parametrize("given", ["null", "3"])
def test_margins_that_name_nothing_are_refused(project, given):
    change(project, "- rake: {margins: [stype, sch.wide]}", f"- rake: {{margins: {given}}}")
    with pytest.raises(MarginError, match=r"design 'clus1_raked', step 'rake': .*got (none|3)"):
        ev.study_design("api_2000", "clus1_raked")


FAULTS = [
    ("- rake:", "- rakee:", r"design 'clus1_raked': unknown weighting verb 'rakee'\. Did you mean 'rake'"),
    ("upper: $trim_upper", "uper: $trim_upper", r"step 'trim_weights': unknown argument 'uper'\. Did you mean 'upper'"),
    ("[stype, sch.wide]}", "[stype, schwide]}", r"design 'clus1_raked', step 'rake': no margin 'schwide'"),
    ("verb: survey_ratio", "verb: survey_ration", r"unknown verb 'survey_ration'\. Did you mean 'survey_ratio'"),
    ("verb: survey_ratio", "verb: survey_ttest", r"unknown verb 'survey_ttest'\. A study can declare: survey_mean,"),
    ("numerator: api.stu", "nominator: api.stu", r"'clus1_ratio_apistu_enroll': unknown argument 'nominator'"),
    ("numerator: api.stu", "numerator: $lang", r"'\$lang' names a parameter, but estimates are fixed"),
    (
        "      variables: enroll",
        "      variables: enroll\n      replicates: bootstrap",
        r"estimate 'clus1_total_enroll', replicates: kind='bootstrap' .*needs replicates=.* and seed=",
    ),
    (
        "      variables: enroll",
        "      variables: enroll\n      replicates: {kind: bootstrp, replicates: 50, seed: 1}",
        r"replicates: kind must be one of .*Did you mean 'bootstrap'",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), FAULTS)
def test_a_misspelt_declaration_is_found_before_anything_runs(project, old, new, message):
    check_declarations(read_study("api_2000"))
    change(project, old, new)
    with pytest.raises(StudyError, match=message):
        check_declarations(read_study("api_2000"))


def test_all_misspelt_declarations_are_told_at_once(project):
    change(project, "- rake:", "- rakee:")
    change(project, "verb: survey_ratio", "verb: survey_ration")
    with pytest.raises(StudyError) as raised:
        check_declarations(read_study("api_2000"))
    assert len(str(raised.value).splitlines()) == 2


def test_every_declared_place_is_told_once(project):
    change(project, "verb: survey_mean", "verb: survey_mean\n      replicates: {knd: JK1}")
    with pytest.raises(StudyError) as raised:
        ev.declared_estimates("api_2000", "profile")
    assert str(raised.value).count("params/api_2000.yml") == 1


def test_a_study_may_declare_quintile_shares_and_changes():
    estimates = {"qsr": ("survey_qsr", {"variable": "api00"}), "change": ("survey_change", {"variables": "api00"})}
    for verb, arguments in estimates.values():
        more = {"wave": "year", "start": 1999, "end": 2000} if verb == "survey_change" else {}
        made = EstimateSpecification(design="clus1", verb=verb, **arguments, **more)
        assert declared_verb(made, "here")[0] is getattr(ev, verb)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("psu: dnum", "psu: 3", r"designs\.clus1\.psu: expected text or a list, got 3$"),
        ("psu: dnum", "psu: [null]", r"designs\.clus1\.psu\.0: expected text, got None$"),
        ("psu: dnum", "nested: 'no'", r"designs\.clus1\.nested: expected true or false, got 'no'$"),
        (
            "psu: dnum",
            "linearization: R",
            r"linearization: expected one of 'exact' or 'r', got 'R'\. Did you mean 'r'\?$",
        ),
        (
            "data: real",
            "data: rael",
            r"data: expected one of 'real' or 'synthetic', got 'rael'\. Did you mean 'real'\?$",
        ),
        ("- rake: {margins: [stype, sch.wide]}", "- rake:", r"chain\.0\.rake: expected keys with values .*, got None$"),
    ],
)
def test_a_value_of_another_kind_is_told_in_plain_words(project, old, new, message):
    change(project, old, new)
    with pytest.raises(StudyError, match=message):
        read_study("api_2000")


TWO_FRAMES = """
  strat:
    sample: apistrat
    weights: pw
    strata: stype
    fpc: fpc
  both:
    join: {schools: strat, districts: clus1}
    overlap: false
    chain:
      - normalise_weights: {}
  to_estimates:
    from: clus1
    chain:
      - calibrate: {totals_from: {design: strat, variables: stype}, distance: raking}
"""


def test_samples_put_together_and_totals_of_another_sample_are_declared(project):
    change(project, "\nestimates:", TWO_FRAMES + "\nestimates:")
    strat, clus1 = ev.study_design("api_2000", "strat"), ev.study_design("api_2000", "clus1")
    both = ev.normalise_weights(ev.join_frames({"schools": strat, "districts": clus1}, overlap=False))
    declared = ev.study_design("api_2000", "both")
    np.testing.assert_array_equal(declared.weights, both.weights)
    assert declared.data["frame"].tolist() == ["schools"] * 200 + ["districts"] * 183
    assert read_study("api_2000").sample_of("both") == "apistrat + apiclus1"

    calibrated = ev.study_design("api_2000", "to_estimates")
    by_hand = ev.calibrate(clus1, totals_from=ev.survey_total(strat, "stype"), distance="raking")
    ours, theirs = (ev.survey_mean(design, "api00") for design in (calibrated, by_hand))
    np.testing.assert_allclose(ours.estimate, theirs.estimate, rtol=1e-10)
    np.testing.assert_allclose(ours.std_error, theirs.std_error, rtol=1e-8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("districts: clus1}", "districts: clus}", r"designs.both.join.districts: unknown name 'clus'.*'clus1'"),
        ("{design: strat, var", "{design: strata, var", r"totals_from.design: unknown name 'strata'.*'strat'"),
        ("overlap: false", "overlap: false\n    weights: pw", r"'join' puts other designs together; \['weights'\]"),
        (
            "from: clus1\n    chain:\n      - cal",
            "from: clus1\n    share: 0.5\n    chain:\n      - cal",
            r"'from' continues",
        ),
        (
            "{design: strat, variables",
            "{design: strat, columns",
            r"expected 'design' and 'variables', got design, columns",
        ),
        ("variables: stype", "variables: stipe", r"step 'calibrate': .*'stipe'"),
    ],
)
def test_frames_and_totals_that_cannot_be_made_are_named(project, old, new, message):
    change(project, "\nestimates:", TWO_FRAMES + "\nestimates:")
    change(project, old, new)
    with pytest.raises(EvaluationError, match=message):
        ev.study_design("api_2000", "to_estimates")


def test_a_calibration_to_estimated_totals_is_replayed_from_its_written_form(project):
    change(project, "\nestimates:", TWO_FRAMES + "\nestimates:")
    strat, clus1 = ev.study_design("api_2000", "strat"), ev.study_design("api_2000", "clus1")
    totals = ev.survey_total(strat, "stype")
    calibrated = ev.calibrate(clus1, totals_from=totals, distance="raking")
    written = yaml.safe_load(yaml.safe_dump(calibrated.chain(), allow_unicode=True))
    again = ev.replay_chain(clus1, written)
    np.testing.assert_allclose(again.weights, calibrated.weights, rtol=1e-10)
    ours, theirs = (ev.survey_mean(design, "api00") for design in (again, calibrated))
    np.testing.assert_allclose(ours.std_error, theirs.std_error, rtol=1e-8)


def test_a_design_reads_only_the_variables_that_are_needed_and_estimates_the_same():
    """What the design, its chain, gates and derivations name is read besides; nothing else has a column."""
    whole = ev.study_design("seoul_2016", "citizens_final")
    narrow = ev.study_design("seoul_2016", "citizens_final", variables=["stay", "age_class"])
    assert {"stay", "age_class", "age_group", "sex", "district", "weight_design", "block_draw"} <= set(narrow.data)
    assert not {"person_id", "happy", "trust_neighbours"} & set(narrow.data)
    np.testing.assert_array_equal(narrow.weights, whole.weights)
    for by in ("district", "age_class"):
        ours, theirs = (ev.survey_mean(design, "stay", by=by) for design in (narrow, whole))
        np.testing.assert_array_equal(ours.vcov, theirs.vcov)
        assert ours.keys.equals(theirs.keys)


def test_a_variable_that_the_sample_lacks_cannot_be_asked_for():
    with pytest.raises(ColumnError, match=r"no variable 'hapy' for this sample\. Did you mean 'happy'"):
        ev.study_design("seoul_2016", variables=["hapy"])
    with pytest.raises(ColumnError, match="no variable 'project_type' for this sample"):
        ev.read_survey("seoul_2016", variables=["project_type"])
