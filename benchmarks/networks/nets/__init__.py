"""The modules of the catalogue, by where they come from."""
