"""Tables with columns of any kind, as frames of pandas and polars."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.utils import get_tags
from user_nets import classes_table, classifier, regressor, small_classifier, values_table

from sklearn_mabprune import PruningWarning, make_tabular_pipeline
from sklearn_mabprune.pipelines.kinds import read_categories


def frame(n_rows=90, seed=0):
    """Numbers and categories of every kind, gaps in all of them, and a target they decide."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "number": rng.normal(50, 20, n_rows),
            "single": rng.normal(size=n_rows).astype(np.float32),
            "count": rng.integers(0, 9, n_rows),
            "gaps": np.where(rng.random(n_rows) < 0.3, np.nan, rng.normal(size=n_rows)),
            "nullable": pd.array(rng.integers(0, 5, n_rows), dtype="Int64"),
            "empty": np.full(n_rows, np.nan),
            "constant": 1.0,
            "text": rng.choice(["red", "green", "blue"], n_rows),
            "category": pd.Categorical(rng.choice(["a", "b"], n_rows)),
            "truth": rng.random(n_rows) < 0.5,
            "maybe": pd.array(rng.random(n_rows) < 0.5, dtype="boolean"),
            "many": [f"id {k // 2}" for k in rng.permutation(n_rows)],
            "one": "always",
            "mixed": rng.choice(np.array([1, "1.5", "x"], dtype=object), n_rows),
        }
    )
    y = (X["number"] > 50) ^ (X["text"] == "red")
    for name in ("nullable", "text", "category", "maybe", "mixed"):
        X.loc[rng.random(n_rows) < 0.2, name] = None
    return X, np.where(y, "yes", "no")


def kinds(X):
    """What `make_tabular_pipeline` takes each column for."""
    columns = make_tabular_pipeline(LogisticRegression())[0].fit(X)
    found = columns.kinds_
    return {name: "number" if kind.is_number else "category" for name, kind in found.items()}


def test_what_comes_out_by_hand():
    X = pd.DataFrame({"n": [1.0, np.nan, 3.0], "c": ["a", None, "b"]})
    prepare = make_tabular_pipeline(LogisticRegression())[:-1].set_output(transform="pandas")
    found = prepare.fit_transform(X)
    assert [name.split("__")[-1] for name in found] == [
        "n", "missingindicator_n", "c_a", "c_b", "c_missing",
    ]  # fmt: skip
    spread = np.sqrt(2 / 3)
    half = np.sqrt(2) / 2
    np.testing.assert_allclose(
        found,
        [
            [-1 / spread, -half, 1, 0, 0],
            [0, 2 * half, 0, 0, 1],
            [1 / spread, -half, 0, 1, 0],
        ],
    )
    # Never seen: the median, and no category at all.
    new = prepare.transform(pd.DataFrame({"n": [np.nan], "c": ["z"]}))
    np.testing.assert_allclose(new, [[0, 2 * half, 0, 0, 0]])


def test_rare_categories_share_a_column_and_new_ones_join_them():
    X = pd.DataFrame({"c": ["a"] * 9 + ["b"] * 5 + ["r1", "r2", "r3"]})
    prepare = make_tabular_pipeline(LogisticRegression(), max_categories=3)[:-1].fit(X)
    shown = prepare.transform(pd.DataFrame({"c": ["a", "b", "r2", "new", None]}))
    np.testing.assert_array_equal(shown, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]])


def test_a_table_of_everything_is_learnt_from():
    X, y = frame(600)
    net = small_classifier(max_epochs=40)
    model = make_tabular_pipeline(classifier(net, pruning_budget=0.3)).fit(X[:480], y[:480])
    assert model.score(X[480:], y[480:]) > 0.6
    assert model.score(X[:480], y[:480]) > 0.8
    assert model[-1].n_features_in_ < 120
    # Rows and columns that fit has not seen the like of.
    new = X[480:].assign(text="violet", category="z", count=10**6, gaps=np.nan)
    with pytest.warns(
        PruningWarning, match="No category is known from fit in column 'text' .*column 'category'"
    ):
        assert set(model.predict(new)) <= {"yes", "no"}
    new.loc[480, ["text", "category"]] = ["red", "a"]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
    np.testing.assert_array_equal(
        clone(model).fit(X[:480], y[:480]).predict_proba(X), model.predict_proba(X)
    )


def test_polars_gives_what_pandas_gives():
    X, y = frame()
    X = X.drop(columns=["mixed", "category"])
    P = pl.from_pandas(X).with_columns(
        pl.col("text").cast(pl.Categorical).alias("text"),
        pl.when(pl.col("gaps").is_nan()).then(None).otherwise(pl.col("gaps")).alias("gaps"),
    )
    one, other = (make_tabular_pipeline(classifier()).fit(T, y) for T in (X, P))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(P), rtol=1e-9)


def test_regression_and_other_peoples_estimators():
    X, y = frame()
    values = np.where(y == "yes", 100.0, 50.0) + X["number"]
    model = make_tabular_pipeline(regressor(pruning_budget=0.2)).fit(X, values)
    assert model.predict(X).shape == (90,)
    assert model.score(X, values) > 0.3
    assert make_tabular_pipeline(Ridge()).fit(X, values).score(X, values) > 0.3


