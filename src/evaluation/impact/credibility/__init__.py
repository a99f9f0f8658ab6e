"""How far an estimated effect carries: violations of parallel trends, placebos, composition, missing answers."""
