"""Comparison of pruning methods on the same trained networks, on unseen samples."""
