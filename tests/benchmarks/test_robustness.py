"""A few trials of each part of the benchmark of what must go on holding."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from user_nets import regressor, values_table

from benchmarks.robustness.__main__ import drawn
from benchmarks.robustness.held import PARTS
from sklearn_mabprune import PruningWarning

# Fits in a row have tests of their own, and few of them show nothing.
N = {
    "kills in fits with memory=": 2,
    "kills in save": 3,
    "Ctrl-C at random times": 2,
    "predictions in threads": 200,
    "changed files": 40,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_drawn_fits_are_fitted_or_refused_by_name():
    found = drawn(12, number=1)
    assert found.total() == 12
    assert set(found) <= {"fitted", "refused by name"}


# Children are forked, which torch's backward passes allow only in a process that had no threads
# of its own: tests before these may have started some.
PROGRAM = """
import json, sys
from benchmarks.robustness.held import held
found = {name: held(name, scale, seed=0) for name, scale in json.loads(sys.argv[1]).items()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def counts():
    scales = {name: n / PARTS[name][1] for name, n in N.items()}
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(scales)]
    found = subprocess.run(program, check=True, capture_output=True, text=True, timeout=300)
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", N)
def test_what_held(name, counts):
    assert counts[name] == {"right": N[name]}


def test_one_validation_sample_of_a_regression_is_told_once():
    X, y = values_table(n_rows=40)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = regressor().fit(X, y, X_val=X[:1], y_val=y[:1])
    assert model.pruning_report_.n_validation == 1
    assert np.isnan(model.pruning_path_.score).all()
    assert UndefinedMetricWarning not in [each.category for each in caught]
    told = [str(each.message) for each in caught if each.category is PruningWarning]
    assert sum("is nan on the validation samples" in text for text in told) == 1
