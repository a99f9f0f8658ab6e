"""What is known to have changed between two studies: the survey's ``changes.csv`` and the study's declared reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from evaluation.releases.cells import PublishedTable, Release, year_of
from evaluation.specification import PreviousStudy, Text
from evaluation.survey.changes import Change

#: Key columns that hold names of variables.
VARIABLE_KEYS = frozenset({"term", "variable", "covariate", "subgroup", "margin", "outcome", "item", "name", "row"})
#: Standard errors that a difference may measure where the study declares none.
DEFAULT_THRESHOLD = 3.0
#: What the fit of an estimate says of variables without which it would be another number.
_OF_FIT = ("outcome", "treatment", "share", "numerator", "denominator")


@dataclass(frozen=True)
class KnownChanges:
    """What is known to have changed from an old study to a new one.

    Attributes
    ----------
    old_year, new_year : str
        What the studies are about.
    lines : tuple of Change
        Of the new study's survey.
    declared : PreviousStudy
        Threshold and reasons; the defaults where the new study declares none for this old one.
    is_declared : bool
        Whether the new study names the old one under ``compared_with``.
    """

    old_year: str
    new_year: str
    lines: tuple[Change, ...]
    declared: PreviousStudy
    is_declared: bool

    @property
    def threshold(self) -> float:
        """Standard errors that a difference between two years may measure without a reason."""
        return self.declared.threshold

    @cached_property
    def renamed(self) -> dict[str, str]:
        """New names by old ones; empty where only a column of the file bears another name."""
        return {line.previous: line.variable for line in self._since("renamed") if line.previous != line.variable}

    @cached_property
    def reworded(self) -> dict[str, Text]:
        """Reasons by variable, of questions whose wording is another one in the new study."""
        return {line.variable: line.reason for line in self._since("reworded")}

    def _since(self, kind: str) -> list[Change]:
        """Return the lines of a kind that lie between the two studies, or may."""
        known = bool(self.old_year and self.new_year)
        return [
            line
            for line in self.lines
            if line.kind == kind and (not known or int(self.old_year) < line.since <= int(self.new_year))
        ]

    def revision(self, variables: Iterable[str], period: str) -> Text | None:
        """Return why the numbers of a period were revised, where ``changes.csv`` says so."""
        named = set(variables)
        for line in self.lines:
            if line.kind == "revised" and line.variable in named and str(line.period) == year_of(period):
                return line.reason
        return None

    def declared_reason(self, addresses: Iterable[str]) -> Text | None:
        """Return the reason of the first entry of ``explained`` that fits one of the addresses."""
        given = [tuple(addresses)]
        return next((entry.reason for entry in self.declared.explained if fits_any(entry.address, given)), None)


def fits_any(glob: str, addresses: Iterable[Iterable[str]]) -> bool:
    """Tell whether a glob over addresses fits one of them; spaces count as one, and ``*`` fits an empty part too.

    Examples
    --------
    >>> fits_any("trend | * | *", [("trend | stay | year=2016 | estimate",)])
    True
    >>> fits_any("balance | * | covariate=age | *", [("balance |  | covariate=age | smd",)])
    True
    """
    pattern = _pattern(_one_spaced(glob))
    return any(pattern.fullmatch(_one_spaced(text)) for texts in addresses for text in texts if text)


@lru_cache(maxsize=100_000)
def _one_spaced(text: str) -> str:
    return re.sub(r"\s*\|\s*", "|", " ".join(text.split()))


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    """Return a glob over addresses as a pattern: ``*`` any text, ``?`` one letter, all else itself."""
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", glob))
    return re.compile("".join(parts))


def known_changes(old: Release, new: Release, lines: Iterable[Change], declared: PreviousStudy | None) -> KnownChanges:
    """Put together what is known of two releases; reasons that were declared for another study do not count."""
    is_declared = declared is not None and declared.study == old.study
    usable = (
        declared
        if declared is not None and is_declared
        else PreviousStudy(study=old.study, threshold=DEFAULT_THRESHOLD)
    )
    if declared is not None and not is_declared:
        usable = usable.model_copy(update={"threshold": declared.threshold})
    return KnownChanges(old.year, new.year, tuple(lines), usable, is_declared)


def new_names(keys: tuple[tuple[str, str], ...], renamed: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the keys of a row of the old study as they read in the new one.

    Examples
    --------
    >>> new_names((("term", "stay:settle"), ("settle", "1")), {"settle": "settled"})
    (('term', 'stay:settled'), ('settled', '1'))
    """
    if not renamed:
        return keys
    return tuple(
        (renamed.get(name, name), _renamed(value, renamed) if name in VARIABLE_KEYS else value) for name, value in keys
    )


def _renamed(text: str, renamed: Mapping[str, str]) -> str:
    for old, new in renamed.items():
        text = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new.replace("\\", r"\\"), text)
    return text


def variables_of(table: PublishedTable, keys: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """Return what may be a variable that a row rests on: names in its keys, its groups, and the outcome of its fit."""
    fit = table.record.get("fit") or {}
    texts = [value for name, value in keys if name in VARIABLE_KEYS]
    texts += [str(fit[name]) for name in _OF_FIT if isinstance(fit.get(name), str)]
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    return frozenset(words | {name for name, _ in keys} | set(texts))
