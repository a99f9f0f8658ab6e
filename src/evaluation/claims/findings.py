"""What recomputing finds about a claim: its checks, its counts, other sources, what became of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from evaluation.claims.arithmetic import counts_behind, needed_sample_size, share_of_others
from evaluation.claims.expressions import Checked, Names, evaluate, names_in, number_shown
from evaluation.claims.facts import Fact
from evaluation.claims.register import Against, Claim, Judged
from evaluation.claims.words import FOUND, MISSING
from evaluation.errors import ClaimError

#: Design effect at which the needed sample size is told beside that of a simple random sample.
CLUSTERED = 1.5

_HELD = {"holds": "arithmetic holds", "fails": "arithmetic fails", "rounds": "rounded"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found about a claim.

    Attributes
    ----------
    key : str
        A key of ``words.FOUND``; empty for a number that is merely told.
    text : tuple of (str, str)
        The numbers behind it, in Korean and in English.
    """

    key: str
    text: tuple[str, str]


@dataclass(frozen=True)
class Gap:
    """Two shares that were printed side by side, and what it would take for their difference to mean something.

    Attributes
    ----------
    claim_id, quote : str
        The claim.
    sides : tuple of (Fact, Fact)
        The participants' share and what it is held against.
    n_simple, n_clustered : int
        How many participants put their share clear of the other figure, in a simple random sample and at a design
        effect of ``CLUSTERED``.
    others : tuple of (float, float)
        For each assumed part of the population that took part, in per cent: what the figure then says of the others.
    missing : tuple of str
        Which facts would settle it: keys of ``words.MISSING``.
    """

    claim_id: str
    quote: str
    sides: tuple[Fact, Fact]
    n_simple: int
    n_clustered: int
    others: tuple[tuple[float, float], ...]
    missing: tuple[str, ...]

    @property
    def difference(self) -> float:
        """First side minus second, in percentage points."""
        return float(self.sides[0].named.value - self.sides[1].named.value)

    @property
    def key(self) -> str:
        """What differs between the two sides, as a key of ``words.FOUND``."""
        one, other = self.sides
        differs = (["two questions"] if one.question != other.question else []) + (
            ["two populations"] if one.population != other.population else []
        )
        return ", ".join(differs) or "same question, same population"


def findings(claim: Claim, names: Names, facts: Mapping[str, Fact]) -> tuple[Finding, ...]:
    """Return everything that can be computed about a claim, the gravest first.

    Parameters
    ----------
    claim : Claim
        Of a judged register.
    names : mapping
        Every number that its checks may name.
    facts : mapping
        Published facts.

    Returns
    -------
    tuple of Finding
        Never empty: where nothing can be held against anything, "not checkable".
    """
    judged = claim.judged
    if judged is None:
        return ()
    made = [_of_check(evaluate(check, names)) for check in judged.checks]
    made += [_of_relation(against, names) for against in judged.against if against.relation != "gap"]
    gap = gap_of(claim, names, facts)
    made += [] if gap is None else [*_misquoted(gap, names), _of_gap(gap)]
    if gap is None and judged.base:
        made.append(_of_base(claim.printed, judged.base))
    if judged.kind == "plan" and not any(against.relation == "outcome" for against in judged.against):
        made.append(Finding("plan, outcome unknown", ("", "")))
    if not any(finding.key for finding in made):
        made.append(Finding("not checkable", ("", "")))
    order = list(FOUND)
    return tuple(sorted(made, key=lambda finding: order.index(finding.key) if finding.key else len(order)))


def _of_check(checked: Checked) -> Finding:
    return Finding(_HELD.get(checked.held, ""), (checked.text, checked.text))


def _of_relation(against: Against, names: Names) -> Finding:
    left, right = (_value(side, names) for side in (against.left, against.right))
    texts = [_sides(against, names, at) for at in (0, 1)]
    equal = left == right
    if against.relation == "outcome":
        korean, english = texts
        key = "plan met" if equal else "plan not met"
        return Finding(key, (f"계획 {korean[0]}, 실제 {korean[1]}", f"planned {english[0]}, in fact {english[1]}"))
    key = {"same": "agrees", "other": "duplicated number"}[against.relation] if equal else "contradicted"
    if against.relation == "other" and not equal:
        key = "arithmetic holds"
    sign = "=" if equal else "≠"
    return Finding(key, (f"{texts[0][0]} {sign} {texts[0][1]}", f"{texts[1][0]} {sign} {texts[1][1]}"))


def _value(expression: str, names: Names) -> Fraction:
    value = evaluate(expression, names).value
    if value is None:  # the register refuses it; here for one that was made by hand
        raise ClaimError(f"against '{expression}' compares; it must be one number.")
    return value


