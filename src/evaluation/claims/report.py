"""Every claim of a study with its verdict, as a frame, as text and as a table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from evaluation import project, wording
from evaluation.claims.facts import facts_file, read_facts
from evaluation.claims.layout import (
    Headline,
    headline_lines,
    headline_of,
    judged_table,
    judged_text,
    leading_gap,
    section_of,
    why,
)
from evaluation.claims.numbers import published_contents
from evaluation.claims.register import named_numbers, read_claims
from evaluation.claims.verdicts import ClaimCheck, Verdict, check_claim
from evaluation.claims.words import DECLARED, FOUND, SECTIONS, found
from evaluation.publication import read_estimates
from evaluation.sentences import Statement
from evaluation.tables import Table

_DIFFERS_BY = re.compile(r"differs by (?P<units>\S+) printed units")


@dataclass(frozen=True)
class ClaimsReport:
    """Every claim of a study with its verdict.

    Attributes
    ----------
    study : str
        Id of the study.
    checks : tuple of ClaimCheck
        In the order of the register.
    """

    study: str
    checks: tuple[ClaimCheck, ...]

    @property
    def all_reproduced(self) -> bool:
        """Whether every claim that is marked as reproducible was, and every finding is what the register says."""
        return not any(check.is_open for check in self.checks)

    @property
    def is_judged(self) -> bool:
        """Whether the register says more of its claims than where their numbers lie in a run."""
        return any(check.claim.judged is not None for check in self.checks)

    def counts(self) -> dict[str, int]:
        """Return how many claims got which verdict, in a fixed order; every "differs by" counts as "differs"."""
        kinds = ["differs" if check.verdict.startswith("differs") else check.verdict for check in self.checks]
        order = dict.fromkeys((*FOUND, *DECLARED, *get_args(Verdict)))
        return {verdict: kinds.count(verdict) for verdict in order if verdict in kinds}

    def conclusion(self) -> str:
        """Return in one English line whether the review is passed."""
        open_ids = [check.claim.claim_id for check in self.checks if check.is_open]
        if self.is_judged:
            return (
                f"NOT as the register says: {len(open_ids)} of {len(self.checks)} claims: {shortened(open_ids)}"
                if open_ids
                else f"All {len(self.checks)} claims turn out as the register says."
            )
        marked = sum(check.claim.reproducible for check in self.checks)
        return (
            f"NOT reproduced: {len(open_ids)} of {marked} claims marked as reproducible: {shortened(open_ids)}"
            if open_ids
            else f"All {marked} claims marked as reproducible are reproduced."
        )

    def headline(self, lang: str | None = None) -> Headline | Statement:
        """Say of the widest gap between figures that are not alike, in five lines, why it proves nothing.

        Parameters
        ----------
        lang : {"ko", "en"}, optional
            Default: the language of the project.

        Returns
        -------
        Headline or Statement
            What was asked of whom, and what would settle it; without any such gap, the verdict.
        """
        lang = project.language() if lang is None else lang
        gap = leading_gap(self.checks)
        return self.verdict(lang) if gap is None else headline_of(gap, lang)

    def tidy(self) -> pd.DataFrame:
        """Return one row per claim: printed, reproduced, verdict, difference in printed units, tolerance, address."""
        rows = [
            {
                "claim_id": check.claim.claim_id,
                "where": check.claim.where,
                "printed": check.claim.printed,
                "reproduced": check.reproduced,
                "verdict": check.verdict,
                "difference": math.nan if check.difference is None else check.difference,
                "tolerance": math.nan if check.tolerance is None else check.tolerance,
                "address": "" if check.claim.address is None else str(check.claim.address),
                "reason": check.reason,
                **_judged_cells(check),
            }
            for check in self.checks
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return the claims as a plain English text table, below it the reasons and the counts."""
        if self.is_judged:
            return judged_text(self.checks, (self._sections("en"),), "en")
        table = self.tidy()[["claim_id", "printed", "reproduced", "verdict", "tolerance"]]
        text = table.assign(tolerance=[f"{value:g}" for value in table["tolerance"]]).to_string(index=False)
        told = "\n".join(self._reasons("en"))
        return "\n\n".join(part for part in (text, told, str(self.verdict("en"))) if part)

    def verdict(self, lang: str | None = None) -> Statement:
        """Say how many claims got which verdict, and which remain open; of a judged register, its headline first.

        Parameters
        ----------
        lang : {"ko", "en"}, optional
            Default: the language of the project.
        """
        lang = project.language() if lang is None else lang
        if self.is_judged:
            gap = leading_gap(self.checks)
            return Statement((*(headline_lines(gap, lang)[:1] if gap else ()), self._sections(lang)))
        counts = [(wording.term(kind, lang), number) for kind, number in self.counts().items()]
        open_ids = [check.claim.claim_id for check in self.checks if check.is_open]
        if lang == "ko":
            told = ", ".join(f"{kind} {number}건" for kind, number in counts)
            rest = f"남은 주장: {shortened(open_ids, lang=lang)}." if open_ids else "남은 주장 없음."
            return Statement((f"주장 {len(self.checks)}건: {told or '없음'}. {rest}",))
        told = ", ".join(f"{number} {kind}" for kind, number in counts)
        rest = f"Open: {shortened(open_ids)}." if open_ids else "None remains open."
        return Statement((f"{len(self.checks)} claims: {told or 'none'}. {rest}",))

    def as_table(self, lang: str) -> Table:
        """Return the claims as a table, grouped by where they were printed; what remains open comes first."""
        if self.is_judged:
            return judged_table(self.checks, self.tidy(), (self._sections(lang),), lang)
        ordered = sorted(self.checks, key=lambda check: (not check.is_open, check.verdict == "reproduced"))
        sections: dict[tuple[bool, str], list[ClaimCheck]] = {}
        for check in ordered:
            sections.setdefault((check.verdict == "reproduced", check.claim.where), []).append(check)
        checks = [check for section in sections.values() for check in section]
        cells = {
            "claim": [check.claim.claim_id for check in checks],
            "printed": [check.claim.printed for check in checks],
            "recomputed": [check.reproduced or wording.ABSENT for check in checks],
            "verdict": [_verdict_words(check, lang) for check in checks],
        }
        names = [wording.term(name, lang) for name in cells]
        return Table(
            title=wording.term("claims", lang),
            frame=pd.DataFrame(dict(zip(names, cells.values(), strict=True)), dtype=object),
            data=self.tidy(),
            source="",
            notes=(*self._reasons(lang), str(self.verdict(lang))),
            lang=lang,
            numeric=tuple(names[1:3]),
            groups=tuple((where, len(section)) for (_, where), section in sections.items()),
        )

    def _sections(self, lang: str) -> str:
        """Return how many claims stand in which section, and which are not as the register says."""
        here = [section_of(check) for check in self.checks]
        counts = [(words[0 if lang == "ko" else 1], here.count(key)) for key, words in SECTIONS.items() if key in here]
        open_ids = [check.claim.claim_id for check in self.checks if check.is_open]
        if lang == "ko":
            told = ", ".join(f"{words} {number}건" for words, number in counts)
            rest = (
                f"주장 목록에 적힌 것과 다르게 나온 것: {shortened(open_ids, lang=lang)}."
                if open_ids
                else "모두 주장 목록에 적힌 대로임."
            )
            return f"주장 {len(self.checks)}건: {told}. {rest}"
        told = ", ".join(f"{_uncapped(words)} {number}" for words, number in counts)
        rest = f"Not as the register says: {shortened(open_ids)}." if open_ids else "All turn out as the register says."
        return f"{len(self.checks)} claims: {told}. {rest}"

    def _reasons(self, lang: str) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for check in self.checks:
            if check.reason and check.verdict != "reproduced":
                reasons.setdefault(check.reason, []).append(check.claim.claim_id)
        return [f"{shortened(ids, lang=lang)}: {reason}" for reason, ids in reasons.items()]

    def __repr__(self) -> str:
        lang = project.language()
        if self.is_judged:
            return judged_text(self.checks, (self._sections(lang),), lang)
        return repr(self.as_table(lang))

    def _repr_html_(self) -> str:
        return self.as_table(project.language())._repr_html_()


