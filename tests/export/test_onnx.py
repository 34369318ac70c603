"""Networks and pipelines in the ONNX format, run by onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import polars as pl
import pytest
import skl2onnx
import torch
from builders import batch_norm, prelu
from kind_cases import made
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn
from user_nets import (
    classes_table,
    classifier,
    fitted,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import make_tabular_pipeline, pipeline_to_onnx, register_onnx_converters
from sklearn_mabprune.export.onnx import LAYERS, onnx_model
from sklearn_mabprune.graph.kinds.embeddings import PiecewiseLinearEmbedding
from sklearn_mabprune.graph.kinds.registry import BY_NAME, KINDS


def session(model):
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def run(model, X):
    """What onnxruntime makes of rows: an array, or a frame's columns."""
    runs = session(model)
    columns = [np.asarray(X[name])[:, None] for name in X.columns] if hasattr(X, "columns") else [X]
    dtypes = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(string)": object}
    inputs = zip(runs.get_inputs(), columns, strict=True)
    given = {put.name: values.astype(dtypes[put.type]) for put, values in inputs}
    return dict(zip([o.name for o in runs.get_outputs()], runs.run(None, given), strict=True))


# ----------------------------------------------------------------------------------- layers


WITH_ARGUMENTS = {
    "LeakyReLU": nn.LeakyReLU(0.3),
    "PReLU": prelu(5, 0),
    "PReLU, one slope": nn.PReLU(init=-0.4),
    "ELU": nn.ELU(0.7),
    "CELU": nn.CELU(1.7),
    "GELU, tanh": nn.GELU("tanh"),
    "Softplus": nn.Softplus(2.0, 1.5),
    "Softshrink": nn.Softshrink(0.3),
    "Hardshrink": nn.Hardshrink(0.3),
    "Hardtanh": nn.Hardtanh(-0.5, 2.0),
    "Threshold": nn.Threshold(0.1, 0.7),
    "BatchNorm1d": batch_norm(5, 0),
    "PiecewiseLinearEmbedding": made(lambda: PiecewiseLinearEmbedding(5, 2, 3, 4, 2, 3)),
    "BatchNorm1d, no scale": nn.BatchNorm1d(5, eps=0.1, affine=False),
    "Softmax": nn.Softmax(dim=-1),
    "LogSoftmax": nn.LogSoftmax(dim=1),
}
PLAIN = {
    kind.__name__: kind()
    for kind in LAYERS
    if kind.__name__ not in {"Linear", "Threshold", "PReLU", *WITH_ARGUMENTS}
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [*WITH_ARGUMENTS, *(f"{name}, default" for name in PLAIN)])
def test_every_layer_is_what_torch_computes(name, dtype):
    layer = WITH_ARGUMENTS.get(name, PLAIN.get(name.removesuffix(", default")))
    kind = getattr(torch, dtype)
    first = nn.Linear(5, 5, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.eye(5))
    layers = [module.to(kind).eval() for module in (first, layer)]
    # From the middle of each curve to where exponentials would overflow.
    X = torch.linspace(-6, 6, 395, dtype=kind).reshape(-1, 5)
    X = torch.cat([X, X * 100, torch.tensor([[0.0, -0.3, 0.3, 1.0, 6.0]], dtype=kind)])
    with torch.no_grad():
        expected = nn.Sequential(*layers)(X).numpy()
    found = run(onnx_model(layers, 5, None), X.numpy())["variable"]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_every_layer_that_can_be_pruned_around_can_be_written():
    idle = {module for kind in KINDS if kind.silent or kind.flattens for module in kind.modules}
    assert set(BY_NAME.values()) - idle == set(LAYERS)


