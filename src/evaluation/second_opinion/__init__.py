"""A second opinion: a design, its weighting chain and its estimates said again as a script for R survey."""
