"""Pipelines as C headers: compiled by a C compiler, they compute what Python computes."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from user_nets import classes_table, labels_table, small_classifier, small_regressor

from benchmarks.shared.compiling import STRICT, Library, compiler
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    make_tabular_pipeline,
    pipeline_to_c,
)

N_SAMPLES = 150
QUICK = {"tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 0}
SMALL = {"module__hidden_layer_sizes": (8,), "max_epochs": 3}


def classifier():
    return MABPrunedClassifier(small_classifier(**SMALL), **QUICK)


def regressor():
    return MABPrunedRegressor(small_regressor(**SMALL), **QUICK)


def mixed_table():
    """Numbers, some far from 0 and some missing, and categories that are strings or numbers."""
    rng = np.random.default_rng(0)
    towns = ["Ulm", "Bonn", "K\u00f6ln", '"quoted"', "*/ evil", "rare 1", "rare 2"]
    frame = pd.DataFrame(
        {
            "year": 2000.0 + rng.integers(0, 9, N_SAMPLES),
            "size, m2": rng.normal(70.0, 20.0, N_SAMPLES).astype("float32"),
            "light": np.where(rng.random(N_SAMPLES) < 0.2, np.nan, rng.random(N_SAMPLES)),
            "town": rng.choice(towns, N_SAMPLES, p=[0.3, 0.3, 0.2, 0.08, 0.08, 0.02, 0.02]),
            "zone": rng.integers(0, 3, N_SAMPLES),
            "lift": rng.random(N_SAMPLES) < 0.5,
        }
    )
    frame["light"] = frame["light"].astype("float32").astype("float64")
    target = frame["size, m2"] / 20 + (frame["town"] == "Bonn") + frame["zone"]
    return frame, np.where(target > target.median(), "dear", "cheap"), target.to_numpy("float64")


def people():
    """As people have them: missing strings, decimal commas, codes that are numbers or booleans."""
    frame, y, _ = mixed_table()
    frame["price"] = [f"{value:.2f}".replace(".", ",") for value in frame["size, m2"]]
    frame["town"] = frame["town"].where(frame.index % 7 > 0, None)
    return frame, y


TEXT, NUMBERS = ["town"], ["year", "size, m2", "zone"]


columns = make_column_transformer


#: Pipelines by name; those whose names begin with "value" predict values.
PIPELINES = {
    "scaled": lambda: columns((StandardScaler(), NUMBERS)),
    "unscaled": lambda: columns((StandardScaler(with_mean=False, with_std=False), NUMBERS)),
    "ranges": lambda: columns(
        (MinMaxScaler((-1, 2), clip=True), ["year", "zone"]), (MaxAbsScaler(), ["size, m2"])
    ),
    "robust": lambda: columns((RobustScaler(), NUMBERS), (OneHotEncoder(), ["zone", "lift"])),
    "imputed": lambda: columns(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["light", "zone"]),
        (SimpleImputer(missing_values=0, strategy="most_frequent"), ["zone"]),
        remainder="drop",
    ),
    "rare": lambda: columns(
        (OneHotEncoder(min_frequency=8, handle_unknown="infrequent_if_exist"), TEXT),
        (StandardScaler(), ["size, m2"]),
    ),
    "dropped": lambda: columns(
        (OneHotEncoder(drop="first", min_frequency=8), [*TEXT, "zone"]),
        (OneHotEncoder(drop="if_binary", sparse_output=False), ["lift"]),
        ("passthrough", ["zone"]),
    ),
    "codes": lambda: columns(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=8),
            TEXT,
        ),
        (OrdinalEncoder(), ["zone"]),
        remainder=SimpleImputer(),
        sparse_threshold=0,
    ),
    "filled": lambda: columns(
        (make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()),
         TEXT),
        (StandardScaler(), make_column_selector("size|year")),
    ),
    "nested": lambda: make_pipeline(
        columns((StandardScaler(), NUMBERS), (OneHotEncoder(), slice("town", "lift"))),
        VarianceThreshold(),
        make_union(PCA(2, whiten=True), make_pipeline(TruncatedSVD(2), RobustScaler()),
                   SelectKBest(k=3), FunctionTransformer()),
    ),
    "few": lambda: make_pipeline(
        columns((StandardScaler(), NUMBERS), (OneHotEncoder(sparse_output=False), [*TEXT, "lift"])),
        SelectKBest(k=2),
    ),
    "value": lambda: columns((StandardScaler(), NUMBERS), (OneHotEncoder(), TEXT)),
    "value_masked": lambda: columns((StandardScaler(), [True, True, False, False, True, False])),
}  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Fitted pipelines with samples that their C forms are given, all in one library."""
    frame, y, target = mixed_table()
    models = {}
    for name, make in PIPELINES.items():
        if name.startswith("value"):
            models[name] = make_pipeline(make(), regressor()).fit(frame, target), frame
        else:
            models[name] = make_pipeline(make(), classifier()).fit(frame, y), frame
    table, y = people()
    models["people"] = make_tabular_pipeline(classifier(), max_categories=4).fit(table, y), table
    X, labels = labels_table(N_SAMPLES)
    X = X.astype(np.float32).astype(float)
    models["array"] = make_pipeline(StandardScaler(), classifier()).fit(X, labels), X
    grid = {"columntransformer__n_jobs": [None]}
    search = GridSearchCV(make_tabular_pipeline(classifier()), grid, cv=2)
    models["search"] = search.fit(X, y), X
    folder = tmp_path_factory.mktemp("pipelines")
    sources = {
        name: pipeline_to_c(model, folder / f"{name}.h", samples=X)
        for name, (model, X) in models.items()
    }
    return models, sources, Library(folder, sources), folder


