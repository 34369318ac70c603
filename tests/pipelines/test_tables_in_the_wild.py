"""Tables as people have them: names, numbers and categories that are written in other ways."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from user_nets import classifier

from sklearn_mabprune import PruningWarning, make_tabular_pipeline
from sklearn_mabprune.pipelines.number_strings import parse, sort_strings

RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(1000, 900, 60), 2)
Y = [0, 1] * 30


def fit(X, y=None):
    """The preprocessing alone."""
    return make_tabular_pipeline(classifier())[:-1].fit(X, y)


def is_number(X, name):
    return fit(X)[0].kinds_[name].is_number


# ------------------------------------------------------------------------ names of columns


@pytest.mark.parametrize("names", [[0, 1, 2], [2, 0, 1], [7, 1, 3], [True, False, 5], ["a", 1, 0]])
def test_names_that_are_no_strings_are_names(names):
    X = pd.DataFrame({"n": NUMBERS, "c": ["a", "b"] * 30, "g": pd.Categorical([1, 2, 3] * 20)})
    expected = fit(X).transform(X)
    X.columns = names
    prepare = fit(X)
    np.testing.assert_array_equal(prepare.transform(X), expected)
    for order in (names[::-1], [names[1], names[2], names[0]]):
        np.testing.assert_array_equal(prepare.transform(X[order]), expected)
        # the order of fit decides the order of the output, and nothing else
        assert fit(X[order]).transform(X).sum() == pytest.approx(expected.sum())
    assert prepare.transform(X.assign(more="x")).shape == expected.shape
    assert prepare.feature_names_in_.tolist() == list(map(str, names))


def test_the_target_from_the_middle_of_a_table_without_a_header():
    X = pd.DataFrame(RNG.normal(size=(60, 5)))
    X[3] = ["x", "y"] * 30
    y = X.pop(2) > 0
    model = make_tabular_pipeline(classifier()).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), model.predict(X[[4, 3, 1, 0]]))


def test_arrays_and_frames_without_names_are_the_same_table():
    X = RNG.normal(size=(60, 3))
    frame = pd.DataFrame(X)
    np.testing.assert_array_equal(fit(X).transform(frame[[2, 0, 1]]), fit(X).transform(X))
    np.testing.assert_array_equal(fit(frame).transform(X), fit(frame).transform(frame))
    with pytest.raises(ValueError, match="X has 2 features without names, but fit has seen 3"):
        fit(frame).transform(X[:, :2])
    with pytest.raises(ValueError, match="columns are missing: 'b'"):
        fit(frame.set_axis(list("abc"), axis=1)).transform(
            frame[[0, 1]].set_axis(["a", "c"], axis=1)
        )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            pd.MultiIndex.from_tuples([("v", "mean"), ("v", "std")]),
            r"several levels, such as .*join",
        ),
        (["a", "a"], "Two columns of X have the name 'a'"),
        ([1, "1"], "names 1 and '1' of columns of X differ in their type alone"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names, message):
    X = pd.DataFrame(RNG.normal(size=(60, 2)), columns=names)
    with pytest.raises(ValueError, match=message):
        fit(X)


# ------------------------------------------------------------------------ equal categories


@pytest.mark.parametrize(
    "other", ["int64", "float64", "float32", "uint8", "Int64", "Float64", "category", object]
)
def test_equal_numbers_are_equal_categories(other):
    codes = np.array([1, 2, 3, 1, 0] * 12)
    X = pd.DataFrame({"g": pd.Categorical(codes), "x": NUMBERS})
    prepare = fit(X)
    expected = prepare.transform(X)
    found = X.assign(g=pd.Series(codes)).astype({"g": other})
    np.testing.assert_array_equal(prepare.transform(found), expected)
    # one missing value makes floats of integers
    gap = X.assign(g=pd.Series(codes.astype(float)).where(np.arange(60) > 0))
    np.testing.assert_array_equal(prepare.transform(gap)[1:], expected[1:])


def test_booleans_are_the_numbers_that_they_equal():
    X = pd.DataFrame({"flag": [True, False] * 30})
    prepare = fit(X)
    for form in (int, float, "boolean", object, "category"):
        np.testing.assert_array_equal(prepare.transform(X.astype(form)), prepare.transform(X))
    np.testing.assert_array_equal(prepare.transform(pl.from_pandas(X)), prepare.transform(X))


@pytest.mark.slow
@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_is_the_category_of_its_equals(number):
    forms = [number, float(number), np.float64(number), Decimal(number), Fraction(number)]
    forms += [int(number)] * (number == int(number))
    forms = [form for form in forms if form == number]
    prepare = fit(pd.DataFrame({"c": pd.Series([number, "text", True], dtype=object)}))
    for form in forms:
        found = prepare.transform(pd.DataFrame({"c": pd.Series([form], dtype=object)}))
        expected = prepare.transform(pd.DataFrame({"c": pd.Series([number], dtype=object)}))
        np.testing.assert_array_equal(found, expected)


def test_strings_stay_strings():
    X = pd.DataFrame({"c": ["1", "1.0", "01", "True"] * 15})
    assert fit(X).transform(X).shape == (60, 4)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_columns_without_a_known_category_are_named(library):
    X = {"n": NUMBERS, "size": ["s", "m", "l"] * 20}
    prepare = fit(library(X))
    with pytest.warns(
        PruningWarning, match="No category is known from fit in column 'size' .now 'S', 'M'"
    ):
        prepare.transform(library({**X, "size": ["S", "M", "L"] * 20}))
    prepare.transform(library({**X, "size": ["s", "M", "L"] * 20}))
    prepare.transform(library(X)[:1])


# ------------------------------------------------------------------- numbers among strings


@pytest.mark.parametrize(
    "mark", ["?", "-", "N/A", "n/a", "", " ", "--", "NULL", "nan", "#N/A", "."]
)
@pytest.mark.parametrize("form", [str, object])
def test_marks_of_missing_values_among_numbers(mark, form):
    numbers = pd.DataFrame({"p": NUMBERS, "q": NUMBERS[::-1]})
    numbers.loc[5, "p"] = np.nan
    marked = numbers.astype({"p": object})
    marked["p"] = [mark if k == 5 else form(v) for k, v in enumerate(NUMBERS)] if form is str else [
        mark if k == 5 else v for k, v in enumerate(NUMBERS)
    ]  # fmt: skip
    expected = fit(numbers).transform(numbers)
    np.testing.assert_allclose(fit(marked).transform(marked), expected)
    # and at predict alone
    np.testing.assert_allclose(fit(numbers).transform(marked), expected)
    np.testing.assert_allclose(fit(numbers).transform(pl.from_pandas(marked.astype(str))), expected)


@pytest.mark.parametrize(
    "write",
    [
        lambda v: f"{v:.2f}".replace(".", ","),
        lambda v: f"{v:,.2f}",
        lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")),
        lambda v: f"{v:,.2f}".replace(",", "'"),
        lambda v: f"{v:,.2f}".replace(",", "\u00a0"),
        lambda v: f" {v:.2f} ",
        lambda v: f"{v:.2e}",
    ],
)
def test_numbers_as_they_are_written(write):
    X = pd.DataFrame({"p": [write(v) for v in NUMBERS]})
    numbers = pd.DataFrame(
        {"p": [float(f"{v:.2e}") for v in NUMBERS] if "e" in write(1.0) else NUMBERS}
    )
    prepare = fit(X)
    np.testing.assert_allclose(prepare.transform(X), fit(numbers).transform(numbers), rtol=1e-9)
    np.testing.assert_allclose(prepare.transform(X[3:4]), fit(numbers).transform(numbers[3:4]))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.floats(-1e9, 1e9).map(lambda v: round(v, 2)))
def test_every_style_is_read_back(number):
    plain, english = repr(number), f"{number:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    for text, style in (
        (plain, "decimal points"),
        (german, "decimal commas"),
        (english, "thousands separators"),
    ):
        assert parse(text, style) == number


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [*NUMBERS[:58], "abc", "abc"],
            "'p' .58 of 60 values .*others: 'abc'",
        ),
        ([*map(str, NUMBERS[:58]), "<5", "?"], "58 of 60 values are numbers, others: '<5', '.'"),
        ([f"{k + 1},{k + 100}" for k in range(60)], "60 of 60 .*'1,100' has two readings"),
        ([*map(str, range(1, 6)), "?"] * 10, "50 of 60 values are numbers, others: '.'"),
        (["1,5", "2,5"] * 30, "60 of 60 values are numbers"),
    ],
)
def test_numbers_that_are_not_certain_are_named(values, message):
    X = pd.DataFrame({"p": pd.Series(values, dtype=object)})
    with pytest.warns(PruningWarning, match=message):
        assert not is_number(X, "p")


def test_one_warning_names_all_columns():
    X = pd.DataFrame({f"p{k}": [*NUMBERS[:58], "abc", "abc"] for k in range(3)})
    with pytest.warns(PruningWarning, match=r"'p0' \(.*'p1' \(.*'p2' \(") as caught:
        prepare = fit(X)
    assert len(caught) == 1
    with pytest.warns(PruningWarning, match="column 'p0'.*column 'p1'.*column 'p2'") as caught:
        prepare.transform(X.astype(str).map(lambda value: "v" + value))
    assert len(caught) == 1


@pytest.mark.parametrize(
    "values",
    [
        ["1", "2", "3"] * 20,
        ["0.5", "1.0", "2.0"] * 20,
        [str(k) for k in range(30)] * 2,
        [f"{k:05d}" for k in range(30)] * 2,
        ["a", "b", "1"] * 20,
        [f"item {k}" for k in range(30)] * 2,
        ["?", "-", "N/A"] * 20,
        pd.Categorical([f"{v}" for v in NUMBERS[:30]] * 2),
    ],
)
def test_codes_and_words_are_categories(values):
    assert not is_number(pd.DataFrame({"p": values}), "p")


def test_strings_of_two_readings_are_known_as_such():
    assert sort_strings(["1.5", "2", "?"]).is_certain
    assert not sort_strings(["1,234", "5,678"]).is_certain
    assert sort_strings(["1,234", "5.5"]).style == "thousands separators"
    assert sort_strings(["1,234", "5,5"]).style == "decimal commas"
    assert sort_strings(["1 234", "5 678 901"]).is_certain


def test_other_values_in_a_column_of_numbers_are_named():
    X = pd.DataFrame({"a": np.full(60, np.nan), "x": NUMBERS})
    prepare = fit(X)
    for form in (pd.DataFrame, pl.DataFrame):
        wrong = form({"a": ["red", "blue"] * 30, "x": NUMBERS})
        with pytest.raises(
            ValueError, match=r"Column 'a' .* now other values in 60 of 60 cells: 'red', 'blue'"
        ):
            prepare.transform(wrong)
    with pytest.raises(ValueError, match=r"Column 'x' .* now other values in 1 of 60 cells: '1,5'"):
        prepare.transform(X.assign(x=["1,5", *NUMBERS[1:].astype(str)]))
    dates = X.assign(x=pd.date_range("2020", periods=60))
    with pytest.raises(ValueError, match="dates or times in 'x'"):
        prepare.transform(dates)


# ----------------------------------------------------------------------------- refused cells


@pytest.mark.parametrize(
    "cell", [[1.0, 2.0], (1, 2), {1, 2}, {"a": 1}, np.arange(2), frozenset([1]), pd.Series([1, 2])]
)
@pytest.mark.parametrize("n", [60, 300])
def test_cells_of_several_values_are_refused(cell, n):
    X = pd.DataFrame({"x": np.arange(float(n)), "emb": "text"}).astype({"emb": object})
    X.at[n // 2, "emb"] = cell
    message = f"Column 'emb' contains cells of type {type(cell).__name__}"
    with pytest.raises(ValueError, match=message):
        fit(X)
    with pytest.raises(ValueError, match=message):
        fit(X.assign(emb="text")).transform(X)


def test_lists_of_polars_are_refused():
    X = pl.DataFrame({"x": [1.0, 2.0], "emb": [[1.0, 2.0], [3.0, 4.0]]})
    with pytest.raises(ValueError, match="Column 'emb' contains cells of type list"):
        fit(X)


@pytest.mark.parametrize(
    "write",
    [
        "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d",
        "%m/%d/%y", "%d %b %Y", "%d-%b-%y", "%B %d, %Y", "%Y-%m", "%H:%M", "%I:%M %p",
    ],
)  # fmt: skip
@pytest.mark.parametrize("gap", [None, "?"])
def test_dates_as_strings_are_refused(write, gap):
    days = [dt.datetime(2015, 3, 1) + dt.timedelta(days=k, minutes=k) for k in range(60)]
    X = pd.DataFrame({"x": NUMBERS, "when": [gap, *(day.strftime(write) for day in days[1:])]})
    with pytest.raises(ValueError, match="dates or times in 'when' as strings such as"):
        fit(X)
    with pytest.raises(ValueError, match="dates or times in 'when' as strings such as"):
        fit(pl.from_pandas(X))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", object, "polars"])
def test_infinite_numbers_are_named(value, dtype):
    good = pd.DataFrame({"x": NUMBERS, "y": NUMBERS})
    bad = good.astype("float64")
    bad.loc[7, "y"] = value
    bad = pl.from_pandas(bad) if dtype == "polars" else bad.astype(dtype)
    message = "Input X contains infinity in column 'y' .1 of 60 values.. Replace it"
    with pytest.raises(ValueError, match=message):
        fit(bad)
    with pytest.raises(ValueError, match=message):
        fit(good).transform(bad)


@pytest.mark.parametrize("value", [10**400, 1j])
def test_numbers_that_no_float_holds_are_named(value):
    with pytest.raises(ValueError, match=r"contains infinity in column 'x'|'x' contains complex"):
        fit(pd.DataFrame({"x": pd.Series([value, 1.0] * 30, dtype=object)}))


def test_dictionaries_are_refused():
    with pytest.raises(TypeError, match=r"X is a dictionary.* Pass pandas.DataFrame\(X\)"):
        fit({"a": NUMBERS})


# ------------------------------------------------------------- metadata, sparse output, pandas


def test_sample_weights_pass_when_routing_is_enabled():
    X = pd.DataFrame({"n": NUMBERS, "c": ["a", "b", None] * 20})
    weights = RNG.random(60)
    expected = make_tabular_pipeline(classifier()).fit(
        X, Y, mabprunedclassifier__sample_weight=weights
    )
    with sklearn.config_context(enable_metadata_routing=True):
        net = classifier().set_fit_request(sample_weight=True)
        model = make_tabular_pipeline(net).fit(X, Y, sample_weight=weights)
        values = {"X_val": X[:20], "y_val": Y[:20]}
        net = classifier().set_fit_request(X_val=True, y_val=True)
        other = make_tabular_pipeline(net).set_params(transform_input=["X_val"])
        assert other.fit(X, Y, **values)[-1].validation_fraction_ == 0.0
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def many_categories(n=600):
    rng = np.random.default_rng(1)
    values = [f"v{k}" for k in range(50)]
    return pd.DataFrame(
        {"n": rng.normal(size=n), **{f"c{k}": rng.choice(values, n) for k in range(8)}}
    )


def test_many_categories_stay_sparse():
    X = many_categories()
    found = fit(X).transform(X)
    assert sparse.issparse(found)
    dense = make_tabular_pipeline(HistGradientBoostingClassifier())[:-1].fit_transform(X)
    assert isinstance(dense, np.ndarray)
    np.testing.assert_array_equal(found.toarray(), dense)
    few = X[["n", "c0"]].assign(c0=X["c0"].str[:2])
    assert isinstance(fit(few).transform(few), np.ndarray)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_sparse_categories_become_frames_when_asked_for(container):
    X = many_categories()
    with sklearn.config_context(transform_output=container):
        found = fit(X).transform(X)
    asked = make_tabular_pipeline(classifier())[:-1].set_output(transform=container)
    other = asked.fit_transform(X)
    for frame in (found, other):
        assert type(frame).__module__.startswith(container)
        np.testing.assert_array_equal(frame.to_numpy(), fit(X).transform(X).toarray())
        assert list(frame.columns)[:2] == ["numbers__n", "categories__c0_v0"]


def test_a_pruned_network_of_sparse_categories():
    X = many_categories()
    y = X["c0"].str[-1].astype(int) > 4
    model = make_tabular_pipeline(classifier()).fit(X, y)
    dense = make_tabular_pipeline(classifier()).set_params(columntransformer__sparse_threshold=0)
    np.testing.assert_allclose(model.predict_proba(X), dense.fit(X, y).predict_proba(X), atol=1e-6)
