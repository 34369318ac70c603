"""Ground for all wings: randomness, progress, interruptions, optional packages."""
