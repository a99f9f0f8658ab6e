"""How strong something unobserved would have to be, and what may be said without any assumption."""
