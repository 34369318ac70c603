"""Features, targets, splits and batches: no network."""
