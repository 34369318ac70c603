"""Small networks drawn from a seed: every operator that the library knows, and some it does not."""
