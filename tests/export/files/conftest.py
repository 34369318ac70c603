"""Files of fitted estimators, which tests read and write anew elsewhere."""

from __future__ import annotations

import pytest
from saved_files import Saved
from user_nets import classifier, regressor, small_classifier, strings_table, values_table

from sklearn_mabprune.export.files.container import read_file


def saved_of(kind, keep_path, folder):
    """A fitted estimator, its rows, its file and what stands in it."""
    if kind == "classifier":
        X, y = strings_table()
        net = small_classifier(module__batch_norm=True, module__dropout=0.1)
        model = classifier(net, class_weight={"red": 2.0}, keep_path=keep_path).fit(X, y)
    else:
        X, y = values_table(n_targets=2)
        model = regressor(keep_path=keep_path).fit(X, y)
    path = folder / "model.safetensors"
    model.save(path)
    return Saved(model, X, path.read_bytes(), *read_file(path))


@pytest.fixture(scope="session", params=["classifier", "regressor"])
def saved(request, tmp_path_factory):
    """A file with all of the path."""
    return saved_of(request.param, "always", tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="session")
def outlined(tmp_path_factory):
    """A file with the outline of the path."""
    return saved_of("classifier", "memory", tmp_path_factory.mktemp("outlined"))


@pytest.fixture(params=["saved", "outlined"])
def either(request):
    """A file of either form."""
    return request.getfixturevalue(request.param)
