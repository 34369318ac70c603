"""What is known about each kind of layer, one file a kind."""
