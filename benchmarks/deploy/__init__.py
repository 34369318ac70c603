"""What exported networks cost where they run: bytes, microseconds and accuracy."""
