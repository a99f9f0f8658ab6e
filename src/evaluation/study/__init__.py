"""The study room: from ``params/<study>.yml`` to a finished run, one kernel per notebook."""
