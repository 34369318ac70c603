"""Files of fitted estimators, which tests read and write anew elsewhere."""

from __future__ import annotations

from functools import cache

import pytest
from saved_files import Saved
from user_nets import classifier, regressor, small_classifier, strings_table, values_table

from sklearn_mabprune.export.files.container import read_file


@pytest.fixture(scope="session")
def saved_as(tmp_path_factory):
    """From kind and keep_path to an estimator, its rows, its file and what stands in it."""

    @cache
    def made(kind, keep_path):
        if kind == "classifier":
            X, y = strings_table()
            net = small_classifier(module__batch_norm=True, module__dropout=0.1)
            model = classifier(net, class_weight={"red": 2.0}, keep_path=keep_path).fit(X, y)
        else:
            X, y = values_table(n_targets=2)
            model = regressor(keep_path=keep_path).fit(X, y)
        path = tmp_path_factory.mktemp("saved") / "model.safetensors"
        model.save(path)
        return Saved(model, X, path.read_bytes(), *read_file(path))

    return made


@pytest.fixture(scope="session", params=["classifier", "regressor"])
def saved(request, saved_as):
    """A file with all of the path."""
    return saved_as(request.param, "always")


@pytest.fixture(scope="session")
def outlined(saved_as):
    """A file with the outline of the path."""
    return saved_as("classifier", "memory")


@pytest.fixture(
    scope="session",
    params=[("classifier", "always"), ("regressor", "always"), ("classifier", "memory")],
    ids=["classifier", "regressor", "outline"],
)
def either(request, saved_as):
    """A file of either form."""
    return saved_as(*request.param)
