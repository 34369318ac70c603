"""Networks of the paper's table of deep learning, pruned by many methods; a page of what it shows."""
