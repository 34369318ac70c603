"""Missing and infinite values where scikit-learn's configuration says that there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from user_nets import classes_table, classifier, regressor, values_table


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_features(value, form):
    X, y = classes_table()
    X[70, 3] = value
    where = "" if form is sparse.csr_matrix else ", first in sample 70, column 3"
    message = f"Input X contains NaN or infinity{where}, although assume_finite=True"
    with config_context(assume_finite=True), pytest.raises(ValueError, match=message):
        classifier().fit(form(X), y)


def test_targets_and_validation_samples():
    X, y = values_table()
    wrong = y.astype(float).copy()
    wrong[5] = np.nan
    bad = X.copy()
    bad[2, 1] = np.inf
    with config_context(assume_finite=True):
        with pytest.raises(ValueError, match="y has missing values, in sample 5"):
            regressor().fit(X, wrong)
        with pytest.raises(ValueError, match=r"X_val cannot be used: .* first in sample 2, column"):
            regressor().fit(X, y, X_val=bad, y_val=y)
        regressor().fit(X, y)
