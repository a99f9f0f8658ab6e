"""The site that shows a run to readers: a start page and a page for each notebook, readable without a network."""
