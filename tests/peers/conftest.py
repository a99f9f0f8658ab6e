"""The reference calls, read and answered, serve here too: on other data, against R as it runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "reference" / "survey"))
