"""The Korean font of every figure: found without importing its package, registered without changing a setting."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from matplotlib import font_manager

from evaluation.errors import ProjectError

#: Our own name for NanumGothic, so that another copy on the machine does not change the pictures;
#: DejaVu Sans, which comes with matplotlib, lends what it lacks, such as the minus sign U+2212.
FONTS = ("NanumGothic of the workbench", "DejaVu Sans")
FONT_PACKAGE = "koreanize_matplotlib"
FONT_FILES = ("NanumGothic.ttf", "NanumGothicBold.ttf")


@functools.cache
def font_files() -> tuple[Path, ...]:
    """Return the files of the Korean font, regular and bold; found without importing their package.

    Raises
    ------
    ProjectError
        Where the package is not installed.
    """
    found = importlib.util.find_spec(FONT_PACKAGE)
    folder = Path(found.origin).parent / "fonts" if found is not None and found.origin else None
    files = tuple(folder / name for name in FONT_FILES) if folder is not None else ()
    if not files or not all(file.is_file() for file in files):
        raise ProjectError(f"the font files {', '.join(FONT_FILES)} are not installed. Set up again: python3 run.py")
    return files


@functools.cache
def register_fonts() -> None:
    """Make the Korean font known to matplotlib in this process; changes no setting."""
    for file, weight in zip(font_files(), (400, 700), strict=True):
        entry = font_manager.FontEntry(fname=str(file), name=FONTS[0], weight=weight, size="scalable")
        font_manager.fontManager.ttflist.append(entry)
