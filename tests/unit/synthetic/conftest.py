"""The city of record, made once; coarser ones for switches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evaluation import project
from evaluation.synthetic.population import City, synthesize
from evaluation.synthetic.switches import Switches
from evaluation.synthetic.truth import truth_of


@pytest.fixture(scope="session")
def city() -> City:
    return synthesize()


@pytest.fixture(scope="session")
def truth(city: City) -> dict[str, Any]:
    return truth_of(city)


@functools.lru_cache(maxsize=4)
def _coarse(switches: Switches, seed: int) -> City:
    return synthesize(seed, switches, one_in=50)


@pytest.fixture(scope="session")
def coarse() -> Callable[..., City]:
    """A city of one resident for 50 persons, with some switches turned."""
    return lambda seed=2016, **turned: _coarse(Switches(**turned), seed)


@pytest.fixture
def language() -> Iterator[Callable[[str], None]]:
    yield project.use_language
    project.use_language("en")
