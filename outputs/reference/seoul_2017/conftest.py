"""Holds this published run against its notebooks: python -m pytest --nbval outputs/reference/seoul_2017"""

from pathlib import Path

import pytest

from evaluation.comparator.differences import Tolerance
from evaluation.comparator.reference import ReferenceFolder

# Of numbers at full precision; a number in a notebook may be off by one unit of its last displayed place.
TOLERANCE = Tolerance(rtol=1e-9, atol=1e-12, picture=2.0, tile=20.0)


def pytest_configure(config: pytest.Config) -> None:
    """Join the pytest run."""
    ReferenceFolder(Path(__file__).parent, tolerance=TOLERANCE, cell_timeout=120).register(config)
