"""Ground for all wings: validation, randomness, progress, interruptions, optional packages."""
