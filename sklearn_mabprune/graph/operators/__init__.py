"""What operators do to units: which go together, which are read, and which cannot be removed."""
