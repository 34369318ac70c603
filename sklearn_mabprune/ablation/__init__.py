"""What removing units does to the loss, measured and estimated, and who takes over their work."""
