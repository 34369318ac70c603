"""Networks in integers: the C form computes what the stages compute in Python, near the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import batch_norm
from kind_cases import CASES, WIDTH, made
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from user_nets import classes_table, labels_table, small_classifier, small_regressor, values_table

from benchmarks.shared.compiling import Library
from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor, pipeline_to_c
from sklearn_mabprune.export.c.header import Interface, header
from sklearn_mabprune.export.c.program import Program
from sklearn_mabprune.export.c.quantised import forward, quantised, run
from sklearn_mabprune.export.c.rounding import rounded_together
from sklearn_mabprune.export.chain import folded

QUICK = {"tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 0}


def linear(n_inputs, n_outputs, seed, scale=1.0):
    layer = nn.Linear(n_inputs, n_outputs, dtype=torch.float64)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.normal_(0.0, scale * n_inputs**-0.5, generator=source)
        layer.bias.normal_(0.0, 1.0, generator=source)
    return layer


def networks():
    """Each element-wise layer between two Linear layers, and chains that are less usual."""
    makes = [make for kind, _, make in CASES if kind.elementwise and not kind.silent]
    between = {f"layer{k}": [made(make)] for k, make in enumerate(makes)}
    between |= {
        "nothing": [],
        "two": [nn.Tanh(), nn.ReLU()],
        "norm": [nn.Tanh(), batch_norm(WIDTH, 0).double().eval(), nn.ReLU()],
        "again": [nn.GELU(), linear(WIDTH, WIDTH, 3), nn.GELU()],
    }
    found = {
        name: [linear(WIDTH, WIDTH, 1), *layers, linear(WIDTH, 3, 2)]
        for name, layers in between.items()
    }
    found["wide"] = [linear(600, 300, 1), nn.ReLU(), linear(300, 2, 2), nn.Sigmoid()]
    found["first"] = [nn.Softsign(), linear(WIDTH, 2, 1), nn.LogSoftmax(dim=1)]
    found["bias"] = [linear(WIDTH, 4, 1, 1e-12), nn.ReLU(), linear(4, 2, 2)]
    return found


def samples(n_features, n_samples=60, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Parts, stages and C forms of all networks."""
    found, sources = {}, {}
    for name, layers in networks().items():
        parts = folded(layers)
        n_inputs = 600 if name == "wide" else WIDTH
        stages = quantised(parts, samples(n_inputs))
        program = Program(n_inputs)
        x = program.input
        for stage in stages:
            x = stage.write(program, x)
        program.output = x
        sources[name] = header(program, Interface(name, "network", x.size))
        found[name] = parts, stages, n_inputs
    return found, sources, Library(tmp_path_factory.mktemp("int8"), sources)


def test_integers_are_those_of_python_and_near_the_network(compiled):
    found, _, library = compiled
    for name, (parts, stages, n_inputs) in found.items():
        X = samples(n_inputs, seed=1).astype(np.float32).astype(float)
        expected, exact = run(stages, X), forward(parts, X)
        # A feature that float32 rounds may become the next integer.
        np.testing.assert_allclose(library.outputs(name, X), expected, atol=2e-3, err_msg=name)
        error = np.sqrt(np.mean((expected - exact) ** 2)) / exact.std()
        # A table of 256 cells has no jumps.
        jumps = any(isinstance(part, (nn.Hardshrink, nn.Threshold)) for part in parts)
        assert error < (0.08 if jumps else 0.03), (name, error)


def test_no_sum_overflows_and_no_value_leaves_its_bounds(compiled):
    found, _, library = compiled
    for name, (_, stages, n_inputs) in found.items():
        for value in (3e38, -3e38, np.nan, 1e-45):
            X = np.full((1, n_inputs), value)
            outputs = library.outputs(name, X)
            assert np.isfinite(outputs).all() or name == "first", name
            x = np.nan_to_num(X, nan=3e38)
            for stage in stages:
                if hasattr(stage, "sums"):
                    assert np.abs(stage.sums(x)).max() < 2**31
                if hasattr(stage, "linear"):
                    assert np.abs(stage.linear.sums(x)).max() < 2**31
                x = stage.run(x)