def _sides(against: Against, names: Names, tongue: int) -> tuple[str, str]:
    """Return both numbers, each with who says so; by their names where one source says both."""
    sides = (against.left, against.right)
    said = [_sources(side, names, tongue) for side in sides]
    if said[0] == said[1]:
        said = [", ".join(names_in(side)) for side in sides]
    texts = [evaluate(side, names).text for side in sides]
    one, other = (f"{text} ({who})" if who else text for text, who in zip(texts, said, strict=True))
    return one, other


def _sources(expression: str, names: Names, tongue: int) -> str:
    return ", ".join(dict.fromkeys(names[name][0].source[tongue] for name in names_in(expression)))


def _of_base(printed: str, base: str) -> Finding:
    number, assumed = int(base.rstrip("?")), base.endswith("?")
    counts = counts_behind(printed, number)
    if not counts:
        return Finding(
            "no count", (f"{number} 가운데 {printed}인 개수 없음", f"no count of {number} prints as {printed}")
        )
    if len(counts) > 1:
        between = f"{counts[0]}–{counts[-1]} / {number} ≈ {printed}"
        return Finding("several counts", (between, between))
    exact = f"{counts[0]} / {number} = {100 * counts[0] / number:.2f}%"
    return Finding("count found if the base is right" if assumed else "count found", (exact, exact))


def gap_of(claim: Claim, names: Names, facts: Mapping[str, Fact]) -> Gap | None:
    """Return the gap that a claim prints, or None where it prints none.

    Raises
    ------
    ClaimError
        Where a side is no published fact that says what was asked of whom.
    """
    judged = claim.judged
    relations = [against for against in judged.against if against.relation == "gap"] if judged else []
    if judged is None or not relations:
        return None
    one, other = (_asked(claim, side, facts) for side in (relations[0].left, relations[0].right))
    share, benchmark = (float(side.named.value) for side in (one, other))
    needed = [needed_sample_size(share / 100, benchmark / 100, deff) for deff in (1.0, CLUSTERED)]
    parts = [100 * float(_value(item, names)) for item in _parts_that_took_part(judged)]
    others = tuple((part, share_of_others(share, benchmark, part / 100)) for part in parts)
    return Gap(claim.claim_id, judged.quote, (one, other), needed[0], needed[1], others, judged.missing)


def _parts_that_took_part(judged: Judged) -> Iterable[str]:
    return (item.strip() for item in judged.base.split(";") if item.strip())


def _asked(claim: Claim, side: str, facts: Mapping[str, Fact]) -> Fact:
    fact = facts.get(side)
    if fact is None or not fact.question:
        raise ClaimError(f"claim '{claim.claim_id}': '{side}' is no published fact that says what was asked of whom. "
                         "Add it to the facts, with question and population.")  # fmt: skip
    return fact


def _misquoted(gap: Gap, names: Names) -> list[Finding]:
    """Return the sides of a gap whose printed number is not the one that its source gives."""
    pairs = zip(names[gap.claim_id], gap.sides, strict=False)
    wrong = [(printed, side.named) for printed, side in pairs if printed.value != side.named.value]
    texts = [
        [f"{one.shown} ({one.source[at]}) ≠ {other.shown} ({other.source[at]})" for at in (0, 1)]
        for one, other in wrong
    ]
    return [Finding("contradicted", (korean, english)) for korean, english in texts]


def _of_gap(gap: Gap) -> Finding:
    one, other = (side.named.shown for side in gap.sides)
    points = number_shown(gap.sides[0].named.value - gap.sides[1].named.value)
    korean = f"{one} − {other} = {points}%p. {' '.join(size_words(gap, 'ko'))}"
    english = f"{one} − {other} = {points} points. {' '.join(size_words(gap, 'en'))}"
    return Finding(gap.key, (korean, english))


def size_words(gap: Gap, lang: str) -> tuple[str, ...]:
    """Say how many respondents the gap needs, and what removing the participants from the other figure changes."""
    other = gap.sides[1].named.shown
    if lang == "ko":
        told = [
            f"참여자 {gap.n_simple:,}명(설계효과 {CLUSTERED:g}이면 {gap.n_clustered:,}명)이면 우연이라고 보기 어렵다."
        ]
        parts = ", ".join(f"{_short(value)}(참여율 {_short(part, 1)}%)" for part, value in gap.others)
        return (*told, *([f"{other}에서 참여자를 빼도 {parts}."] if parts else []))
    told = [
        f"{gap.n_simple:,} participants ({gap.n_clustered:,} at a design effect of {CLUSTERED:g}) "
        "would rule out chance."
    ]
    parts = " or ".join(f"{_short(value)} (if {_short(part, 1)}% took part)" for part, value in gap.others)
    return (*told, *([f"Without the participants in it, {other} is still {parts}."] if parts else []))


def missing_words(missing: Iterable[str], lang: str) -> str:
    """Return what would settle a claim, as one line."""
    return "; ".join(MISSING[item][0 if lang == "ko" else 1] for item in missing)


def _short(value: float, places: int = 2) -> str:
    return f"{value:.{places}f}".rstrip("0").rstrip(".")
