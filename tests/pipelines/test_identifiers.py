"""Columns of identifiers, which say nothing of new samples, and numbers with units."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from user_nets import classifier

from sklearn_mabprune import PruningWarning, make_tabular_pipeline, pipeline_to_c, pipeline_to_onnx

RNG = np.random.default_rng(0)
N = 90
NUMBERS, GROUPS = RNG.normal(size=N), RNG.choice(["u", "v"], N)
PLAIN = pd.DataFrame({"x": NUMBERS, "g": GROUPS})
IDS = [f"A-{k}" for k in 10000 + RNG.permutation(N)]
TABLE = pd.DataFrame({"id": IDS, "x": NUMBERS, "g": GROUPS})
Y = ((NUMBERS > 0) ^ (GROUPS == "u")).astype(int)
LEFT_OUT = r"Columns are left out .*'id' \(90 of 90 values, such as 'A-100.*, occur once\).* Drop"
# Of few epochs.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The trained network is worse"),
    pytest.mark.filterwarnings("ignore:pruning_budget"),
]


def prepare(X):
    return make_tabular_pipeline(LogisticRegression())[:-1].fit(X)


@pytest.mark.parametrize("form", [pd.DataFrame, pl.from_pandas, lambda X: X.to_numpy(dtype=object)])
def test_identifiers_are_left_out_and_named(form):
    name = r"left out .* 0 \(90 of" if isinstance(form(TABLE), np.ndarray) else LEFT_OUT
    with pytest.warns(PruningWarning, match=name) as caught:
        fitted = prepare(form(TABLE))
    assert len(caught) == 1
    np.testing.assert_array_equal(
        fitted.transform(form(TABLE)), prepare(form(PLAIN)).transform(form(PLAIN))
    )
    other = TABLE.assign(id="B-1")
    np.testing.assert_array_equal(fitted.transform(form(other)), fitted.transform(form(TABLE)))


@pytest.mark.filterwarnings("ignore:Columns are left out")
def test_new_samples_may_lack_identifiers():
    fitted = prepare(TABLE)
    for new in (PLAIN, PLAIN[["g", "x"]], pl.from_pandas(PLAIN)):
        np.testing.assert_array_equal(fitted.transform(new), fitted.transform(TABLE))
    with pytest.raises(ValueError, match=r"columns are missing: 'x'. Pass"):
        fitted.transform(TABLE[["id", "g"]])
    array = prepare(TABLE.to_numpy(dtype=object))
    with pytest.raises(ValueError, match="X has 2 features without names, but fit has seen 3"):
        array.transform(PLAIN.to_numpy(dtype=object))


@pytest.mark.parametrize(
    "values",
    [
        IDS[:87] + IDS[:3],  # 93 % occur once
        [f"name {k // 2}" for k in range(N)],
        np.round(NUMBERS, 9),
        RNG.permutation(N),
        [*map(str, np.round(NUMBERS, 9))],
        [f"c{k}" for k in RNG.integers(40, size=N)],
        [None] * 80 + [f"note {k}" for k in range(10)],
        pd.Series([None, "yes"] * 45, dtype=object),
    ],
)
def test_other_columns_are_no_identifiers(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = prepare(PLAIN.assign(c=values))
    assert not fitted[0].kinds_["c"].identifier


@pytest.mark.parametrize(
    "values",
    [
        IDS[:88] + IDS[:2],
        pd.Categorical(IDS),
        [f"{k:05d}" for k in range(N)],
        [f"The order number {k} was late." for k in range(N)],
    ],
)
def test_nearly_all_distinct(values):
    with pytest.warns(PruningWarning, match=r"'c' \(\d\d of 90 values.*TfidfVectorizer"):
        fitted = prepare(PLAIN.assign(c=values))
    np.testing.assert_array_equal(fitted.transform(PLAIN), prepare(PLAIN).transform(PLAIN))


def test_missing_values_are_told():
    values = pd.Series(IDS, dtype=object).where(np.arange(N) > 9)
    with pytest.warns(PruningWarning, match=r"80 of 80 .*, 10 are missing\).* there is a value"):
        prepare(PLAIN.assign(c=values))


def test_few_samples_are_not_judged():
    few = TABLE[:15]
    assert prepare(few).transform(few).shape == (15, 1 + 15 + 2)


def test_a_table_of_identifiers_alone_is_refused():
    with pytest.raises(ValueError, match=r"X has only columns .*'id' \(90 of 90.*TfidfVectorizer"):
        prepare(TABLE[["id"]])


class Noting(ClassifierMixin, BaseEstimator):
    """A classifier that notes the columns that it is fitted on."""

    seen: list[list[str]] = []

    def fit(self, X, y):
        self.seen.append(list(X.columns))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


@pytest.mark.filterwarnings("ignore:Columns are left out")
def test_teachers_do_not_see_identifiers():
    model = classifier(teacher=Noting(), teacher_cv=2, n_synthetic=0.5)
    make_tabular_pipeline(model).fit(TABLE, Y)
    assert len(Noting.seen) >= 2
    assert all(columns == ["x", "g"] for columns in Noting.seen)
    report = make_tabular_pipeline(classifier(teacher="auto")).fit(TABLE, Y)[-1].pruning_report_
    assert report.teacher.saw == "columns"
    # What was fitted on the whole table sees the whole table.
    frozen = FrozenEstimator(Noting().fit(TABLE, Y))
    frozen.estimator.n_features_in_ = 3
    frozen.estimator.feature_names_in_ = np.array(["id", "x", "g"])
    model = classifier(teacher=frozen, teacher_cv="unseen", n_synthetic=0.5)
    assert make_tabular_pipeline(model).fit(TABLE, Y)[-1].pruning_report_.teacher.saw == "columns"


@pytest.mark.filterwarnings("ignore:Columns are left out")
def test_exports_of_tables_with_identifiers(tmp_path):
    fit, new, y, _ = train_test_split(TABLE, Y, random_state=0)
    model = make_tabular_pipeline(classifier()).fit(fit, y)
    onnxruntime = pytest.importorskip("onnxruntime")
    for frame in (new, new.drop(columns="id")):
        exported = pipeline_to_onnx(model, frame)
        session = onnxruntime.InferenceSession(exported.SerializeToString())
        names = [put.name for put in session.get_inputs()]
        given = {
            name: frame[[name]].to_numpy(np.float32 if name == "x" else object) for name in names
        }
        given = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in given.items()}
        found = session.run(None, given)[1]
        np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)
    source = pipeline_to_c(model, samples=new)
    assert "id: not read" in source


@pytest.mark.parametrize(
    ("write", "unit"),
    [
        ("{:.1f}%", "%"),
        ("${:,.2f}", r"\$"),
        ("{:.0f} kg", "kg"),
        ("EUR {:.2f}", "EUR"),
        ("-{:.1f} €", "€"),
    ],
)
def test_numbers_with_units_are_named(write, unit):
    values = [write.format(1000 + 300 * v) for v in NUMBERS]
    with pytest.warns(
        PruningWarning, match=rf"'c' \(numbers with '{unit}', .*replace\('{unit}', ''"
    ):
        fitted = prepare(PLAIN.assign(c=values))
    assert not fitted[0].kinds_["c"].identifier


@pytest.mark.parametrize("write", ["SKU{}", "{} Main Street", "A{}", "item {}", "{0}x{0}"])
def test_names_with_numbers_have_no_units(write):
    with pytest.warns(PruningWarning, match="Columns are left out"):
        prepare(PLAIN.assign(c=[write.format(1000 + k) for k in range(N)]))


def test_few_numbers_with_units_are_categories():
    prepare(PLAIN.assign(c=["36 months", "60 months"] * 45, d=["10%", "20%", "30%"] * 30))


@pytest.mark.parametrize(
    "change", [lambda v: v, lambda v: f"-{v}", lambda v: None if v == "852117" else v]
)
def test_strings_of_whole_numbers_that_differ_are_numbers(change):
    values = [change(str(k)) for k in (852117, *RNG.choice(10**6, 199, replace=False))]
    prepare = make_tabular_pipeline(LogisticRegression())[:-1]
    X = pd.DataFrame({"income": pd.Series(values, dtype=object)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = prepare.fit_transform(X)
    expected = pd.to_numeric(X["income"])
    assert np.corrcoef(found[:, 0], expected.fillna(expected.median()))[0, 1] > 0.999


def test_another_size_of_a_taught_pipeline_needs_no_identifiers():
    X = pd.DataFrame(RNG.normal(size=(120, 2)), columns=["a", "b"])
    y = (X["a"] > 0).astype(int)
    named = X.assign(name=[f"u{k}" for k in range(120)])
    taught = make_tabular_pipeline(classifier(teacher="auto", teacher_weight=0.5))
    with pytest.warns(PruningWarning, match="'name'"):
        taught.fit(named, y)
    without, with_it = (taught.at_budget(0.3, table, y) for table in (X, named))
    np.testing.assert_array_equal(without.predict_proba(X), with_it.predict_proba(named))


def test_long_values_are_shown_in_part():
    X = pd.DataFrame({"a": RNG.normal(size=60), "id": [f"{k:040d}-" for k in range(60)]})
    with pytest.warns(PruningWarning, match=r"such as '0{27}\.\.\.', occur once"):
        make_tabular_pipeline(LogisticRegression())[:-1].fit(X)
