"""The bytes that a C header announces are those that a compiler makes of it."""

from __future__ import annotations

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_nets import (
    classes_table,
    classifier,
    labels_table,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from benchmarks.shared.compiling import compiled_bytes
from sklearn_mabprune import pipeline_to_c
from sklearn_mabprune.export.c.network import network_size

WIDE = {"module__hidden_layer_sizes": (40, 20)}

CASES = {
    "small": (classifier, classes_table),
    "classes": (lambda: classifier(small_classifier(**WIDE)), classes_table),
    "tanh": (
        lambda: classifier(small_classifier(module__activation="tanh", **WIDE)), classes_table
    ),
    "labels": (lambda: classifier(small_classifier(**WIDE)), labels_table),
    "values": (lambda: regressor(small_regressor(**WIDE)), values_table),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_flash_is_estimated_within_a_tenth(name, tmp_path):
    make, table = CASES[name]
    X, y = table()
    model = make().fit(X, y)
    call = "model_predict" if name == "values" else "model_predict_proba"
    for dtype in ("float32", "int8"):
        calibrate = {"calibrate": X} if dtype == "int8" else {}
        source = model.to_c(dtype=dtype, **calibrate)
        size = network_size(model, dtype)
        true = compiled_bytes(tmp_path, source, f"{call}(x, out)")
        assert abs(size.flash / true - 1) <= 0.1, (dtype, size.flash, true)
        # Ranges of features that differ take a number for each.
        announced = int(source.partition("Flash: about ")[2].split()[0].replace(",", ""))
        assert announced in (size.flash, size.flash + 4 * (X.shape[1] - 1))


def test_pipelines_say_their_bytes_within_a_tenth(tmp_path):
    X, y = classes_table()
    model = make_pipeline(StandardScaler(), classifier(small_classifier(**WIDE))).fit(X, y)
    source = pipeline_to_c(model)
    announced = int(source.partition("Flash: about ")[2].split()[0].replace(",", ""))
    true = compiled_bytes(tmp_path, source, "model_predict_proba(x, out)")
    assert abs(announced / true - 1) <= 0.1
