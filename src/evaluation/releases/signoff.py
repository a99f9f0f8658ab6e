"""Who checked what in a run, when, and against which manifest: ``signoff.yml``, only ever appended to.

::

    signoffs:
      - name: Kim Hana
        role: methods editor
        checked: [estimates against last year, disclosure]
        note: ""
        date: 2017-12-01
        manifest: <SHA-256, manifest_hash>
        outputs: <SHA-256 of the published files>
"""

from __future__ import annotations

import datetime
import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from evaluation import project
from evaluation.errors import ProjectError
from evaluation.project import MANIFEST
from evaluation.releases.cells import good_run
from evaluation.releases.lasting import altered_file, manifest_hash, outputs_hash
from evaluation.releases.replacing import replace_file
from evaluation.specification import Strict, faults_of
from evaluation.study.lock import holding
from evaluation.study.manifest import read_manifest

#: File in a run folder.
SIGNOFF = "signoff.yml"

#: How far the list is indented.
_DASH = re.compile(r"^( *)- ", re.MULTILINE)
_HASH = re.compile("[0-9a-f]{64}")

Standing = Literal["this", "same_files", "earlier"]


@dataclass(frozen=True)
class SignOff:
    """One sign-off.

    Attributes
    ----------
    name, role : str
        Who signed, and as what.
    checked : tuple of str
        What was checked.
    note : str
        May be empty.
    date : str
        ISO date.
    manifest : str
        ``manifest_hash`` of the run that was checked.
    outputs : str
        SHA-256 of its published files.
    """

    name: str
    role: str
    checked: tuple[str, ...]
    note: str
    date: str
    manifest: str
    outputs: str

    def standing(self, manifest: Mapping[str, Any]) -> Standing:
        """Tell what it is worth for a run: given for it, for one that left the same files, or for an earlier one."""
        if self.manifest == manifest_hash(manifest):
            return "this"
        return "same_files" if self.outputs == outputs_hash(manifest) else "earlier"

    def summary(self) -> str:
        """Return it as one line."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.date} {self.name}, {self.role}: {'; '.join(self.checked)}{note}, manifest {self.manifest[:12]}"


class _Entry(Strict):
    name: str = Field(min_length=1)
    role: str = Field(min_length=1)
    checked: list[str] = Field(min_length=1)
    note: str = ""
    date: datetime.date
    manifest: str
    outputs: str

    @field_validator("date", mode="before")
    @classmethod
    def _read_date(cls, value: object) -> object:
        if isinstance(value, datetime.date):
            return value
        try:
            return datetime.date.fromisoformat(str(value))
        except ValueError:
            raise ValueError("expected a date like 2017-12-01") from None

    @field_validator("manifest", "outputs")
    @classmethod
    def _check_hash(cls, value: str) -> str:
        if not _HASH.fullmatch(value):
            raise ValueError("expected a SHA-256, 64 digits and letters a to f, as 'evaluation sign-off' writes it")
        return value


class _File(Strict):
    signoffs: list[_Entry]


def sign_off(
    study: str,
    *,
    name: str,
    role: str,
    checked: Sequence[str],
    note: str = "",
    on: datetime.date | None = None,
) -> SignOff:
    """Record that somebody checked the last good run of a study, or the published one where there is none.

    It is appended to ``signoff.yml`` in the run folder, and in the published one where that is the same run.

    Parameters
    ----------
    study : str
        Stem of a file in ``params/``.
    name, role : str
        Who signs, and as what.
    checked : sequence of str
        What was checked.
    note : str
        Anything else.
    on : datetime.date, optional
        Today, where nothing is given.

    Returns
    -------
    SignOff

    Raises
    ------
    ProjectError
        Where there is no good run, a file of it was changed since, name, role or what was checked is empty, or
        the file that is there cannot be read or written.
    StudyError
        Where the study is being run now.
    """
    texts = {"name": _line(name), "role": _line(role)}
    items = tuple(filter(None, map(_line, [checked] if isinstance(checked, str) else checked)))
    empty = [key for key, text in texts.items() if not text] + ([] if items else ["checked"])
    if empty:
        raise ProjectError(f"a sign-off says who checked what: {', '.join(empty)} must not be empty.")
    project.study_file(study)
    with holding(study):
        return _sign(study, texts["name"], texts["role"], items, _line(note), on or datetime.date.today())


def _sign(study: str, name: str, role: str, checked: tuple[str, ...], note: str, on: datetime.date) -> SignOff:
    run = good_run(study)
    manifest = read_manifest(run)
    if altered := altered_file(run, manifest):
        raise ProjectError(f"'{study}' cannot be signed off: {altered}. Run the study again: evaluation run {study}")
    given = SignOff(name, role, checked, note, on.isoformat(), manifest_hash(manifest), outputs_hash(manifest))
    for folder in _same_run(study, run, given.manifest):
        append_signoffs(folder, [given])
    return given


def _line(text: str) -> str:
    return " ".join(str(text).split())


def _same_run(study: str, run: Path, signed: str) -> list[Path]:
    published = project.project_root() / "outputs" / "reference" / study
    if published == run or not (published / MANIFEST).is_file():
        return [run]
    return [run, published] if manifest_hash(read_manifest(published)) == signed else [run]


def append_signoffs(folder: Path, given: Iterable[SignOff]) -> None:
    """Append sign-offs that a folder does not hold yet; what stands there stays as it is, to the letter.

    Raises
    ------
    ProjectError
        Where the file that is there cannot be read, or the folder cannot be written.
    """
    file = folder / SIGNOFF
    there = read_signoffs(folder)
    entries = [sign for sign in given if sign not in there]
    if not entries:
        return
    before = file.read_text(encoding="utf-8") if there else "signoffs:\n"
    dash = _DASH.search(before)
    text = before.rstrip("\n") + "\n" + textwrap.indent(_yaml(entries), dash[1] if dash else "")
    if not _reads_as(text, [*there, *entries]):
        raise ProjectError(
            f"{SIGNOFF} of '{folder.name}' does not end with its list of sign-offs, so nothing can be appended. "
            "Move 'signoffs:' to the end of the file."
        )
    replace_file(file, text.encode("utf-8"))


def _reads_as(text: str, expected: Sequence[SignOff]) -> bool:
    try:
        return _signoffs(YAML(typ="safe", pure=True).load(text)) == tuple(expected)
    except (YAMLError, ValidationError):
        return False


def _yaml(entries: Sequence[SignOff]) -> str:
    content = [
        {
            "name": sign.name,
            "role": sign.role,
            "checked": list(sign.checked),
            "note": sign.note,
            "date": datetime.date.fromisoformat(sign.date),
            "manifest": sign.manifest,
            "outputs": sign.outputs,
        }
        for sign in entries
    ]
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.allow_unicode = True
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 10_000
    text = io.StringIO()
    writer.dump(content, text)
    return text.getvalue()


def read_signoffs(run: Path) -> tuple[SignOff, ...]:
    """Return the sign-offs of a run folder, in the order in which they were given; none without a file.

    Raises
    ------
    ProjectError
        Every fault of a file that was edited by hand: place, what came, what was expected.
    """
    file = Path(run) / SIGNOFF
    if not file.is_file():
        return ()
    try:
        return _signoffs(project.read_yaml(file))
    except ValidationError as error:
        faults = "; ".join(faults_of(error, list(_Entry.model_fields)))
        raise ProjectError(f"{SIGNOFF} of '{file.parent.name}': {faults}. Correct the file, or take it away.") from None


def _signoffs(content: Any) -> tuple[SignOff, ...]:
    return tuple(
        SignOff(one.name, one.role, tuple(one.checked), one.note, one.date.isoformat(), one.manifest, one.outputs)
        for one in _File.model_validate(content).signoffs
    )
