"""The answers lie beside the items; the tests of this folder and its script import them from here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
