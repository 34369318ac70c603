"""Features, targets, weights and validation rows that cannot be used."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from refusals import refused
from scipy import sparse
from user_nets import classes_table, classifier, fitted, regressor, values_table

from sklearn_mabprune import MABPrunedClassifier, PruningWarning
from sklearn_mabprune.data.features import read_table


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "inf")]
)
def test_values_that_are_no_numbers(value, word):
    X, y = classes_table()
    wrong = X.copy()
    wrong[3, 2] = value
    refused(classifier(), f"Input X contains {word}", wrong, y)
    message = f"X_val cannot be used: Input X contains {word}"
    refused(classifier(), message, X, y, X_val=wrong, y_val=y)
    model, _, _ = fitted("classifier")
    with pytest.raises(ValueError, match=f"Input X contains {word}"):
        model.predict(wrong)
    w = np.ones(len(y))
    w[5] = value
    refused(classifier(), f"Input sample_weight contains {word}", X, y, sample_weight=w)
    X, y = values_table()
    wrong = y.copy()
    wrong[7] = value
    refused(regressor(), f"Input y contains {word}", X, wrong)
    refused(regressor(), f"Input y_val contains {word}", X, y, X_val=X, y_val=wrong)


X, Y = classes_table()


@pytest.mark.parametrize(
    ("data", "message", "error"),
    [
        ((X, np.zeros(120, int)), "needs at least 2 classes, the data has 1 class: 0", ValueError),
        ((X, np.full(120, "yes")), "the data has 1 class: 'yes'", ValueError),
        ((X, X[:, 0]), "Unknown label type: continuous", ValueError),
        ((X, Y[:7]), r"inconsistent numbers of samples: \[120, 7\]", ValueError),
        ((X[:, 0], Y), "Expected 2D array, got 1D array instead", ValueError),
        ((X[:1], Y[:1]), "minimum of 2 is required", ValueError),
        ((X[:, :0], Y), r"0 feature\(s\)", ValueError),
        (
            (np.full((120, 2), "red"), Y),
            r"X contains strings .*make_tabular_pipeline\(",
            ValueError,
        ),
        (
            (["good film", "bad film"] * 60, Y),
            r"X contains strings, one for each sample, .*make_pipeline\(TfidfVectorizer\(\), est",
            ValueError,
        ),
        (
            (np.where(X > 2, np.nan, X), Y),
            r"NaN in columns 0, .*Put a SimpleImputer before it, or use make_tabular_pipeline\(",
            ValueError,
        ),
        (
            (pd.DataFrame({"a": X[:, 0], "b": "red"}), Y),
            "strings or categories in column 'b', but",
            ValueError,
        ),
        (
            (
                pl.DataFrame(
                    {"a": X[:, 0], "b": ["red"] * 120, "c": ["7"] * 120, "d": ["x"] * 120}
                ),
                Y,
            ),
            "strings or categories in columns 'b', 'd', but",
            ValueError,
        ),
        ((sparse.csr_array(X * [[np.nan] + 5 * [1]]), Y), "Input X contains NaN", ValueError),
        ((X + 1j, Y), "Complex data not supported", ValueError),
    ],
)
def test_tables_that_cannot_be_used(data, message, error):
    refused(classifier(), message, *data, error=error)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "polars"])
def test_missing_and_infinite_values_are_found_by_column(value, dtype):
    table = pd.DataFrame(X.copy(), columns=list("abcdef"))
    table.loc[7, ["c", "e"]] = value
    table = pl.from_pandas(table) if dtype == "polars" else table.astype(dtype)
    word = "NaN" if np.isnan(value) else "infinity"
    refused(classifier(), f"Input X contains {word} in columns 'c', 'e'", table, Y)


@pytest.mark.parametrize(
    "dates",
    [
        pd.date_range("2020", periods=120),
        pd.timedelta_range("1h", periods=120),
        pd.period_range("2020", periods=120, freq="D"),
    ],
)
@pytest.mark.parametrize("others", [{}, {"x": X[:, 0]}])
def test_dates_are_refused_by_name(dates, others):
    table = pd.DataFrame({**others, "when": dates})
    refused(classifier(), "X contains dates or times in column 'when', but a network", table, Y)
    if not isinstance(dates, pd.PeriodIndex):
        array = table[["when"]].to_numpy()
        refused(classifier(), "X contains dates or times, but a network needs numbers", array, Y)
        table = pl.from_pandas(table)
        refused(classifier(), "X contains dates or times in column 'when', but", table, Y)


@pytest.mark.parametrize(
    "cells", [[dt.date(2020, 1, 1)] * 120, [[1.0, 2.0]] * 120, [{"a": 1}] * 120, [pd.NA] * 120]
)
def test_objects_are_refused_by_name(cells):
    table = pd.DataFrame({"x": X[:, 0], "cells": pd.Series(cells, dtype=object)})
    message = "X contains objects other than numbers in column 'cells', but a network needs"
    error = ValueError if isinstance(cells[0], list) else TypeError
    refused(classifier(), message, table, Y, error=error)


@pytest.mark.parametrize("container", [{"X": X}, [{"a": 1.0}] * 120, ({"a": 1.0},) * 120])
def test_dictionaries_are_no_tables(container):
    message = r"X is a (list of )?dictionar.*must be an array, .* Pass pandas.DataFrame\(X\)"
    refused(classifier(), message, container, Y, error=TypeError)
    model, _, _ = fitted("classifier")
    with pytest.raises(TypeError, match=message):
        model.predict(container)


@pytest.mark.parametrize(
    "wrong",
    [
        pd.DataFrame(X, columns=list("abcdef")).assign(b="red"),
        pd.DataFrame(X[:, :4], columns=list("abcd")),
        pd.DataFrame(np.nan, index=range(120), columns=list("abcdef")),
    ],
)
def test_validation_rows_of_a_pipeline_have_to_be_transformed(wrong):
    message = (
        r"X_val cannot be used: .*pipe\[:-1\].fit\(X, y\).transform\(X_val\).*transform_input="
    )
    table = pd.DataFrame(X, columns=list("abcdef"))
    refused(classifier(), f"(?s){message}", table, Y, X_val=wrong, y_val=Y)


def test_a_lazy_frame_has_no_rows():
    lazy = pl.DataFrame(X).lazy()
    refused(classifier(), r"X is a LazyFrame, .* Pass X.collect\(\)", lazy, Y, error=TypeError)


@pytest.mark.parametrize("dtype", [str, object])
def test_values_that_are_text(dtype):
    rows, y = values_table()
    refused(
        regressor(),
        "y contains strings, but a regressor needs numeric targets",
        rows,
        np.full(len(y), "a", dtype),
    )
    table = np.full(rows.shape, "a", dtype)
    refused(regressor(), "X contains strings or categories", table, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(120), "Negative values in data passed to `sample_weight`"),
        (np.zeros(120), "at least one non-zero"),
        (np.ones(7), r"sample_weight.shape == \(7,\), expected \(120,\)"),
        ((Y == 0) * 1.0, "the data has 1 class: 0"),
    ],
)
def test_weights_that_cannot_be_used(weights, message):
    refused(classifier(), message, X, Y, sample_weight=weights)


def test_class_weights_that_cannot_be_used():
    refused(
        classifier(class_weight={0: 0, 1: 0, 2: 0}),
        "gives every sample the weight 0. Pass a positive weight",
    )
    refused(classifier(class_weight={0: 1, "b": 1}), "are not in class_weight")
    for value in (-1, None, np.nan, np.inf, "2", True):
        message = f"class_weight has {value!r} for the class 1: pass a finite number of at least 0"
        refused(classifier(class_weight={0: 1, 1: value, 2: 1}), message)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"X_val": X}, "X_val was given without y_val: pass both or neither"),
        ({"y_val": Y}, "y_val was given without X_val: pass both or neither"),
        ({"X_val": X, "y_val": Y + 1}, r"y_val has classes that are not in y: \[3\]"),
        ({"X_val": X, "y_val": Y[:5]}, r"X_val has 120 samples, but y_val has 5"),
        (
            {"X_val": X[:, :4], "y_val": Y},
            "X_val cannot be used: X has 4 features, but MABPrunedClassifier is expecting 6",
        ),
    ],
)
def test_validation_rows_that_cannot_be_used(table, message):
    refused(classifier(), message, X, Y, **table)


def test_validation_targets_of_another_number():
    rows, y = values_table(n_targets=2)
    refused(regressor(), "y_val has 1 target, y has 2", rows, y, X_val=rows, y_val=y[:, 0])


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_prediction_on_other_features(kind):
    model, rows, y = fitted(kind)
    name = type(model).__name__
    with pytest.raises(ValueError, match=f"X has 3 features, but {name} is expecting 6 features"):
        model.predict(rows[:, :3])
    model.fit(pd.DataFrame(rows, columns=list("abcdef")), y)
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- z"):
        model.predict(pd.DataFrame(rows, columns=list("abcdez")))


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_too_few_rows_for_a_split(kind):
    rows, y = (X[:6], np.array([0, 0, 0, 1, 2, 1])) if kind == "classifier" else values_table(3)
    make = classifier if kind == "classifier" else regressor
    if kind == "classifier":
        rows, y = rows[:3], y[2:5]
    model = make()
    message = r"too few to hold out validation samples \(validation_fraction=0.1\).*X_val"
    with pytest.warns(PruningWarning, match=message):
        model.fit(rows, y)
    assert model.validation_fraction_ == 1.0
    assert model.pruning_report_.n_validation == 3
    assert len(model.predict(rows)) == 3


def test_one_sample_of_several_axes_without_the_axis_of_samples():
    images = np.zeros((4, 6, 3))
    estimator = MABPrunedClassifier()
    read_table(estimator, images, any_shape=True)
    for sample, message in (
        (images[0], r"X has shape \(6, 3\), the shape of one sample .* pass X\[None\]"),
        (images[:, 0], r"Each sample of X has shape \(3,\), .* samples of shape \(6, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            read_table(estimator, sample, any_shape=True, reset=False)
