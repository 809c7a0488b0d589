"""A config or a workdir becomes parts: the only house that knows what a config is."""