def _judged_cells(check: ClaimCheck) -> dict[str, str]:
    """Return the further columns of a judged claim."""
    judged = check.claim.judged
    if judged is None:
        return {}
    return {
        "kind": judged.kind,
        "quote": judged.quote,
        "period": judged.period,
        "declared": judged.declared,
        "computed": check.computed,
        "expected": judged.expected,
        "verdict_ko": found(check.verdict, "ko"),
        "why_ko": why(check, "ko"),
        "why_en": why(check, "en"),
        "source": judged.source,
    }


def _uncapped(text: str) -> str:
    return text[:1].lower() + text[1:]


def _verdict_words(check: ClaimCheck, lang: str) -> str:
    """Return the verdict in the language; how far off it is stands in its code."""
    found_words = _DIFFERS_BY.fullmatch(check.verdict)
    if found_words and lang == "ko":
        return f"인쇄 단위로 {found_words['units']}만큼 다름"
    return wording.term(check.verdict, lang)


def shortened(names: Sequence[str], most: int = 4, *, lang: str = "en") -> str:
    """Return the first names of a list and how many more there are."""
    rest = len(names) - most
    more = f" 외 {rest}건" if lang == "ko" else f" and {rest} more"
    return ", ".join(names[:most]) + (more if rest > 0 else "")


def check_claims(study: str, run_folder: Path | None = None) -> ClaimsReport:
    """Hold every printed number of a study against what a run published, against other sources and against itself.

    Parameters
    ----------
    study : str
        Id of the study; the register is ``params/claims/<study>.csv``.
    run_folder : Path, optional
        Folder with ``estimates/``; without it the folder to which the current run publishes. A
        notebook opened by hand reads what it published itself, and for the rest the last good run or
        the published one.

    Returns
    -------
    ClaimsReport
        One verdict per claim; proportions are compared in per cent where the print is in per cent.

    Raises
    ------
    ClaimError
        Where the register is missing or at fault. A number that is absent from the run is no error:
        its verdict is "not computable", and the reason names the nearest.
    """
    claims = read_claims(study)
    facts = read_facts(facts_file(study))
    names = named_numbers(claims, facts)
    estimates = published_contents(study) if run_folder is None else read_estimates(run_folder)
    return ClaimsReport(study, tuple(check_claim(claim, estimates, names, facts) for claim in claims))