def numbers_of(library, name, source, X):
    """Samples as the C function wants them: what are strings for it becomes its codes."""
    if not hasattr(X, "columns"):
        return X
    found = np.zeros(X.shape, np.float32)
    for k, column in enumerate(X.columns):
        if f"{name}_code({k}, " in source:
            code = library.function(name, "code", ctypes.c_float)
            strings = ["missing" if v is None or v != v else str(v) for v in X[column].tolist()]
            found[:, k] = [code(k, text.encode()) for text in strings]
        elif X[column].dtype.kind in "fiub":
            found[:, k] = X[column]
        elif f"x[{k}]  {column}: not read" not in source:
            found[:, k] = [float(text.replace(",", ".")) for text in X[column]]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PIPELINES, "people", "array", "search"])
def test_c_computes_what_python_computes(compiled, name):
    models, sources, library, _ = compiled
    model, X = models[name]
    found = library.outputs(name, numbers_of(library, name, sources[name], X))
    if name.startswith("value"):
        expected = model.predict(X)[:, None]
        assert (np.abs(found - expected) <= 1e-5 * np.maximum(np.abs(expected), 1)).all()
    else:
        np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5, rtol=0)


def test_missing_values_and_categories_in_every_form(compiled):
    _, sources, library, _ = compiled
    code = library.function("people", "code", ctypes.c_float)
    lift = [code(5, text) for text in (b"True", b"1", b"1.0", b"False", b"0", b"other")]
    assert lift == [1, 1, 1, 0, 0, -1]
    assert code(3, "K\u00f6ln".encode()) >= 0
    assert code(3, b"Koln") == code(0, b"2000") == code(99, b"Ulm") == -1
    X = compiled[0]["people"][1]
    numbers = numbers_of(library, "people", sources["people"], X)
    named = numbers[:, 3] == code(3, b"missing")
    assert named.any()
    expected = library.outputs("people", numbers)
    numbers[named, 3] = np.nan
    np.testing.assert_array_equal(library.outputs("people", numbers), expected)


def test_encoders_that_no_later_step_reads_are_left_out(compiled):
    models, sources, _, _ = compiled
    chosen = models["few"][0][0][1].get_support(indices=True)
    assert chosen.tolist() == [1, 2]
    source = sources["few"]
    for k, column in ((0, "year"), (3, "town"), (5, "lift")):
        unread = f" *   x[{k}]  {column}: not read" in source
        # Numbers are scaled together, so that all are read.
        assert unread == (column != "year")
    assert "one_hot" not in source
    assert "few_mark" not in source
    assert "few_code(" not in source
    assert "few_positions" not in source
    assert "one_hot" in sources["robust"]


