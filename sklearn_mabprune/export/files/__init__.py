"""A fitted estimator as a file that holds data and no code."""
