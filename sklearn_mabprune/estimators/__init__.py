"""The estimators: parameters, `fit` as a short story, other budgets, cross-validation, loading."""
