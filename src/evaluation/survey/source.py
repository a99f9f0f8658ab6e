"""What ``surveys/<id>/survey.yml`` may say, where a sample's file lies, and whether it is that file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluation import project
from evaluation.errors import ProjectError, SourceError, SurveyError, did_you_mean
from evaluation.specification import Text
from evaluation.survey.formats import Table, one_by_one, read_table

#: What a caption says of made-up data where survey.yml says nothing of its own.
SYNTHETIC_NOTICE = Text(ko="합성 자료: 실제 응답자가 아님", en="Synthetic data: no real respondents")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DesignDefaults(_Strict):
    """The design variables of a sample, under the names that ``survey_design`` takes."""

    weights: str | None = None
    strata: str | None = None
    psu: str | list[str] | None = None
    fpc: str | list[str] | None = None
    nested: bool = False
    pps: Literal["brewer", "hartley_rao"] | None = None
    pps_variance: Literal["horvitz_thompson", "yates_grundy"] = "horvitz_thompson"
    lonely_psu: Literal["fail", "remove", "centre", "average"] = "fail"
    lonely_domains: bool = False

    def arguments(self) -> Mapping[str, Any]:
        """Return the keyword arguments for ``survey_design``; rules of the variance only where the file names them."""
        rules = {"pps", "pps_variance", "lonely_psu", "lonely_domains"}
        return MappingProxyType(self.model_dump(exclude=rules - self.model_fields_set))


def _in_folder(file: str) -> str:
    """Refuse what names no file of the survey's own folder on every system."""
    parts = file.split("/")
    if (
        not file.isprintable()
        or set(file) & set('\\:*?"<>|')
        or any(part in ("", ".", "..") for part in parts)
        or PurePosixPath(file).is_absolute()
    ):
        raise ValueError(
            "a file of the survey's folder is meant: a relative path with forward slashes, without '..' and without "
            'line breaks or any of \\ : * ? " < > |'
        )
    return file


#: A path relative to the survey's folder, which it does not leave.
OwnFile = Annotated[str, AfterValidator(_in_folder)]


