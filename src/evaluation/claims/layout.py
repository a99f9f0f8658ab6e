"""How judged claims stand on a page: the one gap that matters most, then every claim with its verdict and why."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from evaluation import wording
from evaluation.claims.findings import Gap, missing_words, size_words
from evaluation.claims.verdicts import ClaimCheck
from evaluation.claims.words import DECLARED, FOUND, SECTIONS, Section, found
from evaluation.tables import Table

_WORDS = {
    "title": ("발표된 주장과 확인한 결과", "Published claims and what can be said of them"),
    "why": ("인용과 까닭", "quote and why"),
    "asked": ("질문", "asked"),
    "whom": ("대상", "people"),
    "published": ("출처", "source"),
    "share": ("비율", "share"),
    "declared": ("판단", "judgement"),
    "open": ("주장 목록에 적힌 것과 다르게 나온 것", "Not as the register expects"),
    "expects": ("주장 목록에는", "the register says"),
    "settle": ("가려내려면", "It would take"),
    "in_run": (
        "합성 명부 표본에서 응답한 사람의 값 (도시 자체는 인쇄된 수에 맞추어 만듦)",
        "among those who answered in the synthetic roster sample; the city itself is made to meet the printed figure",
    ),
}


def word(key: str, lang: str) -> str:
    """Return a word of the page."""
    return _WORDS[key][0 if lang == "ko" else 1]


@dataclass(frozen=True)
class Headline:
    """A published gap on one small page: its two sides beside each other, and what would settle it.

    Attributes
    ----------
    sentences : tuple of str
        Why it proves nothing, what was asked of whom on either side, what sample size has to do with it, and what
        would settle it: five lines.
    card : Table
        What was asked, of whom, published where; the first of the sentences is its title.
    """

    sentences: tuple[str, ...]
    card: Table = field(repr=False)

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> str:
        below = "".join(f"<p>{html.escape(line)}</p>" for line in self.sentences[3:])
        return f"{self.card._repr_html_()}\n{below}"


def headline_of(gap: Gap, lang: str) -> Headline:
    """Return a gap as it opens the review."""
    return Headline(headline_lines(gap, lang), headline_card(gap, lang))


def leading_gap(checks: Iterable[ClaimCheck]) -> Gap | None:
    """Return the widest gap between figures that are not alike, or None."""
    gaps = [check.gap for check in checks if check.gap is not None and check.gap.key.startswith("two")]
    return max(gaps, key=lambda gap: abs(gap.difference), default=None)


def headline_lines(gap: Gap, lang: str) -> tuple[str, ...]:
    """Say in five lines why a gap proves nothing, and what would settle it."""
    asked = [_asked(gap, side, lang) for side in (0, 1)]
    size = " ".join(size_words(gap, lang))
    settle = missing_words(gap.missing, lang)
    if lang == "ko":
        return (
            f"“{gap.quote}”: 아무것도 증명하지 못한다. {found(gap.key, lang).removesuffix('다름')}다르다.",
            *asked,
            f"응답자 수는 문제가 아니다: {size}",
            f"가려내려면 필요한 것: {settle}.",
        )
    return (
        f"“{gap.quote}” proves nothing: {found(gap.key, lang)}.",
        *asked,
        f"Sample size is not the problem: {size}",
        f"What would settle it: {settle}.",
    )


def _asked(gap: Gap, side: int, lang: str) -> str:
    fact, at = gap.sides[side], 0 if lang == "ko" else 1
    who = "에게" if lang == "ko" else "asked of"
    if lang == "ko":
        return f"{fact.named.shown}%: {fact.whom[at]}{who} 물은 “{fact.what[at]}”."
    return f"{fact.named.shown}%: “{fact.what[at]}”, {who} {fact.whom[at]}."


def headline_card(gap: Gap, lang: str) -> Table:
    """Return the two sides of a gap beside each other: what was asked, of whom, published where."""
    at = 0 if lang == "ko" else 1
    sides = [f"{side.named.shown}%" for side in gap.sides]
    rows = [
        [word("asked", lang), *(side.what[at] for side in gap.sides)],
        [word("whom", lang), *(side.whom[at] for side in gap.sides)],
        [word("published", lang), *(f"{side.named.source[at]} ({side.period})" for side in gap.sides)],
    ]
    frame = pd.DataFrame(rows, columns=[word("share", lang), *sides], dtype=object)
    return Table(title=headline_lines(gap, lang)[0], frame=frame, data=frame, source="", notes=(), lang=lang)


def section_of(check: ClaimCheck) -> Section:
    """Return where on the page a judged claim stands."""
    judged = check.claim.judged
    if judged is not None and judged.kind in ("gap", "attribution", "effect"):
        return "effects"
    section = (DECLARED.get(check.verdict) or FOUND[check.verdict])[2]
    return "plans" if judged is not None and judged.kind == "plan" and section != "contradictions" else section


def judged_table(checks: Sequence[ClaimCheck], data: pd.DataFrame, notes: tuple[str, ...], lang: str) -> Table:
    """Return every judged claim with its verdict and why, what matters first."""
    groups = _groups(checks, lang)
    ordered = [check for group in groups.values() for check in group]
    cells = {
        wording.term("claim", lang): [check.claim.claim_id for check in ordered],
        wording.term("verdict", lang): [_verdict_words(check, lang) for check in ordered],
        word("why", lang): [_quote_and_why(check, lang) for check in ordered],
    }
    return Table(
        title=word("title", lang),
        frame=pd.DataFrame(cells, dtype=object),
        data=data,
        source="",
        notes=notes,
        lang=lang,
        groups=tuple((heading, len(group)) for heading, group in groups.items()),
    )


def judged_text(checks: Sequence[ClaimCheck], notes: tuple[str, ...], lang: str) -> str:
    """Return the same as plain text, in lines that a terminal can show."""
    lines = [word("title", lang)]
    for heading, group in _groups(checks, lang).items():
        lines += ["", heading]
        for check in group:
            lines.append(f"  {check.claim.claim_id}  {_verdict_words(check, lang)}")
            indent = " " * 6
            lines += textwrap.wrap(_quote_and_why(check, lang), 100, initial_indent=indent, subsequent_indent=indent)
    lines += ["", *(line for note in notes for line in textwrap.wrap(note, 106))]
    return "\n".join(lines)


def _groups(checks: Sequence[ClaimCheck], lang: str) -> dict[str, list[ClaimCheck]]:
    """Return the claims by heading: first what is not as the register says, then by section."""
    groups = {word("open", lang): [check for check in checks if check.is_open]}
    for section, words in SECTIONS.items():
        here = [check for check in checks if not check.is_open and section_of(check) == section]
        groups[words[0 if lang == "ko" else 1]] = here
    return {heading: group for heading, group in groups.items() if group}


def _quote_and_why(check: ClaimCheck, lang: str) -> str:
    return f"{_quoted(check, lang)} {why(check, lang)}".strip()


def _quoted(check: ClaimCheck, lang: str) -> str:
    judged = check.claim.judged
    return "" if judged is None else f"“{judged.quote}” ({judged.short[0 if lang == 'ko' else 1]})."


def _verdict_words(check: ClaimCheck, lang: str) -> str:
    judged, words = check.claim.judged, found(check.verdict, lang)
    if judged is None:
        return words
    marked = f"{words} ({word('declared', lang)})" if judged.declared else words
    if check.computed == judged.expected:
        return marked
    return f"{found(check.computed, lang)}; {word('expects', lang)}: {found(judged.expected, lang)}"


def why(check: ClaimCheck, lang: str) -> str:
    """Return the numbers behind a verdict, then the register's reason, then what would settle it."""
    judged, at = check.claim.judged, 0 if lang == "ko" else 1
    if judged is None:
        return check.reason
    told = [finding.text[at].rstrip(".") for finding in check.found if finding.text[at]]
    parts = [_sentence("; ".join(told))] if told else []
    if judged.declared and FOUND[check.computed][2] not in ("sound", "unchecked"):
        parts.insert(0, _sentence(_capital(found(check.computed, lang))))
    parts += [_sentence(judged.reason[at])] if judged.reason[at] else []
    if check.reproduced:
        parts.append(_sentence(f"{check.reproduced}: {word('in_run', lang)}"))
    if judged.missing:
        parts.append(_sentence(f"{word('settle', lang)}: {missing_words(judged.missing, lang)}"))
    return " ".join(parts)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
