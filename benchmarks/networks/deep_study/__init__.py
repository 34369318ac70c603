"""Networks of the paper's table of deep learning, pruned by many methods, and a page of it."""
