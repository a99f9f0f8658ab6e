"""survey.yml and the file it describes: faults are found before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from evaluation.errors import SourceError, SurveyError
from evaluation.survey.reading import read_survey

if TYPE_CHECKING:
    from conftest import SurveyProject


def test_another_file_under_the_same_name_is_refused_with_both_hashes(trial: SurveyProject) -> None:
    trial.write()
    path = trial.folder / "data.csv"
    path.write_text(trial.data.replace("34", "35"), encoding="utf-8")
    with pytest.raises(SourceError, match=r"expected SHA-256 \w{12}\.\.\., got \w{12}\.\.\.\. Restore the file"):
        read_survey("trial")


def test_changed_line_ends_are_told_apart_from_changed_content(trial: SurveyProject) -> None:
    trial.write()
    (trial.folder / "data.csv").write_bytes(trial.data.replace("\n", "\r\n").encode())
    with pytest.raises(SourceError, match="Only its line ends differ"):
        read_survey("trial")


def test_a_file_that_is_not_there_says_where_to_get_it_and_where_to_put_it(
    trial: SurveyProject, language: Callable[[str], None]
) -> None:
    trial.more = 'obtain: {ko: "기관에 신청하십시오.", en: "Ask the institute for it."}\n'
    trial.write()
    (trial.folder / "data.csv").unlink()
    with pytest.raises(SourceError, match=r"Ask the institute for it\. Put it at surveys/trial/data\.csv"):
        read_survey("trial")
    language("ko")
    with pytest.raises(SourceError, match=r"기관에 신청하십시오"):
        read_survey("trial")


def test_a_wrong_number_of_rows_is_refused(trial: SurveyProject) -> None:
    trial.description = trial.description.replace("rows: {rows}", "rows: 7")
    with pytest.raises(SourceError, match="says 7 rows, the file has 5"):
        trial.read()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("citation: none", "citatoin: none", "unknown key 'citatoin'. Did you mean 'citation'?"),
        ("    rows: ", "    rosw: ", "unknown key 'samples.all.rosw'. Did you mean 'rows'?"),
        ("weights: weight", "weigths: weight", "unknown key 'samples.all.design.weigths'. Did you mean 'weights'?"),
        ("id: trial", "id: trail", "id is 'trail', but the id of a survey is its folder's name"),
        ("default_sample: all", "default_sample: al", "default_sample: no sample 'al'. Did you mean 'all'?"),
        ("citation: none\n", "", "'citation' is missing"),
        ("id: person", "id: persn", "id 'persn' is no variable of the codebook. Did you mean 'person'?"),
        ('sha256: "{sha256}"', "sha256: abc", "samples.all.sha256"),
    ],
)
def test_a_fault_of_survey_yml_is_named(trial: SurveyProject, old: str, new: str, message: str) -> None:
    assert old in trial.description
    trial.description = trial.description.replace(old, new)
    with pytest.raises(SurveyError) as caught:
        trial.read()
    assert message in str(caught.value)


def test_an_unknown_sample_is_named(trial: SurveyProject) -> None:
    trial.write()
    with pytest.raises(SurveyError, match=r"no sample 'alll'\. Did you mean 'all'"):
        read_survey("trial", sample="alll")


def test_synthetic_data_carry_their_notice_everywhere(trial: SurveyProject, language: Callable[[str], None]) -> None:
    survey = trial.read(kind="synthetic")
    assert survey.provenance("weight").notice["en"] == "Synthetic data: no real respondents"
    assert "Note: Synthetic data" in repr(survey)
    language("ko")
    assert "합성 자료" in survey._repr_html_()


def test_the_card_is_short_and_the_same_each_time(trial: SurveyProject) -> None:
    first, second = trial.read(), trial.read()
    assert repr(first) == repr(second)
    assert str(trial.root) not in repr(first)
    assert repr(first).splitlines()[0] == "Survey: Trial survey: everybody"
    assert first.source.sha256[:12] in repr(first)
    assert "&lt;b&gt;" in trial.read(description=trial.description.replace("Trial survey", "<b>"))._repr_html_()


def test_columns_that_the_codebook_does_not_declare_are_not_read_but_named(trial: SurveyProject) -> None:
    data = "\n".join(f"{row},{'note' if row.startswith('ID') else 'x'}" for row in trial.data.splitlines()) + "\n"
    survey = trial.read(data=data)
    assert survey.not_read == ("note",)
    assert "note" not in survey.data
    assert "Not read: 1" in repr(survey)


def test_cp949_data_and_a_declared_encoding(trial: SurveyProject) -> None:
    codebook = trial.codebook.replace("weight,design", "town,categorical,동네,Town,,,,,,,,,,\nweight,design")
    rows = trial.data.splitlines()
    data = "\n".join([rows[0] + ",town", *(row + ",성북동" for row in rows[1:])]) + "\n"
    assert trial.read(codebook=codebook, data=data, encoding="cp949").data["town"].tolist() == ["성북동"] * 5
    trial.description = trial.description.replace("    id: person", "    id: person\n    encoding: utf-8")
    with pytest.raises(SourceError, match="not utf-8 text"):
        trial.read()


def test_a_variable_can_belong_to_some_samples_only(trial: SurveyProject) -> None:
    head, rest = trial.codebook.split("\n", 1)
    extra = "wave,numeric,차수,Wave,,,,,,,,,,,other\n"
    trial.codebook = head + ",samples\n" + "".join(row + ",\n" for row in rest.splitlines()) + extra
    with pytest.raises(SurveyError, match=r"'wave' names the sample 'other', unknown to survey\.yml"):
        trial.read()
    trial.description += '  other:\n    file: other.csv\n    title: {{ko: 다른, en: other}}\n    sha256: "{sha256}"\n'
    assert "wave" not in trial.read().data
