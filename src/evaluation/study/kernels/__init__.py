"""Where the kernels of notebooks come from: forked from a warm process on Linux, ordinary ones elsewhere."""
