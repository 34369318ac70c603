"""What our nets take as samples by themselves: frames, lists, integers; and what they refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor

FORMS = {
    "frame": pd.DataFrame,
    "list": np.ndarray.tolist,
    "integers": lambda X: X.astype(np.int64),
    "frame of integers": lambda X: pd.DataFrame(X.astype(np.int64)),
    "tensor": torch.tensor,
    "tensor of integers": lambda X: torch.tensor(X.astype(np.int64)),
    "sparse": sparse.csr_array,
}


def table():
    X = np.random.default_rng(0).integers(1, 9, size=(60, 3)).astype(np.float32)
    return X, (X[:, 0] > 4).astype(int)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [MLPNetClassifier, MLPNetRegressor])
def test_numbers_in_any_form_are_the_same_table(kind, form):
    X, y = table()
    made = {"max_epochs": 3, "random_state": 0, "dtype": "float32", "inputs": None}
    wanted = kind(**made).fit(X, y).predict(X)
    given = FORMS[form](X)
    net = kind(**made).fit(given, y.astype(bool) if kind is MLPNetClassifier else y)
    np.testing.assert_allclose(net.predict(given), wanted, rtol=1e-5)
    net.partial_fit(given, y)
    again = kind(**made).partial_fit(given, y)
    np.testing.assert_allclose(again.predict(X), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda X: X[:, 0], r"MLPNetClassifier must have shape .* got \(60,\). Reshape it"),
        (lambda X: X.astype(str), "must contain numbers, and has dtype <U.*make_tabular_pipeline"),
        (lambda X: np.where(X == 3, np.nan, X)[:, [1, 0]], "NaN or infinity, first in column 0"),
        (lambda X: np.where(np.arange(3) == 2, np.inf, X), "NaN or infinity, first in column 2"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(changed, message):
    X, y = table()
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(MLPNetClassifier(), method)(changed(X), y)


def test_predictions_refuse_other_features_and_missing_values():
    X, y = table()
    net = MLPNetClassifier(max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="X has 2 features, but MLPNetClassifier was fitted on 3"):
        net.predict(X[:, :2])
    X[4:6, 1] = np.nan
    message = r"Sample 4 of X \(and 1 more of 60\) contains NaN, first in column 1\. Fill"
    with pytest.raises(ValueError, match=message):
        net.predict_proba(X)
