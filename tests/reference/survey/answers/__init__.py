"""The reference items answered by the workbench: an R call is read, and said again in its verbs."""
