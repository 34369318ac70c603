"""Targets with missing values, numbers as objects, weights of classes by their labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from user_nets import classifier, regressor

from sklearn_mabprune.data.targets import class_weights, complete, read_labels

X = np.random.default_rng(0).normal(size=(60, 4))
LABELS = np.where(X[:, 0] > 0, "a", "b").astype(object)
NUMBERS = (X[:, 0] > 0).astype(int)


def holed(values, hole):
    y = np.array(values, dtype=object)
    y[[3, 7]] = hole
    return y


@pytest.mark.parametrize("hole", [None, np.nan, float("nan"), pd.NA, pd.NaT])
@pytest.mark.parametrize("kind", [list, np.array, lambda y: pd.Series(y, dtype=object)])
@pytest.mark.parametrize("values", [LABELS, NUMBERS, X[:, 1]])
def test_missing_values_are_named(hole, kind, values):
    y = kind(holed(values, hole))
    message = r"^y has missing values, in sample 3 and 1 more: .* Remove these samples"
    with pytest.raises(ValueError, match=message):
        complete(y)
    model = classifier() if values is not X[:, 1] else regressor()
    with pytest.raises(ValueError, match=r"y has missing values, in sample 3 and 1 more"):
        model.fit(X, y)


def test_missing_values_of_arrays_of_numbers_are_named():
    numbers = np.where(np.arange(60) == 3, np.nan, NUMBERS)
    integers = pd.Series(NUMBERS, dtype="Int64").where(np.arange(60) != 3)
    for y in (numbers, numbers[:, None], pd.Series(numbers), integers):
        for model in (classifier(), regressor()):
            with pytest.raises(ValueError, match=r"^y has missing values, in sample 3: .* contain"):
                model.fit(X, y)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(LABELS, dtype="string").where(np.arange(60) != 3),
        pd.Series(LABELS).where(np.arange(60) != 3).astype("category"),
        pl.Series([*LABELS[:3], None, *LABELS[4:]]),
        pd.Series(pd.date_range("2020", periods=60)).where(np.arange(60) != 3),
    ],
    ids=["string", "category", "polars", "dates"],
)
def test_missing_values_of_frames_are_named(y):
    with pytest.raises(ValueError, match=r"y has missing values, in sample 3: .* contains NaN"):
        classifier().fit(X, y)


def test_missing_values_of_validation_and_of_one_of_two_targets():
    with pytest.raises(ValueError, match="y_val has missing values, in sample 3 and 1 more"):
        classifier().fit(X, LABELS, X_val=X, y_val=holed(LABELS, None))
    with pytest.raises(ValueError, match="y_val has missing values, in sample 3 and 1 more"):
        regressor().fit(X, X[:, 0], X_val=X, y_val=holed(X[:, 0], None))
    two = X[:, :2].astype(object)
    two[5, 1] = None
    with pytest.raises(ValueError, match="y has missing values, in sample 5: "):
        regressor().fit(X, two)


@pytest.mark.parametrize("values", [NUMBERS, NUMBERS.astype(float), NUMBERS.astype(bool)])
def test_numbers_as_objects_are_numbers(values):
    expected = classifier().fit(X, values)
    for y in (values.astype(object), pd.Series(values, dtype=object)):
        model = classifier().fit(X, y, X_val=X, y_val=y)
        assert model.classes_.dtype == expected.classes_.dtype
        model = classifier().fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
        np.testing.assert_array_equal(model.classes_, expected.classes_)


def test_numbers_as_objects_of_several_targets():
    sets = np.c_[NUMBERS, 1 - NUMBERS]
    model = classifier().fit(X, sets.astype(object))
    np.testing.assert_array_equal(
        model.predict_proba(X), classifier().fit(X, sets).predict_proba(X)
    )


def test_what_is_complete_is_given_back_as_it_is():
    for y in (NUMBERS, LABELS, X[:, :2], [1, 2], ["a", "b"], pd.Series(LABELS), None, {"a": 1}):
        assert complete(y) is y
    assert complete(np.array([True, False], dtype=object)).dtype == bool


def test_labels_of_two_types_are_refused():
    message = r"y has both strings and numbers, such as 'a' and 1\. Pass labels of one type: "
    with pytest.raises(ValueError, match=message):
        read_labels(np.array(["a", 1, "b"], dtype=object))
    with pytest.raises(ValueError, match="y has both strings and numbers, such as 'a' and True"):
        classifier().fit(X, np.where(np.arange(60) == 3, True, LABELS))


# ------------------------------------------------------------------------ weights of classes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "given"),
    [
        (["1", "2"], {"1": 1, "2": 3}),
        (["1e3", "1000"], {"1000": 3, "1e3": 1}),
        (["-1", "nan"], {"nan": 3}),
        ([1, 2], {1.0: 1, 2.0: 3}),
        ([1.0, 2.0], {1: 1, 2: 3}),
        ([False, True], {False: 1, True: 3}),
        ([False, True], {0: 1, 1: 3}),
    ],
)
def test_class_weights_are_looked_up_by_label(labels, given):
    classes, codes = np.unique(np.array(labels)[NUMBERS], return_inverse=True)
    heavy = next(label for label, weight in given.items() if weight == 3)
    expected = np.where(classes[codes] == heavy, 3.0, 1.0)
    assert 0 < (expected == 3).sum() < 60
    np.testing.assert_array_equal(class_weights(given, classes, codes), expected)
    model = classifier(class_weight=given).fit(X, classes[codes])
    same = classifier().fit(X, classes[codes], sample_weight=expected)
    np.testing.assert_array_equal(model.predict_proba(X), same.predict_proba(X))


def test_balanced_class_weights_of_strings_like_numbers():
    codes = np.repeat([0, 1], [45, 15])
    expected = np.repeat([60 / (2 * 45), 60 / (2 * 15)], [45, 15])
    np.testing.assert_array_equal(class_weights("balanced", np.array(["1", "01"]), codes), expected)


def test_class_weights_of_other_labels_are_refused():
    message = r"classes \['1', '2'\] are not in class_weight, which has \[1, 2\] that y does not"
    with pytest.raises(ValueError, match=message):
        classifier(class_weight={1: 1, 2: 3}).fit(X, np.where(NUMBERS, "1", "2"))


DAYS = pd.Series(pd.date_range("2020", periods=60))


@pytest.mark.parametrize(
    "y",
    [
        DAYS,
        DAYS.to_numpy(),
        DAYS - DAYS[0],
        DAYS.to_frame(),
        list(DAYS),
        list(DAYS.dt.date),
        DAYS.dt.to_period("D"),
        pl.Series(DAYS),
    ],
    ids=["dates", "array", "durations", "frame", "list", "plain dates", "periods", "polars"],
)
def test_dates_are_no_targets_of_a_regression(y):
    """NumPy would make nanoseconds of them, or microseconds."""
    with pytest.raises(ValueError, match=r"^y contains dates, times or durations.* days since a"):
        regressor().fit(X, y)
    with pytest.raises(ValueError, match=r"^y_val contains dates, times or durations"):
        regressor().fit(X, X[:, 0], X_val=X, y_val=y)
