"""Results as figures: one idea each, its caption inside the picture, the data behind it beside it.

Figures draw and never compute. They are made without pyplot, so a notebook shows each once, and the
same figure is the same bytes on every run. Importing these modules changes no setting of matplotlib.
"""
