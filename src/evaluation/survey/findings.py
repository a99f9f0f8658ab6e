"""What stands against a file: gathered column by column, told at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from evaluation.survey.values import Mask


@dataclass(eq=False)
class Findings:
    """What is found while the columns are gone through.

    Attributes
    ----------
    respondents : callable
        Names the first respondents of a mask.
    declared : bool
        Whether somebody declared the codebook, so that its own faults count too.
    """

    respondents: Callable[[Mask], str]
    declared: bool
    missing: list[dict[str, object]] = field(default_factory=list)
    faults: list[dict[str, object]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def lost(self, variable: str, code: str, reason: str, rows: Mask) -> None:
        """Count values that are no answers."""
        if rows.any():
            self.missing.append({"variable": variable, "code": code, "reason": reason, "n": int(rows.sum())})

    def fault(self, variable: str, code: str, rows: Mask | None, text: str) -> None:
        """Note a contradiction; ``{rows}`` in the text becomes their number and the first five."""
        count = 0 if rows is None else int(rows.sum())
        who = self.respondents(rows) if rows is not None and count else ""
        counted = f"{count:,} row{'s' * (count != 1)}" + (f": {who}" if who else "")
        self.messages.append(f"'{variable}' {text.replace('{rows}', counted)}.")
        self.faults.append({"variable": variable, "code": code, "rows": count, "respondents": who})
