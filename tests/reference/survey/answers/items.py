"""The items, and who answers them."""

import json
from dataclasses import dataclass
from functools import cached_property

from answers import distributions, hypotheses, imputation, means, regression, replicates, weighting
from answers.comparing import differences
from answers.designs import FOLDER, Setting
from answers.language import Name, read

#: By the outermost function of the R call.
GROUPS = (means, distributions, hypotheses, regression, weighting, replicates, imputation)
ANSWERS = {function: answer for group in GROUPS for function, answer in group.ANSWERS.items()}
#: Where R's own number is good for less, and why.
LOOSER = {
    "ordinal_regression": (
        5e-4,
        "R's optimiser stops when the likelihood changes by less than 1e-8 of itself, and its standard errors come "
        "from numerical second derivatives: that of mobility is 4e-4 off, and agrees to 1e-6 when mobility is divided "
        "by 30",
    ),
    "ci_proportion: likelihood": (1e-4, "R searches the limits of a likelihood interval to four digits"),
    "chisq: lincom": (1e-4, "R's tail of a sum of chi-squares is an approximation"),
    "chisq: saddlepoint": (1e-4, "R's saddlepoint is found by a search that stops early"),
}
#: Where another answer than R's is given on purpose: the part of it, and why.
ON_PURPOSE = {
    "dev_101": (
        "ci95",
        "everybody in the domain says yes: a logit interval does not exist there and ours has no limits; R's, from 1 "
        "less 4e-12 to 1 less 2e-12, is where its iteration stops",
    ),
    "dev_102": (
        "ci95",
        "everybody in the domain says yes: R has no limits, ours are those of Clopper and Pearson for the number of "
        "respondents",
    ),
    "dev_422": (
        "ci95",
        "with missing answers R divides the weights of the likelihood by the mean weight of everybody, those of its "
        "correction by that of those who answered, 1.114 times as much, which widens the interval; where they are "
        "taken out by subset() first, R's interval is ours",
    ),
}


@dataclass(frozen=True)
class Item:
    """One R call with everything that it gave."""

    id: str
    capability: str
    R_call: str
    expect: dict
    note: str = ""
    design: str = ""

    @cached_property
    def call(self):
        return read(self.R_call)

    @property
    def function(self):
        """The outermost function, or the design that stands alone."""
        return "design" if isinstance(self.call, Name) else self.call.function

    @property
    def looser(self):
        """The tolerance that R's own number imposes, and why; nothing where the general one holds."""
        for about, reason in LOOSER.items():
            capability, _, option = about.partition(": ")
            if self.capability == capability and option in self.R_call:
                return reason
        return (0.0, "")

    @cached_property
    def answer(self):
        """What the workbench says, in the shape of what R said."""
        return ANSWERS[self.function](self.call, Setting(self.call))

    @cached_property
    def differences(self):
        """The difference at every number that is to be R's."""
        part, _ = ON_PURPOSE.get(self.id, ("", ""))
        expected = {name: value for name, value in self.expect.items() if name != part}
        return differences(self.answer, expected, self.looser[0])


ITEMS = [Item(**item) for item in json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))["items"]]
