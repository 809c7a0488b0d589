"""A page about runs: what is gathered of them, drawn, and said."""