@pytest.mark.slow
def test_it_is_a_pipeline_like_any_other():
    X, y = frame()
    model = make_tabular_pipeline(classifier())
    grid = {
        "mabprunedclassifier__pruning_budget": [0, 0.5],
        "columntransformer__categories__max_categories": [2, 20],
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    widths = {
        m: clone(model).set_params(**{list(grid)[1]: m}).fit(X, y)[-1].n_features_in_
        for m in (2, 20)
    }
    assert widths[2] < widths[20]


def test_numbers_alone_stay_what_they_are():
    X, y = classes_table()
    for table in (X.astype(np.float32), pd.DataFrame(X.astype(np.float32))):
        model = make_tabular_pipeline(classifier()).fit(table, y)
        assert model[:-1].transform(table).dtype == np.float32
        assert model[-1].n_features_in_ == 6


@pytest.mark.parametrize(
    "dates",
    [
        pd.DataFrame({"x": [1.0, 2], "when": pd.to_datetime(["2020-01-01", "2021-01-01"])}),
        pd.DataFrame({"x": [1.0, 2], "when": pd.to_timedelta([1, 2], unit="D")}),
        pl.DataFrame({"x": [1.0, 2], "when": [dt.date(2020, 1, 1), dt.date(2021, 1, 1)]}),
        pd.DataFrame({"x": [1.0, 2], "when": [dt.date(2020, 1, 1), None]}),
        pd.DataFrame({"x": [1.0, 2], "when": [None, dt.time(12)]}),
        pd.DataFrame({"x": [1.0, 2], "when": pd.period_range("2020", periods=2, freq="Y")}),
    ],
)
def test_dates_are_refused_by_name(dates):
    with pytest.raises(ValueError, match=r"dates or times in 'when'.* Replace them by numbers"):
        make_tabular_pipeline(classifier()).fit(dates, [0, 1])


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 3, 4],
        [Decimal("1"), None, Decimal(3), Decimal("4.0")],
        [1.0, np.nan, 3, np.float32(4)],
        [1.0, None, 3.0, 4.0],
        [np.int8(1), Decimal("NaN"), 3, 4],
    ],
)
def test_objects_that_are_numbers_are_numbers(values):
    objects, y = pd.Series(values, dtype=object), [0, 1, 0, 1]
    X = pd.DataFrame({"n": objects, "c": list("abab")})
    floats = X.assign(n=[1.0, np.nan, 3.0, 4.0])
    model = make_tabular_pipeline(LogisticRegression())
    expected = clone(model).fit(floats, y)[:-1].transform(floats)
    np.testing.assert_allclose(model.fit(X, y)[:-1].transform(X), expected)
    np.testing.assert_allclose(model[:-1].transform(X[:1]), expected[:1])
    assert kinds(X.to_numpy()) == {0: "number", 1: "category"}


@pytest.mark.parametrize(
    "values", [[True, None, False], [None, None, np.nan], [1, True, 2], [1, "a"]]
)
def test_objects_that_are_no_numbers_are_categories(values):
    assert kinds(pd.DataFrame({"c": pd.Series(values, dtype=object)})) == {"c": "category"}


@pytest.mark.parametrize("names", [[2021, 2020], ["2021", "2020"]])
def test_years_as_names_are_found_whether_they_are_numbers_or_strings(names):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=names)
    prepare = make_tabular_pipeline(LogisticRegression())[:-1].fit(X)
    others = [int(x) if isinstance(x, str) else str(x) for x in names]
    expected, written = prepare.transform(X), X.set_axis(others, axis=1)
    for order in (others, others[::-1]):
        np.testing.assert_array_equal(prepare.transform(written[order]), expected)
    # other names, and none, are no years
    with pytest.raises(ValueError, match=r"columns are missing: '?2020"):
        prepare.transform(X.set_axis([others[0], "b"], axis=1))
    for nameless in (X.to_numpy(), X.set_axis([0, 1], axis=1)):
        with pytest.raises(ValueError, match="X has 2 features without names"):
            prepare.transform(nameless)


@pytest.mark.parametrize("estimator", [None, 3, "net"])
def test_what_is_no_estimator_is_refused(estimator):
    with pytest.raises(TypeError, match="is not an estimator: it has no fit method"):
        make_tabular_pipeline(estimator)
    with pytest.raises(TypeError, match=r"is a class. Pass an object: LogisticRegression\(\)"):
        make_tabular_pipeline(LogisticRegression)


@pytest.mark.parametrize(
    ("table", "got", "way_out"),
    [
        (sparse.csr_matrix(np.eye(4)), "a sparse matrix", "Pass sparse data to the estimator"),
        (np.arange(4.0), "an array of 1 dim", r"one sample is frame.iloc\[\[0\]\]"),
        (np.zeros((4, 2, 2)), "an array of 3 dim", "Pass a table of two dimensions"),
    ],
)
def test_what_is_no_table_is_refused(table, got, way_out):
    with pytest.raises(ValueError, match=f"X is {got}.* shape .n_samples, n_features.*{way_out}"):
        make_tabular_pipeline(classifier()).fit(table, [0, 1, 0, 1])


