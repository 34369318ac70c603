"""Pipelines of `make_tabular_pipeline`, and steps like theirs, as ONNX."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import polars as pl
import pytest
import skl2onnx
from pairwise import pairwise
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from test_tabular import frame
from user_nets import classes_table, classifier, regressor

from sklearn_mabprune import (
    MABPrunedClassifier,
    make_tabular_pipeline,
    pipeline_to_c,
    pipeline_to_onnx,
    register_onnx_converters,
)


def feed(session, X):
    """A frame as inputs: numbers with NaN for gaps, text with "missing"."""
    given = {}
    for put, name in zip(session.get_inputs(), X.columns, strict=True):
        column = pd.Series(list(X[name]), dtype=object)
        if put.type == "tensor(string)":
            values = column.where(column.notna(), "missing").astype(str).astype(object)
        else:
            values = column.where(column.notna(), np.nan).astype(
                {"tensor(float)": np.float32, "tensor(double)": np.float64}[put.type]
            )
        given[put.name] = values.to_numpy()[:, None]
    return given


def run(made, X):
    """What onnxruntime makes of a frame."""
    onnx.checker.check_model(made, full_check=True)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    given = feed(session, X) if hasattr(X, "columns") else {"X": X}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, given), strict=True))


def assert_same(model, X, *tables):
    """All labels the same, and probabilities to nine digits."""
    made = pipeline_to_onnx(model, X)
    for table in (X, *tables):
        found = run(made, table)
        assert found["label"].tolist() == model.predict(table).tolist()
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(table), atol=1e-9)


@pytest.mark.filterwarnings("ignore:No category is known:sklearn_mabprune.PruningWarning")
@pytest.mark.parametrize("max_categories", [5, 64])
def test_a_table_of_everything(max_categories):
    X, y = frame(200)
    model = make_tabular_pipeline(classifier(), max_categories=max_categories).fit(X[:150], y[:150])
    # Rows that fit has not seen, gaps where it saw none, and categories that are new.
    new = X[150:].assign(text="violet", category="z", many="id -1", count=10**6, gaps=np.nan)
    new["number"] = new["number"].where(new["number"] > 50)
    assert_same(model, X[:150], X[150:], new, X[:1])


def test_objects_that_are_numbers():
    X, y = frame(120)
    X = X[["number", "text", "mixed"]].assign(n=pd.Series([1, None, 3] * 40, dtype=object))
    model = make_tabular_pipeline(classifier()).fit(X, y)
    # A row that alone would say neither that "n" are numbers nor that "mixed" are not.
    one = X[1:2].assign(mixed=pd.Series([1], index=[1], dtype=object))
    assert_same(model, one, X)


# Tables of a few distinct rows: that many of them validate is beside the point.
@pytest.mark.filterwarnings("ignore:.* held out for validation:sklearn_mabprune.PruningWarning")
@pytest.mark.parametrize(
    "names",
    [
        ["number", "count"],  # neither gaps nor text
        ["number", "gaps"],
        ["gaps", "empty", "nullable"],
        ["text", "many", "truth"],
        ["truth"],
        ["single"],
        ["number", "single", "text"],
        ["maybe", "mixed", "one", "constant"],
    ],
    ids=" ".join,
)
def test_tables_of_some_kinds_only(names):
    X, y = frame(150)
    model = make_tabular_pipeline(classifier()).fit(X[names], y)
    made = pipeline_to_onnx(model, X[names])
    found = run(made, X[names])
    assert found["label"].tolist() == model.predict(X[names]).tolist()
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X[names]), atol=1e-6)


def test_polars():
    X, y = frame(150)
    P = pl.from_pandas(X.drop(columns=["mixed", "category"]))
    model = make_tabular_pipeline(classifier()).fit(P, y)
    assert_same(model, P.head(3), P)


def test_what_is_no_pipeline_is_refused():
    X, _ = classes_table()
    with pytest.raises(TypeError, match=r"ndarray, .* The call is pipeline_to_onnx\(pipeline, X"):
        pipeline_to_onnx(X, classifier())
    with pytest.raises(TypeError, match="pipeline is a class, but must be a fitted pipeline"):
        pipeline_to_onnx(MABPrunedClassifier, X)
    with pytest.raises(TypeError, match=r"of type str, .* The call is pipeline_to_c\(pipeline, pa"):
        pipeline_to_c("model.h", classifier())


def test_an_array_of_numbers():
    X, y = classes_table()
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    model = make_tabular_pipeline(classifier()).fit(X, y)
    assert_same(model, X[:2], X)
    single = X.astype(np.float32)
    model = make_tabular_pipeline(classifier()).fit(single, y)
    found = run(pipeline_to_onnx(model, single), single)
    assert found["label"].tolist() == model.predict(single).tolist()
    assert found["probabilities"].dtype == np.float32


def test_values_in_original_units():
    X, y = frame(150)
    values = np.where(y == "yes", 100.0, 50.0) + X["number"]
    model = make_tabular_pipeline(regressor()).fit(X, values)
    found = run(pipeline_to_onnx(model, X), X)["variable"][:, 0]
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-9)


def test_inputs_are_numbers_and_strings():
    X, y = frame(90)
    names = ["number", "nullable", "text", "truth", "maybe", "category"]
    model = make_tabular_pipeline(classifier()).fit(X[names], y)
    kinds = [
        put.type.tensor_type.elem_type for put in pipeline_to_onnx(model, X[names]).graph.input
    ]
    kind = onnx.TensorProto
    assert kinds == [kind.DOUBLE] * 2 + [kind.STRING] * 4


@pairwise(
    handle_unknown=["ignore", "infrequent_if_exist", "warn"],
    rare=[{}, {"max_categories": 3}, {"min_frequency": 8}],
    dtype=[np.float32, np.float64],
)
def test_rare_and_new_categories_in_pipelines_of_ones_own(handle_unknown, rare, dtype):
    X = pd.DataFrame({"a": ["x"] * 20 + ["y"] * 9 + ["z"] * 4 + ["w"] * 3, "b": [*"pq"] * 18})
    y = [0, 1, 1] * 12
    encoder = OneHotEncoder(handle_unknown=handle_unknown, sparse_output=False, dtype=dtype, **rare)
    model = make_pipeline(make_column_transformer((encoder, ["a", "b"])), LogisticRegression()).fit(
        X, y
    )
    new = pd.DataFrame({"a": ["w", "x", "y", "z", "v"], "b": [*"pqpqr"]})
    found = run(pipeline_to_onnx(model, X), new)
    if handle_unknown == "warn":
        with pytest.warns(UserWarning, match="unknown categories"):
            expected = model.predict_proba(new)
    else:
        expected = model.predict_proba(new)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)


@pairwise(
    keep_empty_features=[False, True],
    add_indicator=[False, True],
    strategy=["mean", "constant"],
)
@pytest.mark.filterwarnings("ignore:Skipping features without any observed:UserWarning")
def test_gaps_in_pipelines_of_ones_own(keep_empty_features, add_indicator, strategy):
    X, y = classes_table()
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, 1e5 + X)
    X[:, 2] = np.nan
    imputer = SimpleImputer(
        strategy=strategy, add_indicator=add_indicator, keep_empty_features=keep_empty_features
    )
    model = make_pipeline(imputer, StandardScaler(), classifier()).fit(X, y)
    assert_same(model, X[:2], X)


def test_what_skl2onnx_knows_is_left_to_it():
    X = pd.DataFrame({"a": [*"xyxy"] * 9, "b": ["p", "q", "gap", "q"] * 9})
    y = [0, 1, 1, 0] * 9
    steps = [SimpleImputer(missing_values="gap", strategy="most_frequent"), FunctionTransformer()]
    for step in steps:
        parts = make_column_transformer((make_pipeline(step, OneHotEncoder()), ["a", "b"]))
        model = make_pipeline(parts, LogisticRegression()).fit(X, y)
        found = run(pipeline_to_onnx(model, X), X)
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-6)
    model = make_pipeline(FunctionTransformer(np.abs), LogisticRegression())
    numbers = np.arange(36.0).reshape(-1, 1)
    message = "cannot convert a step of this Pipeline: FunctionTransformer is not .* to_onnx"
    with pytest.raises(RuntimeError, match=message):
        pipeline_to_onnx(model.fit(numbers, y), numbers)


def test_text():
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "fish", "tree", "stone", "sea"]
    texts = [" ".join(rng.choice(words, 8)) for _ in range(150)]
    y = ["cat" in text.split()[:3] for text in texts]
    # Lower case needs a locale that not every machine has.
    vectorizer = TfidfVectorizer(lowercase=False, dtype=np.float32)
    model = make_pipeline(vectorizer, classifier()).fit(texts, y)
    found = run(pipeline_to_onnx(model, texts[:2]), np.array(texts, dtype=object)[:, None])
    assert found["label"].tolist() == model.predict(texts).tolist()
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(texts), atol=1e-6)


# Tables of a few distinct rows: that many of them validate is beside the point.
@pytest.mark.filterwarnings("ignore:.* held out for validation:sklearn_mabprune.PruningWarning")
def test_categories_have_to_be_declared_as_strings():
    X, y = frame(90)
    model = make_tabular_pipeline(classifier()).fit(X[["truth"]], y)
    register_onnx_converters()
    kind = skl2onnx.common.data_types
    with pytest.raises(TypeError, match=r"must be strings in ONNX.*StringTensorType"):
        skl2onnx.to_onnx(model, initial_types=[("truth", kind.FloatTensorType([None, 1]))])
    made = skl2onnx.to_onnx(
        model,
        initial_types=[("truth", kind.StringTensorType([None, 1]))],
        options={id(model[-1]): {"zipmap": False}},
    )
    assert run(made, X[["truth"]])["label"].tolist() == model.predict(X[["truth"]]).tolist()
