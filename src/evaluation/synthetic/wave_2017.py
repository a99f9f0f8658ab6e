"""The wave of October 2017 and what was published with it: a reworded item, a renamed column, a corrected wave.

All three are invented, like everything here; ``surveys/seoul_2017/changes.csv`` declares them.
"""

from __future__ import annotations

import pandas as pd

from evaluation.synthetic.population import City
from evaluation.synthetic.sampling import citizen_survey, pooled

YEAR_2017 = 2017
#: Waves in the pooled file that was published in 2017.
PUBLISHED_WAVES = (2015, 2016, 2017)
#: Asked in new words from 2017 on: ``WORDING_SHIFT`` of those who would have said no say yes.
REWORDED_2017 = ("rely",)
#: In the wave of 2016 answers to it had been coded as "don't know"; the file of 2017 has the answers.
CORRECTED_WAVE, CORRECTED = 2016, ("stay",)
#: Column of the files of 2016 to what the files of 2017 call it: its number in the questionnaire.
RENAMED = {"happy": "Q15A1"}
#: First coverage in a year that the files of 2017 cannot know.
UNKNOWN_YET = ["district_cohort", "dong_cohort"]


def citizens_2017(city: City) -> pd.DataFrame:
    """Return the citizen survey of October 2017 as its file has it.

    Parameters
    ----------
    city : City
        From ``synthesize``.

    Returns
    -------
    pandas.DataFrame
        As ``citizen_survey``, with the item reworded, the column renamed, and without the years in which
        districts and dongs not yet covered would be.
    """
    return _as_filed(_wave(city, YEAR_2017))


def waves_to_2017(city: City) -> pd.DataFrame:
    """Return the waves of 2015, 2016 (as corrected) and 2017 in one file, in the layout of 2017.

    Parameters
    ----------
    city : City
        From ``synthesize``.

    Returns
    -------
    pandas.DataFrame
        As ``citizens_2017``, with ``stratum``: wave and district.
    """
    return _as_filed(pooled([_wave(city, year) for year in PUBLISHED_WAVES]))


def _wave(city: City, year: int) -> pd.DataFrame:
    reworded = REWORDED_2017 if year >= YEAR_2017 else ()
    return citizen_survey(city, year, reworded=reworded, reread=CORRECTED if year == CORRECTED_WAVE else ())


def _as_filed(sample: pd.DataFrame) -> pd.DataFrame:
    return sample.drop(columns=UNKNOWN_YET).rename(columns=RENAMED)