def test_the_inner_loop_has_no_float(compiled):
    _, sources, _ = compiled
    source = sources["wide"]
    inner = source[source.index("wide_sum8(") :].partition("}")[0]
    assert "float" not in inner
    assert source.count("static const int8_t") == 2


@pytest.mark.slow
def test_digits_keep_their_labels(tmp_path):
    X, y = load_digits(return_X_y=True)
    net = small_classifier(module__hidden_layer_sizes=(32, 16), max_epochs=10)
    model = make_pipeline(StandardScaler(), MABPrunedClassifier(net, **QUICK)).fit(X, y)
    options = {"dtype": "int8", "calibrate": X, "samples": X[:20]}
    source = pipeline_to_c(model, name="digits", **options)
    found = Library(tmp_path, {"digits": source}).outputs("digits", X)
    expected = model.predict_proba(X)
    assert np.mean(found.argmax(axis=1) == expected.argmax(axis=1)) > 0.99
    assert np.abs(found - expected).mean() < 0.005
    assert "Against float: another label for" in source


def test_weights_are_rounded_so_that_sums_of_samples_change_little():
    rng = np.random.default_rng(0)
    weight = rng.normal(scale=30.0, size=(5, 20))
    x = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 20)) + 0.1 * rng.normal(size=(200, 20))
    found = rounded_together(weight, x, 127)
    assert np.array_equal(found, np.rint(found))
    assert np.abs(found).max() <= 127
    together, alone = (np.square(x @ (weight - w).T).mean() for w in (found, np.rint(weight)))
    assert together < 0.3 * alone
    np.testing.assert_array_equal(rounded_together(weight, 0 * x, 127), np.rint(weight))


def test_values_and_several_labels(tmp_path):
    X, y = values_table(n_targets=2)
    regressor = MABPrunedRegressor(small_regressor(), **QUICK).fit(X, y)
    labels = MABPrunedClassifier(small_classifier(), **QUICK).fit(*labels_table())
    sources = {
        "values": regressor.to_c(name="values", dtype="int8", calibrate=X),
        "labels": labels.to_c(name="labels", dtype="int8", calibrate=labels_table()[0]),
    }
    library = Library(tmp_path, sources)
    error = (library.outputs("values", X) - regressor.predict(X)) / y.std(axis=0)
    assert np.sqrt((error**2).mean()) < 0.02
    found = library.outputs("labels", labels_table()[0])
    assert np.abs(found - labels.predict_proba(labels_table()[0])).mean() < 0.01
    assert "standard deviations (root mean square) of 120 calibration samples" in sources["values"]


def test_what_does_not_fit_is_refused():
    X, y = classes_table()
    model = MABPrunedClassifier(small_classifier(max_epochs=1), **QUICK).fit(X, y)
    for export in (model.to_c, lambda **options: pipeline_to_c(model, **options)):
        with pytest.raises(ValueError, match=r"dtype='int4' is not one of 'float32', 'int8'\."):
            export(dtype="int4")
        with pytest.raises(ValueError, match="dtype='int8' needs calibrate: samples, such as"):
            export(dtype="int8")
        with pytest.raises(ValueError, match=r"calibrate is for dtype='int8' only, .*'float32'"):
            export(calibrate=X)
    with pytest.raises(ValueError, match="calibrate is empty"):
        model.to_c(dtype="int8", calibrate=X[:0])
    with pytest.raises(ValueError, match="calibrate contains NaN or infinity"):
        model.to_c(dtype="int8", calibrate=X * np.nan)
    for other in (X[0], X[:, :2]):
        with pytest.raises(ValueError, match=r"calibrate cannot be used: .* Pass samples that pre"):
            model.to_c(dtype="int8", calibrate=other)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 6"):
        model.to_c(dtype="int8", calibrate=X[:, :2])