class SampleSource(_Strict):
    """One file of a survey and the design it was drawn by.

    Attributes
    ----------
    file : str
        Path relative to the survey's folder, with forward slashes.
    format : {"csv", "tsv", "sav", "zsav", "dta", "xlsx", "parquet"}, optional
        Where the file's suffix does not say it.
    encoding : str, optional
        Of a CSV file, or of the texts in an old SPSS file; found out where empty.
    sheet : str, optional
        Of an Excel workbook; the first where empty.
    sha256 : str
        64 hexadecimal digits: of the file, or of the values of a generated one.
    generated : bool
        The file is made by ``evaluation.synthetic`` when it is first read.
    provided_by : {"repository", "user"}
        A file that the user brings may be another extract than the one that was described: that is told, not refused.
    alternatives : dict of str to str
        Other files that hold the same respondents, each with its SHA-256; the first that is there is read.
    rows : int, optional
        Number of respondents.
    id : str, optional
        Variable that tells respondents apart.
    """

    file: OwnFile
    title: Text
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    generated: bool = False
    provided_by: Literal["repository", "user"] = "repository"
    alternatives: dict[OwnFile, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = {}
    format: Literal["csv", "tsv", "sav", "zsav", "dta", "xlsx", "parquet"] | None = None
    encoding: str | None = None
    sheet: str | None = None
    rows: int | None = Field(None, gt=0)
    id: str | None = None
    design: DesignDefaults = DesignDefaults()

    @property
    def files(self) -> dict[str, str]:
        """The files that can be read, in the order in which they are looked for, each with its SHA-256."""
        return {self.file: self.sha256, **self.alternatives}


class SurveyDescription(_Strict):
    """The whole of ``survey.yml``."""

    id: str
    title: Text
    population: Text
    data: Literal["real", "synthetic"]
    notice: Text | None = None
    licence: Text
    source: Text
    citation: str
    obtain: Text | None = None
    min_cell: int = Field(5, ge=1)
    min_base: int = Field(30, ge=1)
    default_sample: str
    samples: dict[str, SampleSource]

    @model_validator(mode="after")
    def _default_exists(self) -> SurveyDescription:
        if self.default_sample not in self.samples:
            hint = did_you_mean(self.default_sample, self.samples)
            raise ValueError(f"default_sample: no sample '{self.default_sample}'. {hint}")
        return self

    def notices(self) -> dict[str, str]:
        """Return what a caption must warn of, by language; empty for real data without a notice."""
        notice = self.notice or (SYNTHETIC_NOTICE if self.data == "synthetic" else None)
        return {"ko": notice.ko, "en": notice.en} if notice else {}


def read_description(survey_id: str) -> SurveyDescription:
    """Read and check ``surveys/<survey_id>/survey.yml``.

    Parameters
    ----------
    survey_id : str
        Name of a folder in ``surveys/``.

    Returns
    -------
    SurveyDescription
        Frozen.

    Raises
    ------
    ProjectError
        There is no such survey, or its YAML cannot be read.
    SurveyError
        Every fault of the file at once: place, what came, nearest known name.
    """
    path = project.survey_folder(survey_id) / "survey.yml"
    place = f"surveys/{survey_id}/survey.yml"
    try:
        description = SurveyDescription.model_validate(project.read_yaml(path))
    except ValidationError as error:
        raise SurveyError(f"{place}: " + "; ".join(_faults(error))) from None
    if description.id != survey_id:
        raise SurveyError(f"{place}: id is '{description.id}', but the id of a survey is its folder's name.")
    return description


def _faults(error: ValidationError) -> list[str]:
    faults = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            faults.append(f"unknown key '{where}'. {did_you_mean(fault['loc'][-1], _fields_at(fault['loc']))}")
        elif fault["type"] == "missing":
            faults.append(f"'{where}' is missing")
        else:
            came = f" (got {fault['input']!r:.80})" if where else ""
            faults.append(f"{where}: ".removeprefix(": ") + fault["msg"].removeprefix("Value error, ") + came)
    return faults


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    inside = location[:-1]
    if not inside:
        model: type[BaseModel] = SurveyDescription
    elif inside[0] != "samples" or inside[-1] == "title":
        model = Text
    else:
        model = DesignDefaults if inside[-1] == "design" else SampleSource
    return list(model.model_fields)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits; the file is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locate(survey_id: str, sample: SampleSource, obtain: Text | None) -> Path:
    """Return the path of a sample's file; a generated one is made where it is not there.

    Raises
    ------
    SourceError
        The file is not there; the message says where to get it and where to put it. Where a link leads out of the
        survey's folder, unless the user brings the file; where there is a folder or a pipe of that name.
    """
    folder = project.survey_folder(survey_id)
    path = next((folder / file for file in sample.files if (folder / file).is_file()), folder / sample.file)
    place = f"surveys/{survey_id}/{path.relative_to(folder).as_posix()}"
    if sample.provided_by != "user" and not path.resolve().is_relative_to(folder.resolve()):
        raise SourceError(
            f"{place} is a link that leads out of surveys/{survey_id}. Put the file itself there: what a study reads "
            "from its repository must be the same everywhere."
        )
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no ordinary file (a pipe or a device)"
        raise SourceError(f"{place} is {kind}, expected a file with data. Put the file there, or correct survey.yml.")
    if sample.generated and not path.is_file():
        from evaluation.synthetic.files import generate_file  # heavy, and few surveys are generated

        generate_file(path)
    if not path.is_file():
        raise SourceError(_absent(survey_id, sample, obtain, project.language()))
    return path


#: What is told of a file that is not there: the place, where to get it, where to put it.
_ABSENT = Text(
    ko="{place} 파일이 없습니다. {obtain} 받은 파일을 {places}에 두십시오.",
    en="{place} is not there. {obtain} Put it at {places}.",
)
_OR = Text(ko=" 또는 ", en=" or ")


def _absent(survey_id: str, sample: SampleSource, obtain: Text | None, lang: str) -> str:
    places = [f"surveys/{survey_id}/{file}" for file in sample.files]
    if obtain is None:
        return f"{places[0]} is not there. Restore it from the repository."
    return _ABSENT.in_language(lang).format(
        place=places[0], obtain=obtain.in_language(lang).strip(), places=_OR.in_language(lang).join(places)
    )


def missing_user_files(survey_id: str, samples: Iterable[str | None], *, lang: str) -> str:
    """Say which files of a survey its user has yet to bring; empty where none is missing.

    Parameters
    ----------
    survey_id : str
        Name of a folder in ``surveys/``.
    samples : iterable of str or None
        Samples that will be read; None stands for the default one.
    lang : {"ko", "en"}
        Language of what is said.

    Returns
    -------
    str
        Where to get each file and where to put it. Files that the repository
        holds or makes are not asked about, nor is what a faulty survey.yml would mean: reading tells that.
    """
    try:
        description = read_description(survey_id)
    except (ProjectError, SurveyError, OSError):
        return ""
    names = dict.fromkeys(name or description.default_sample for name in samples)
    told = []
    for sample in (description.samples[name] for name in names if name in description.samples):
        folder = project.survey_folder(survey_id)
        if sample.provided_by == "user" and not any((folder / file).is_file() for file in sample.files):
            told.append(_absent(survey_id, sample, description.obtain, lang))
    return " ".join(dict.fromkeys(told))


#: What is told of a user's file that is not the extract that was described.
_OTHER_EXTRACT = Text(
    ko="{place}: 이 연구를 만든 추출본과 다른 파일임 (SHA-256 {found}..., 기술된 값 {expected}...). "
    "읽기는 하지만 수치가 다를 수 있음",
    en="{place} is another extract than the one described (SHA-256 {found}..., described {expected}...). "
    "It is read, but its numbers may differ",
)


def verify(path: Path, sample: SampleSource, place: str, table: Table | None = None) -> dict[str, str]:
    """Hold the file's SHA-256 against the one that survey.yml states.

    A generated file is known by its values: the same ones may be stored in other bytes elsewhere. ``table`` is what
    was read from it, where it was read already; otherwise a Parquet file is gone through column by column.

    Returns
    -------
    dict of str to str
        By language, what is to be told of a user's file that is another extract; empty otherwise.

    Raises
    ------
    SourceError
        Any other file is not the one described.
    """
    if sample.generated:
        if table is None and is_parquet(path, sample):
            _verify_values(one_by_one(path), sample, place)
        else:
            frame = (table or read_table(path, format=sample.format, encoding=sample.encoding)).frame
            _verify_values(((str(name), frame[name]) for name in frame.columns), sample, place)
        return {}
    found, expected = sha256_of(path), sample.files.get(path.name, sample.sha256)
    if found == expected:
        return {}
    if sample.provided_by == "user":
        words = {"place": place, "found": found[:12], "expected": expected[:12]}
        return {lang: _OTHER_EXTRACT.in_language(lang).format(**words) for lang in project.LANGUAGES}
    unix_line_ends = hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    if unix_line_ends == expected:
        move = (
            "Only its line ends differ (CRLF instead of LF): git or an editor changed them. Restore the file, "
            "and keep '-text' for it in .gitattributes."
        )
    else:
        move = "Restore the file; or, if it was replaced on purpose, state the new hash in survey.yml and say why."
    raise SourceError(
        f"{place} is not the file that survey.yml describes: expected SHA-256 {expected[:12]}..., "
        f"got {found[:12]}.... {move}"
    )


def is_parquet(path: Path, sample: SampleSource) -> bool:
    """Tell whether a sample's file holds its columns apart, so that some can be read without the others."""
    return (sample.format or path.suffix.lower().removeprefix(".")) == "parquet"


def _verify_values(columns: Iterable[tuple[str, pd.Series]], sample: SampleSource, place: str) -> None:
    from evaluation.synthetic.files import columns_sha256

    found = columns_sha256(columns)
    if found != sample.sha256:
        raise SourceError(
            f"{place} does not hold the values that survey.yml describes: expected SHA-256 {sample.sha256[:12]}..., "
            f"got {found[:12]}.... Delete the file: it is made anew when it is next read. If that ends the same way, "
            "the installed packages are not those of requirements.lock, or the generator was changed; then state the "
            "new hash in survey.yml and say why."
        )
