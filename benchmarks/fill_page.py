"""Put the tables of the result files into README.md, each behind its mark ``<!-- table:name -->``.

Run ``python benchmarks/fill_page.py`` after a benchmark has written its file. A mark whose file is not there keeps what
stands behind it. A test holds the page against the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
#: How a share of rejections is printed, by its verdict.
SHOWN = {"holds": "{:.1f}", "conservative": "*{:.1f}*", "too often": "**{:.1f}**"}


def written(path: Path) -> str:
    """Return a table that the benchmark itself wrote in Markdown."""
    return path.read_text(encoding="utf-8")


def size(path: Path) -> str:
    """Return how often each rule rejects a true null, in per cent: rules by designs; bold too often, slanted seldom."""
    found = pd.read_csv(path)
    designs = list(dict.fromkeys(found["design"]))
    lines = [f"| rule | {' | '.join(designs)} |", f"|---|{'---:|' * len(designs)}"]
    for rule in sorted(found["rule"].unique()):
        rows = found[found["rule"] == rule].set_index("design")
        lines.append(f"| {rule} | {' | '.join(_share(rows, design) for design in designs)} |")
    return "\n".join(lines) + "\n"


def _share(rows: pd.DataFrame, design: str) -> str:
    if design not in rows.index:
        return ""
    verdict = str(rows["verdict"][design])
    return "–" if verdict == "refused" else SHOWN[verdict].format(100 * float(rows["rejected"][design]))


#: What stands behind a mark: the file, and how it is read.
SOURCES: dict[str, tuple[Path, Callable[[Path], str]]] = {
    "survey": (HERE / "survey" / "table.md", written),
    "comparison": (HERE / "comparison" / "table.md", written),
    "impact": (HERE / "impact" / "table.md", written),
    "impact size": (HERE / "impact" / "size.csv", size),
    "workflow": (HERE / "workflow" / "table.md", written),
}


def filled(page: str) -> str:
    """Return the page with the tables of the files that are there."""
    for name, (path, read) in SOURCES.items():
        mark = f"<!-- table:{name} -->\n\n"
        if mark not in page:
            raise SystemExit(f"README.md has no mark '{mark.strip()}'; put it where the table belongs.")
        if path.exists():
            start = page.index(mark) + len(mark)
            end = start + re.match(r"(?:[^\n]+\n)+", page[start:]).end()  # type: ignore[union-attr]
            page = page[:start] + read(path) + page[end:]
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