def test_unknown_categories(compiled):
    models, sources, library, _ = compiled
    for name in ("rare", "codes"):
        model, X = models[name]
        X = X.head(5).assign(town="somewhere")
        found = library.outputs(name, numbers_of(library, name, sources[name], X))
        np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)
    model, X = models["dropped"]
    X = X.head(5).assign(town="somewhere")
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict_proba(X)
    found = library.outputs("dropped", numbers_of(library, "dropped", sources["dropped"], X))
    assert np.isnan(found).all()


def test_self_tests_pass(compiled):
    _, sources, _, folder = compiled
    for name in ("people", "nested"):
        file, program = folder / f"{name}.h", folder / f"{name}_test"
        assert file.read_text() == sources[name]
        command = [f"-D{name.upper()}_TEST", "-x", "c", file, "-o", program, "-lm"]
        subprocess.run([*compiler(), *STRICT, *command], check=True)
        done = subprocess.run([program], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{N_SAMPLES} samples, 2 outputs each: 0 wrong")
    # Every name of a column and category stands in a comment or a string.
    assert "size, m2" in sources["people"]
    assert "*/ evil" not in sources["people"].replace('"*/ evil"', "")


def test_frames_of_polars_and_frozen_steps_are_the_same():
    frame, y, _ = mixed_table()
    model = make_tabular_pipeline(classifier()).fit(pl.from_pandas(frame), y)
    sources = [
        pipeline_to_c(some, samples=samples.head(3))
        for some in (model, FrozenEstimator(model))
        for samples in (pl.from_pandas(frame), frame)
    ]
    assert len(set(sources)) == 1


def scaled_by(step):
    return make_pipeline(columns((StandardScaler(), NUMBERS), (step, TEXT)), classifier())


REFUSED = {
    "bins": (
        lambda: make_pipeline(columns((KBinsDiscretizer(2), NUMBERS)), classifier()),
        r"KBinsDiscretizer has no C form: it is none of CategoryEncoder, .* Replace the step",
    ),
    "function": (
        lambda: make_pipeline(columns((FunctionTransformer(np.log1p), NUMBERS)), classifier()),
        r"FunctionTransformer has no C form: its function log1p is code of Python",
    ),
    "end": (
        lambda: make_pipeline(columns((StandardScaler(), NUMBERS)), LogisticRegression()),
        r"LogisticRegression has no C form: the last step must be a pruned estimator",
    ),
    "weights": (
        lambda: make_pipeline(
            columns((StandardScaler(), NUMBERS)).set_params(
                transformer_weights={"standardscaler": 2.0}
            ),
            classifier(),
        ),
        r"ColumnTransformer has no C form: transformer_weights=\{'standardscaler': 2\.0\}",
    ),
    "text": (
        lambda: make_pipeline(columns((CountVectorizer(), "town")), classifier()),
        r"CountVectorizer has no C form: it reads column 'town' alone, as text",
    ),
    "mark": (
        lambda: scaled_by(
            make_pipeline(
                SimpleImputer(missing_values="Ulm", strategy="most_frequent"), OneHotEncoder()
            )
        ),
        r"SimpleImputer has no C form: missing_values='Ulm'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_steps_without_a_form_are_refused_by_name(name, tmp_path):
    make, message = REFUSED[name]
    frame, y, _ = mixed_table()
    model = make().fit(frame, y)
    with pytest.raises(RuntimeError, match=message):
        pipeline_to_c(model, tmp_path / "model.h")
    assert not list(tmp_path.iterdir())


def test_categories_that_c_cannot_tell_apart_are_refused():
    X, y = classes_table(n_classes=2)
    odd = np.array([1.0, 1.0 + 1e-9, 7.0])[np.arange(len(X)) % 3]
    model = make_pipeline(OneHotEncoder(), classifier()).fit(odd[:, None], y)
    with pytest.raises(RuntimeError, match="categories of column 0 are equal in float32"):
        pipeline_to_c(model)
    model[0].categories_ = [np.array(["a", 1], dtype=object)]
    with pytest.raises(RuntimeError, match="'a', 1 of column 0 are neither all numbers nor all"):
        pipeline_to_c(model)
    with pytest.raises(NotFittedError, match="not fitted"):
        pipeline_to_c(make_pipeline(StandardScaler(), classifier()))
