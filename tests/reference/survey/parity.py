"""How near the workbench comes to R survey, by capability.

``python tests/reference/survey/parity.py`` writes PARITY.md.
The test beside it holds the stored table against what is computed, and never writes it.
"""

import math
from pathlib import Path

from answers.comparing import ERROR, ESTIMATE
from answers.items import ITEMS, ON_PURPOSE

STORED = Path(__file__).with_name("PARITY.md")
#: Differences below this are the noise of floating-point numbers, and change with the machine.
NOISE = -10

HEAD = f"""# Parity with R survey

What R 4.2.2 with `survey` 4.1-1 says in the {len(ITEMS)} items of `expected.json`, held against the public verbs of
the workbench. A number agrees when it is within {ESTIMATE:g} of R's, relative to it (estimates, weights, coefficients),
or within {ERROR:g} (standard errors, covariances relative to both standard errors, intervals, statistics, p-values;
those below 1e-9 by their logarithms). The worst difference of a capability is given by the power of ten that it stays
below; `≤ 1e-10` is the noise of floating-point numbers.

Made by `python tests/reference/survey/parity.py`; `test_parity.py` beside it fails when the table no longer holds.

| capability | items | numbers | worst relative difference | tolerance |
|---|---:|---:|---:|---:|
"""

CONVENTIONS = """
## What is meant by the same

- **Weighting and its variance**: the items follow R's order of projections, which is `linearization="r"`. The default
  of the workbench is the exact derivative of the final estimate in the design weights, which is another number after
  raking or several steps (`tests/reference/test_api.py`, `tests/peers`).
- **Several variables at once**: R leaves out whoever lacks one of them, `listwise=True`; by default each variable
  keeps its own respondents.
- **Degrees of freedom**: R takes normal intervals by default and t intervals where asked; the items hold both. Ours are
  t intervals on the degrees of freedom of the domain.
- **Logistic and Poisson regression**: R takes the information matrix of its last step but one, so standard errors
  agree to about 1e-8 and no further.
- **Quantiles without intervals** (`quantile_rules`): the items hold the first four of five probabilities under the
  headings `quantile`, `lower`, `upper`, `se`.
- **Rank test of several groups**: R swaps the headings `df` and `Chisq`, and prints F times its numerator's degrees of
  freedom as `Chisq`. Ties are ranked in the order of rows, which is `ties="rows"`; ours do not depend on that order.
- **`lincom` and `saddlepoint`**: R without its package CompQuadForm takes a saddlepoint approximation for both; a
  design with `linearization="r"` does so too.
- **Lonely PSUs**: `certainty` is `remove`, `adjust` is `centre`. Totals under `adjust` are those of survey 4.5 (and
  Stata): 4.1-1 centres a lone PSU at zero. The Wilson intervals, too, are those of 4.5.
"""


def rows():
    """Return one row for each capability: its name, items, numbers, worst difference and tolerance."""
    by_capability = {}
    for item in ITEMS:
        by_capability.setdefault(item.capability, []).append(item)
    return [_row(name, items) for name, items in sorted(by_capability.items())]


def _row(name, items):
    found = [each for item in items for each in item.differences]
    tolerances = sorted({each.tolerance for each in found if not isinstance(each.expected, str)} or {0.0})
    told = ", ".join("exact" if tolerance == 0 else f"{tolerance:g}" for tolerance in tolerances)
    return name, len(items), len(found), max(each.relative for each in found), told


def ceiling(worst):
    """Return the power of ten that a difference stays below.

    >>> ceiling(0.0), ceiling(3e-9), ceiling(1e-7)
    ('≤ 1e-10', '≤ 1e-08', '≤ 1e-07')
    """
    power = NOISE if worst == 0 else max(NOISE, math.ceil(math.log10(worst)))
    return f"≤ 1e{power:03d}"


def explained():
    """Return a sentence for each difference that is not R's last digit."""
    looser = {}
    for item in ITEMS:
        tolerance, reason = item.looser
        if tolerance:
            looser.setdefault((item.capability, tolerance, reason), []).append(item.id)
    lines = [
        f"- `{capability}` ({_ids(ids)}): held to {tolerance:g}, since {reason}."
        for (capability, tolerance, reason), ids in looser.items()
    ]
    lines += [f"- `{id}`, `{part}`: another number on purpose; {reason}." for id, (part, reason) in ON_PURPOSE.items()]
    return "\n".join(["\n## Differences\n", *lines, ""])


def _ids(ids):
    return ", ".join(ids) if len(ids) <= 3 else f"{len(ids)} items"


def report(table):
    """Return the whole of PARITY.md for a table of rows."""
    lines = [
        f"| {name} | {items} | {numbers:,} | {ceiling(worst)} | {tolerance} |"
        for name, items, numbers, worst, tolerance in table
    ]
    total = f"| **all** | **{len(ITEMS)}** | **{sum(row[2] for row in table):,}** | | |"
    return HEAD + "\n".join([*lines, total]) + "\n" + explained() + CONVENTIONS


if __name__ == "__main__":
    STORED.write_text(report(rows()), encoding="utf-8")
    print(f"wrote {STORED.name}")
