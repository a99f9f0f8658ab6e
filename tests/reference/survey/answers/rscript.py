"""R as it runs here, if it does."""

import os
import shutil
import subprocess
from functools import cache


@cache
def why_not():
    """Say why R cannot be asked here; empty where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    asked = subprocess.run(
        ["Rscript", "-e", "library(survey); library(mitools)"], capture_output=True, text=True, check=False
    )
    return "" if asked.returncode == 0 else "the R packages survey and mitools are not installed"


def told(script, *arguments, folder=None):
    """Run an R script in a UTF-8 locale and return what it printed; an AssertionError shows what it complained of."""
    locale = {} if os.name == "nt" else {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["Rscript", "--vanilla", "--encoding=UTF-8", str(script), *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, **locale},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