# ------------------------------------------------------------------------------- estimators


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "labels", [["no", "yes"], ["a", "b", "cc"], [-3, 5], [False, True], [0.0, 2.0]]
)
def test_classifier_gives_labels_and_probabilities(labels, dtype):
    X, codes = classes_table(n_classes=len(labels))
    y = np.array(labels)[codes]
    model = classifier(small_classifier(dtype=dtype)).fit(X, y)
    made = model.to_onnx()
    found = run(made, X)
    assert list(found) == ["label", "probabilities"]
    assert found["label"].tolist() == model.predict(X).tolist()
    assert found["probabilities"].dtype == dtype
    tolerance = 1e-9 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=tolerance)
    assert found["label"].dtype == (object if isinstance(labels[0], str) else np.int64)


def test_several_labels_a_row():
    X, y = labels_table()
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, y)
    scaled = pipeline[:-1].transform(X)
    for found in (run(pipeline[-1].to_onnx(), scaled), run(pipeline_to_onnx(pipeline, X), X)):
        assert np.array_equal(found["label"], pipeline.predict(X))
        np.testing.assert_allclose(found["probabilities"], pipeline.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_regressor_gives_values_in_original_units(n_targets, dtype):
    X, y = values_table(n_targets=n_targets)
    model = regressor(small_regressor(dtype=dtype, module__batch_norm=True)).fit(X, y)
    found = run(model.to_onnx(), X)
    assert list(found) == ["variable"]
    expected = model.predict(X).reshape(len(X), n_targets)
    assert found["variable"].dtype == dtype
    np.testing.assert_allclose(
        found["variable"], expected, rtol=1e-9 if dtype == "float64" else 1e-6
    )


@pytest.mark.parametrize(
    ("make", "table"),
    [
        (lambda: classifier(quick_start()), classes_table),
        (lambda: classifier(plain_classifier()), classes_table),
        (lambda: regressor(plain_regressor()), unit_values_table),
        (lambda: classifier(small_classifier(module__activation="gelu")), classes_table),
    ],
    ids=["quick start", "plain", "plain, values", "gelu"],
)
def test_nets_of_ones_own(make, table):
    X, y = table()
    model = make().fit(X, y)
    found = run(model.to_onnx(), X)
    if "label" in found:
        assert np.array_equal(found["label"], model.predict(X))
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-6)
    else:
        np.testing.assert_allclose(found["variable"][:, 0], model.predict(X), atol=1e-5)


def test_the_file_is_what_is_returned_and_takes_any_number_of_rows(tmp_path):
    model, X, _ = fitted("classifier")
    for path in (tmp_path / "a.onnx", str(tmp_path / "b.onnx")):
        made = model.to_onnx(path)
        assert Path(path).read_bytes() == made.SerializeToString()
    runs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for n_rows in (0, 1, len(X)):
        label, probabilities = runs.run(None, {"X": X[:n_rows]})
        assert label.shape == (n_rows,)
        assert probabilities.shape == (n_rows, 3)


def test_labels_that_are_neither_numbers_nor_strings_are_refused():
    X, codes = classes_table(n_classes=2)
    model = classifier().fit(X, codes)
    model.classes_ = np.array([None, "yes"], dtype=object)
    with pytest.raises(ValueError, match=r"numbers or strings .*ONNX, got \[None, 'yes'\]"):
        model.to_onnx()


# -------------------------------------------------------------------------------- pipelines


def test_digits_in_a_pipeline_all_labels():
    X, y = load_digits(return_X_y=True)
    net = small_classifier(module__hidden_layer_sizes=(32,), max_epochs=15)
    model = make_pipeline(StandardScaler(), classifier(net)).fit(X, y)
    found = run(pipeline_to_onnx(model, X), X)
    assert np.array_equal(found["label"], model.predict(X))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-9)
    assert model.score(X, y) > 0.9


def test_digits_in_float32_all_labels():
    X, y = load_digits(return_X_y=True)
    X = X.astype("float32")
    model = make_pipeline(StandardScaler(), classifier()).fit(X, y)
    found = run(pipeline_to_onnx(model, X), X)
    assert np.array_equal(found["label"], model.predict(X))
    assert found["probabilities"].dtype == np.float32


