"""The stored table of parity is what the verbs give today; no test writes it."""

import re

import pytest
from parity import NOISE, STORED, ceiling, report, rows

ROW = re.compile(r"^\| (\w+) \| \d+ \| [\d,]+ \| ≤ 1e(-\d+) \|", re.MULTILINE)
#: How far, in powers of ten, another machine may stay below what is stored.
LEEWAY = 2


@pytest.fixture(scope="module")
def table():
    return rows()


def drifts(stored, table):
    """Say what of the stored report no longer holds: a difference grown, or shrunk by more than a machine's noise."""
    powers = {name: int(power) for name, power in ROW.findall(stored)}
    found = [f"{name} is not in the table" for name, *_ in table if name not in powers]
    for name, _, _, worst, _ in table:
        power = int(ceiling(worst).split("e")[1])
        kept = powers.get(name, power)
        if worst > 10.0**kept or power < kept - LEEWAY:
            found.append(f"{name}: stored ≤ 1e{kept}, computed {worst:.1e}")
    return found


def without_powers(text):
    return re.sub(r"≤ 1e-\d+", "", text)


def test_the_stored_table_holds(table):
    before = STORED.read_bytes()
    stored = before.decode("utf-8").replace("\r\n", "\n")
    assert drifts(stored, table) == []
    assert without_powers(stored) == without_powers(report(table))
    assert STORED.read_bytes() == before


def test_a_drift_is_found(table):
    stored = report(table)
    name, items, numbers, _, tolerance = table[0]
    assert drifts(stored, [(name, items, numbers, 1e-5, tolerance), *table[1:]]) != []
    assert drifts(stored.replace(f"| {name} |", "| other |"), table) != []
    grown = re.sub(rf"(\| {name} \| .*?)≤ 1e-\d+", r"\1≤ 1e-01", stored)
    assert drifts(grown, table) != []


def test_numbers_below_the_noise_share_one_row():
    assert ceiling(1e-16) == ceiling(9e-11) == f"≤ 1e{NOISE}"
