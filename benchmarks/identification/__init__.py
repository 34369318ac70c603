"""Which policy identifies the units that can be removed, and at what cost."""
