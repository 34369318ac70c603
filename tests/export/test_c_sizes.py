"""The bytes that a C header announces are those that a compiler makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn
from user_modules import ConvNet
from user_nets import (
    classes_table,
    classifier,
    labels_table,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from benchmarks.shared.compiling import compiled_sizes
from sklearn_mabprune import pipeline_to_c
from sklearn_mabprune.export.c.network import network_size

# So large that what a processor of 64 bits needs more for addresses hardly counts in flash.
WIDE = {"module__hidden_layer_sizes": (60, 40), "max_epochs": 1}


def images():
    y = classes_table()[1]
    return np.random.default_rng(0).normal(size=(len(y), 2, 8, 8)).astype(np.float32), y


def conv_net():
    net = NeuralNetClassifier(ConvNet, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    return classifier(net, pruning_budget=0)


CASES = {
    "classes": (lambda: classifier(small_classifier(**WIDE), pruning_budget=0), classes_table),
    "tanh": (
        lambda: classifier(
            small_classifier(module__activation="tanh", **WIDE), pruning_budget=0
        ), classes_table,
    ),
    "labels": (lambda: classifier(small_classifier(**WIDE), pruning_budget=0), labels_table),
    "values": (lambda: regressor(small_regressor(**WIDE), pruning_budget=0), values_table),
    "images": (conv_net, images),
    "scaled": (lambda: classifier(small_classifier(**WIDE), pruning_budget=0), classes_table),
}  # fmt: skip


def announced(source, what):
    """Bytes that the comment of a header says."""
    return int(source.partition(f"{what}: about ")[2].split()[0].replace(",", ""))


def in_memory(source, what):
    """Elements of the working memory of a type."""
    found = source.partition(f" {what}[")[2].partition("]")[0]
    return int(found or 0)


@pytest.mark.parametrize("name", CASES)
def test_bytes_are_estimated_within_a_tenth(name, tmp_path):
    make, table = CASES[name]
    X, y = table()
    model = make().fit(X, y)
    call = "model_predict" if name == "values" else "model_predict_proba"
    for dtype in ("float32", "int8"):
        calibrate = {"calibrate": X} if dtype == "int8" else {}
        if name == "scaled":
            source = pipeline_to_c(make_pipeline(StandardScaler().fit(X), model), dtype=dtype,
                                   **calibrate)  # fmt: skip
        else:
            source = model.to_c(dtype=dtype, **calibrate)
            size = network_size(model, dtype)
            # Ranges of features that differ take a number for each.
            more = announced(source, "Flash") - size.flash
            assert more in (0, 4 * (X.shape[1] - 1))
            assert size.ram == announced(source, "RAM")
            if dtype == "float32":
                report = model.pruning_report_
                assert (report.n_bytes_flash, report.n_bytes_ram) == (size.flash, size.ram)
        flash, stack = compiled_sizes(tmp_path, source, f"{call}(x, out)")
        assert abs(announced(source, "Flash") / flash - 1) <= 0.1, (dtype, flash)
        # Registers of 64 bits take twice the memory.
        memory = 4 * in_memory(source, "float work") + 2 * in_memory(source, "int16_t work16")
        ram = announced(source, "RAM")
        if name == "images":
            # Memory of a network that is no chain is not on the stack.
            stack += memory
        assert 0.9 * ram <= stack <= memory + 2.2 * (ram - memory), (dtype, ram, stack)
        constants = announced(source.replace("of which ", "Constants: about "), "Constants")
        code = announced(source, "Flash") - constants
        assert 0.5 <= code / (flash - constants) <= 1.1
