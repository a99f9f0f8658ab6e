"""Names of the sample's columns, for tools that must not import pandas."""

OUTCOMES = [f"y{k}" for k in range(10)]
MARGINS = {"sex": 2, "age": 6, "edu": 4, "region": 5}
NUMERIC = ["x1", "x2", "x3", "x4"]
REPLICATES = 500
