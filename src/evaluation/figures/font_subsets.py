"""The Korean font cut down to the letters that a page uses, so that it can travel with the page."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset

#: Name of the cut-down font, in its file and in style sheets.
FAMILY = "Workbench Gothic"


def font_subset(file: Path, characters: Iterable[str]) -> tuple[str, bytes]:
    """Return a font with only the letters given, as file name and content; the same bytes every time.

    It bears a name of its own, since the font's licence reserves "Nanum" for the unchanged font.

    Parameters
    ----------
    file : Path
        A TrueType font.
    characters : iterable of str
        Letters to keep; those the font lacks are left out.

    Returns
    -------
    tuple of str and bytes
        WOFF2 where the brotli package is at hand, else WOFF.
    """
    flavor = "woff2" if importlib.util.find_spec("brotli") else "woff"
    options = subset.Options(flavor=flavor, hinting=False, notdef_outline=True, name_IDs=[0, 1, 2, 4, 6])
    options.drop_tables += ["FFTM", "DSIG", "TSI0", "TSI1", "TSI2", "TSI3", "TSI5"]
    font = subset.load_font(str(file), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes={ord(character) for character in characters})
    cutter.subset(font)
    style = "Bold" if "Bold" in file.stem else "Regular"
    for record in font["name"].names:
        own = {1: FAMILY, 4: f"{FAMILY} {style}", 6: f"{FAMILY.replace(' ', '')}-{style}"}
        if record.nameID in own:
            record.string = own[record.nameID]
    buffer = io.BytesIO()
    subset.save_font(font, buffer, options)
    return f"workbench-gothic-{style.lower()}.{flavor}", buffer.getvalue()
