"""Tables as people have them: how `make_tabular_pipeline` reads them, and how fast."""
