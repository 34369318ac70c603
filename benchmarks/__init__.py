"""Programs that print every figure of README and docs."""