@pytest.mark.parametrize("gap", [pd.NA, pd.NaT, None, np.nan, Decimal("NaN")])
def test_missing_values_among_objects_are_read_in_fit_and_predict(gap):
    X = pd.DataFrame({"n": pd.Series([1, gap, 3, 8], dtype=object), "c": list("abab")})
    floats = X.assign(n=[1, np.nan, 3, 8])
    prepare = make_tabular_pipeline(LogisticRegression())[:-1].fit(X)
    expected = make_tabular_pipeline(LogisticRegression())[:-1].fit_transform(floats)
    np.testing.assert_array_equal(prepare.transform(X), expected)
    np.testing.assert_array_equal(prepare.transform(floats.astype({"n": "Float64"})), expected)
    row = pd.DataFrame([{"n": gap, "c": "b"}])
    np.testing.assert_array_equal(prepare.transform(row), expected[1:2])


@pytest.mark.slow
@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    columns=st.lists(
        st.one_of(
            st.lists(st.one_of(st.none(), st.floats(-9, 9)), min_size=6, max_size=6),
            st.lists(st.one_of(st.none(), st.sampled_from("abé ")), min_size=6, max_size=6),
            st.lists(st.one_of(st.none(), st.booleans()), min_size=6, max_size=6),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_columns_become_finite_numbers(columns):
    X = pd.DataFrame({f"c{k}": values for k, values in enumerate(columns)})
    prepare = make_tabular_pipeline(LogisticRegression())[:-1].fit(X[:4])
    found = prepare.transform(X)
    assert len(found) == 6
    assert found.dtype.kind == "f"
    assert np.isfinite(found).all()
    assert list(kinds(X)) == list(X.columns)


def test_gaps_of_every_kind_are_one_category():
    values = [None, np.nan, float("nan"), pd.NA, pd.NaT, np.float32("nan"), "", 0, False, "None"]
    found, names = read_categories("c", pd.Series(values, dtype=object))
    assert found.tolist() == ["missing"] * 6 + ["", "0", "0", "None"]
    assert set(names) == {"", "0", "None"}


# ------------------------------------------------------------- frames without a pipeline


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_frames_are_read_as_the_arrays_they_hold(kind):
    (X, y), make = (
        (classes_table(), classifier) if kind == "classifier" else (values_table(), regressor)
    )
    X = np.round(4 * X)
    expected = make().fit(X, y).predict(X)
    pandas = pd.DataFrame(X, columns=list("abcdef"))
    forms = {
        "float": pandas,
        "int": pandas.astype(int),
        "nullable": pandas.astype(int).astype("Int32"),
        "nullable float": pandas.astype("Float64"),
        "pyarrow": pandas.astype("float64[pyarrow]"),
        "objects": pandas.astype(object),
        "polars": pl.DataFrame(X, schema=list("abcdef")),
        "polars int": pl.DataFrame(X.astype(int), schema=list("abcdef")),
    }
    for name, table in forms.items():
        model = make().fit(table, y)
        np.testing.assert_array_equal(model.predict(table), expected, err_msg=name)
        assert model.feature_names_in_.tolist() == list("abcdef"), name
    flags = pandas > 0
    np.testing.assert_array_equal(
        make().fit(flags, y).predict(flags), make().fit(flags.astype(float), y).predict(flags)
    )


@pytest.mark.parametrize("library", ["pandas", "nullable", "polars"])
def test_float32_frames_are_computed_in_float32(library):
    X, y = classes_table()
    X = X.astype(np.float32)
    table = pd.DataFrame(X, columns=list("abcdef"))
    table = {
        "pandas": table, "nullable": table.astype("Float32"), "polars": pl.from_pandas(table)
    }[library]  # fmt: skip
    model = classifier().fit(table, y)
    assert model.predict_proba(table).dtype == np.float32
    np.testing.assert_array_equal(
        model.predict_proba(table), classifier().fit(X, y).predict_proba(X)
    )


def test_gaps_in_a_frame_are_refused_as_in_an_array():
    X, y = classes_table()
    table = pd.DataFrame(X).astype("Float64")
    table.iloc[3, 2] = pd.NA
    with pytest.raises(ValueError, match="contains NaN"):
        classifier().fit(table, y)


def test_a_selector_of_features_takes_missing_values():
    X = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0] * 10, "b": np.arange(40.0) % 7})
    y = np.arange(40) % 4 > 1
    pipe = make_tabular_pipeline(LogisticRegression())
    # It asks the pipeline whether NaN is allowed, and refused the table.
    assert get_tags(pipe).input_tags.allow_nan
    selector = SequentialFeatureSelector(pipe, n_features_to_select=1, cv=2).fit(X, y)
    assert selector.get_support().tolist() == [True, False]