def test_iris_with_names_all_labels():
    data = load_iris(as_frame=True)
    y = data.target_names[data.target]
    model = make_pipeline(StandardScaler(), classifier()).fit(data.data, y)
    made = pipeline_to_onnx(model, data.data)
    # skl2onnx writes an underscore for whatever is no letter, digit or underscore.
    assert [i.name for i in made.graph.input][:2] == ["sepal_length__cm_", "sepal_width__cm_"]
    found = run(made, data.data)
    assert found["label"].tolist() == model.predict(data.data).tolist()


@pytest.mark.parametrize("n_targets", [1, 2])
def test_diabetes_all_values(n_targets):
    X, y = load_diabetes(return_X_y=True)
    y = y if n_targets == 1 else np.column_stack([y, -y])
    model = make_pipeline(StandardScaler(), regressor()).fit(X, y)
    found = run(pipeline_to_onnx(model, X), X)["variable"]
    assert found.shape == (len(X), n_targets)
    np.testing.assert_allclose(found, model.predict(X).reshape(found.shape), rtol=1e-6)


def mixed_table(n_rows=150):
    """Strings, categories, integers, booleans and both kinds of floats, and a target."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "rooms": rng.integers(1, 9, n_rows),
            "size, m2": rng.normal(70.0, 20.0, n_rows),
            "light": rng.random(n_rows).astype("float32"),
            "town": rng.choice(["Ulm", "Bonn", "Köln"], n_rows),
            "heating": pd.Categorical(rng.choice(["gas", "oil"], n_rows)),
            "zone": rng.integers(0, 3, n_rows),
            "lift": rng.random(n_rows) < 0.5,
        }
    )
    dear = frame["size, m2"] / 20 + frame["rooms"] / 4 + (frame["town"] == "Bonn") > 5
    return frame, np.where(dear, "dear", "cheap")


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas], ids=["pandas", "polars"])
def test_tables_with_strings_all_labels(kind):
    frame, y = mixed_table()
    frame = kind(frame)
    columns = make_column_transformer(
        (StandardScaler(), ["rooms", "size, m2", "light", "lift"]),
        (OneHotEncoder(handle_unknown="ignore"), ["town", "heating"]),
        (OneHotEncoder(sparse_output=False), ["zone"]),
        ("passthrough", ["rooms"]),
    )
    model = make_pipeline(columns, classifier()).fit(frame, y)
    found = run(pipeline_to_onnx(model, frame.head(2)), frame)
    assert found["label"].tolist() == model.predict(frame).tolist()
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(frame), atol=1e-6)


def test_columns_chosen_by_kind():
    frame, y = mixed_table()
    columns = make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_exclude="number")),
        remainder=StandardScaler(),
    )
    model = make_pipeline(columns, classifier()).fit(frame, y)
    found = run(pipeline_to_onnx(model, frame), frame)
    assert found["label"].tolist() == model.predict(frame).tolist()


def test_an_estimator_alone_and_a_search_convert_too(tmp_path):
    model, X, y = fitted("classifier")
    path = tmp_path / "model.onnx"
    made = pipeline_to_onnx(model, X, path)
    assert path.read_bytes() == made.SerializeToString()
    assert np.array_equal(run(made, X)["label"], model.predict(X))
    frame = pd.DataFrame(X, columns=[*"uvwxyz"])
    model.fit(frame, y)
    assert np.array_equal(run(pipeline_to_onnx(model, frame), frame)["label"], model.predict(frame))
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"mabprunedclassifier__pruning_budget": [0, 0.5]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert np.array_equal(run(pipeline_to_onnx(search, X), X)["label"], search.predict(X))


def test_pipelines_that_end_in_another_estimator_convert_too():
    X, y = classes_table()
    members = [("net", classifier()), ("linear", LogisticRegression())]
    for model in (
        VotingClassifier(members, voting="soft", flatten_transform=False),
        CalibratedClassifierCV(classifier(), cv=2),
        make_pipeline(
            StandardScaler(), VotingClassifier(members, voting="soft", flatten_transform=False)
        ),
    ):
        model.fit(X, y)
        found = run(pipeline_to_onnx(model, X), X)
        assert np.array_equal(found["label"], model.predict(X))
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-6)
    X, y = values_table()
    vote = VotingRegressor([("net", regressor()), ("linear", LinearRegression())]).fit(X, y)
    found = run(pipeline_to_onnx(vote, X), X)["variable"][:, 0]
    np.testing.assert_allclose(found, vote.predict(X), rtol=1e-6)


def test_skl2onnx_itself_converts_with_its_own_options():
    model, X, y = fitted("classifier")
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    register_onnx_converters()
    X = X.astype("float32")
    found = run(skl2onnx.to_onnx(pipeline, X[:1]), X)
    assert list(found) == ["output_label", "output_probability"]
    assert np.array_equal(found["output_label"], pipeline.predict(X))
    assert found["output_probability"][0].keys() == {0, 1, 2}
    options = {"zipmap": False, "output_class_labels": True}
    made = skl2onnx.to_onnx(pipeline, X[:1], options={id(model): options})
    found = run(made, X)
    assert found["class_labels"].tolist() == [0, 1, 2]
    assert found["probabilities"].dtype == np.float32


# Tables of a few distinct rows: that many of them validate is beside the point.
@pytest.mark.filterwarnings("ignore:.* held out for validation:sklearn_mabprune.PruningWarning")
@pytest.mark.parametrize("missing", [None, np.nan, 3])
def test_columns_that_onnx_has_no_input_for_are_refused(missing):
    frame, y = mixed_table()
    pipeline = make_pipeline(OneHotEncoder(sparse_output=False), classifier())
    pipeline.fit(frame[["town"]], y)
    odd = frame[["town"]].astype(object)
    odd.iloc[3, 0] = missing
    with pytest.raises(TypeError, match="'town' contains neither only numbers nor only strings"):
        pipeline_to_onnx(pipeline, odd)


def test_rows_of_another_width_are_refused():
    X, y = classes_table()
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 6"):
        pipeline_to_onnx(pipeline, X[:, :2])


@pytest.mark.parametrize("tabular", [False, True])
def test_frames_that_lack_columns_are_refused(tabular):
    X, y = classes_table()
    X = pd.DataFrame(X, columns=list("abcdef"))
    make = make_tabular_pipeline if tabular else lambda net: make_pipeline(StandardScaler(), net)
    pipeline = make(classifier()).fit(X, y)
    with pytest.raises(ValueError, match=r"X lacks columns .* fitted with: 'd', 'f'. Pass samples"):
        pipeline_to_onnx(pipeline, X.drop(columns=["d", "f"]))


def test_a_pipeline_that_is_not_fitted_is_refused():
    X, _ = classes_table()
    with pytest.raises(NotFittedError):
        pipeline_to_onnx(make_pipeline(StandardScaler(), classifier()), X)


# ---------------------------------------------------------------------------- what is needed


@pytest.mark.parametrize("package", ["onnx", "skl2onnx"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    model, X, _ = fitted("classifier")
    # What Python itself puts there for a package that is not to be imported.
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'needs {package}, .*"sklearn-mabprune\[onnx\]"'):
        model.to_onnx() if package == "onnx" else pipeline_to_onnx(model, X)


def test_the_network_alone_needs_onnx_alone(monkeypatch):
    model, _, _ = fitted("classifier")
    for package in ("skl2onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    operators = [node.op_type for node in model.to_onnx().graph.node]
    assert operators == [
        "Gemm", "Relu", "Gemm", "Relu", "Gemm", "Softmax", "Identity", "ArgMax", "Gather",
    ]  # fmt: skip
