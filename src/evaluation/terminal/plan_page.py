"""What would run and why, step by step, before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group as Page
from rich.text import Text

from evaluation.study.cache import Preview
from evaluation.study.plan import Plan, PlannedStep
from evaluation.terminal.reasons import shared_reasons, spelt_reasons
from evaluation.terminal.sheet import Sheet, glued
from evaluation.terminal.spelling import counted, listed, padded, short_name, widest

_STYLES = {"run": "cyan", "cached": "green", "depends": "yellow", "skipped": "yellow"}
_STATE = max(len(state) for state in _STYLES)
#: Instances that are named before the rest is counted.
_SHOWN = 8
#: Reasons that are told where the instances of a step differ.
_REASONS = 8


def plan_page(
    plan: Plan,
    previews: Sequence[Preview],
    places: Mapping[str, str] | None = None,
    *,
    width: int | None = None,
    verbose: bool = False,
) -> Page:
    """Return what would become of each step.

    Parameters
    ----------
    plan : Plan
        From ``plan_study``.
    previews : sequence of Preview
        From ``Cache.preview``; empty where the study would be skipped.
    places : mapping of str to str, optional
        Words for instances, from ``places_of``.
    width : int, optional
        Columns of the terminal; without it lines are not broken.
    verbose : bool
        Fold nothing, and print notebooks, needs and parameters.

    Returns
    -------
    rich.console.Group
        The instances of a matrix take one line, unless they differ; the counts add up to all notebooks.
    """
    sheet = Sheet(width)
    known = {preview.step: preview for preview in previews}
    skipped = Preview("", "run", ()) if not plan.skipped else None
    found = [(step, known.get(step.name, skipped)) for step in plan.steps]
    part = "" if plan.complete else ", only a part of the study"
    if plan.skipped:
        sheet.write(f"every step will be skipped: {plan.skipped}")
    else:
        counts: Counter[str] = Counter(preview.state for _, preview in found if preview)
        sheet.write(f"{plan.study}: {counted(len(found), 'notebook')}{part}; {_spelt(counts)}", style="bold")
    groups: dict[str, list[tuple[PlannedStep, Preview | None]]] = {}
    for step, preview in found:
        groups.setdefault(step.step, []).append((step, preview))
    names = widest([_name(group) for group in groups.values()], max(8, (width or 80) // 3))
    for group in groups.values():
        _tell_group(sheet, group, names, places or {}, verbose)
    return sheet.page()


def _spelt(counts: Mapping[str, int]) -> str:
    words = {"run": "to run", "cached": "cached", "depends": "to run only if what they need changes"}
    return ", ".join(f"{counts[state]:,} {word}" for state, word in words.items() if counts.get(state))


def _name(group: Sequence[tuple[PlannedStep, Preview | None]]) -> str:
    step = group[0][0]
    return f"{step.step} ({len(group):,})" if step.label else step.step


def _tell_group(
    sheet: Sheet,
    group: Sequence[tuple[PlannedStep, Preview | None]],
    names: int,
    places: Mapping[str, str],
    verbose: bool,
) -> None:
    kinds: dict[tuple[str, tuple[str, ...]], list[PlannedStep]] = {}
    for step, preview in group:
        key = (preview.state, preview.why) if preview else ("skipped", ())
        kinds.setdefault(key, []).append(step)
    lead = padded(_name(group), names)
    if len(kinds) == 1:
        ((state, why),) = kinds
        sheet.write(_line(lead, state, spelt_reasons(why, full=verbose)), hang=names + _STATE + 4)
    else:
        counts: Counter[str] = Counter(preview.state if preview else "skipped" for _, preview in group)
        sheet.write(f"{lead}  {', '.join(f'{number:,} {state}' for state, number in counts.items())}")
        _tell_differing(sheet, group, places, verbose)
    if verbose:
        _tell_parameters(sheet, [step for step, _ in group])


def _tell_differing(
    sheet: Sheet,
    group: Sequence[tuple[PlannedStep, Preview | None]],
    places: Mapping[str, str],
    verbose: bool,
) -> None:
    """Tell each instance once, with all of its reasons: the numbers of the lines add up."""
    found = [(step, preview) for step, preview in group if preview]
    lines: list[tuple[str, tuple[str, ...], list[PlannedStep]]] = []
    states: list[str] = list(dict.fromkeys(preview.state for _, preview in found))
    for state in states:
        verdicts = [(step, preview.why or ("",)) for step, preview in found if preview.state == state]
        lines += [(state, why, steps) for why, steps in shared_reasons(verdicts)]
    for state, why, steps in lines if verbose else lines[:_REASONS]:
        titles = [
            glued(f"{step.label or step.name} {short_name(places.get(step.name, ''))}".rstrip()) for step in steps
        ]
        who = listed(titles, shown=len(titles) if verbose else _SHOWN)
        reason = f"{spelt_reasons(why, full=verbose)} ({len(steps):,}): {who}".lstrip()
        sheet.write(_line("  ", state, reason), hang=_STATE + 4)
    rest = sum(len(steps) for _, _, steps in lines[_REASONS:])
    if rest and not verbose:
        sheet.write(f"and {counted(rest, 'further notebook')} for other reasons (-v tells them)", indent=4)


def _line(lead: str, state: str, reason: str) -> Text:
    line = Text(f"{lead}  ") + Text(padded(state, _STATE), style=_STYLES[state]) + Text(f"  {reason}")
    line.rstrip()
    return line


def _tell_parameters(sheet: Sheet, steps: Sequence[PlannedStep]) -> None:
    first = steps[0]
    needs = dict.fromkeys(need.partition("/")[0] for need in first.needs)
    after = f", after {', '.join(needs)}" if needs else ""
    sheet.write(f"notebooks/{first.notebook}.ipynb, {counted(first.cells, 'cell')}{after}", indent=2)
    for name, value in first.parameters.items():
        values = dict.fromkeys(repr(step.parameters[name]) for step in steps)
        shown = repr(value) if len(values) == 1 else f"each of {listed(values)}"
        origin = "" if name in first.given else "  (default)"
        help_text = f"  # {first.declared[name].help}" if first.declared[name].help else ""
        sheet.write(f"{name} = {shown}{origin}{help_text}", indent=4)
