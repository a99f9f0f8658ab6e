"""A population with known truth: persons, projects and a staged roll-out from which samples are drawn."""
