"""Files of fitted estimators, which tests read and write anew elsewhere."""

from __future__ import annotations

import pytest
from saved_files import Saved
from user_nets import classifier, regressor, small_classifier, strings_table, values_table

from sklearn_mabprune.export.files.container import read_file


@pytest.fixture(scope="session", params=["classifier", "regressor"])
def saved(request, tmp_path_factory):
    """A fitted estimator, its rows, its file and what stands in it."""
    if request.param == "classifier":
        X, y = strings_table()
        net = small_classifier(module__batch_norm=True, module__dropout=0.1)
        model = classifier(net, class_weight={"red": 2.0}).fit(X, y)
    else:
        X, y = values_table(n_targets=2)
        model = regressor().fit(X, y)
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    model.save(path)
    return Saved(model, X, path.read_bytes(), *read_file(path))
