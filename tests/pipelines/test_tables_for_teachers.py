"""What a teacher in a pipeline of `make_tabular_pipeline` sees, and what becomes of it."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from user_nets import classifier, small_classifier

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    PruningWarning,
    make_tabular_pipeline,
    pipeline_to_onnx,
)

FEW = {"teacher_cv": 2, "teacher_weight": 0.5, "pruning_budget": 0.5, "max_epochs": 1}


def frame(n=120, seed=0):
    """Numbers and towns with gaps, rare towns among them, and a target that they decide."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "town": [None if k % 9 == 0 else f"t{k}" for k in rng.integers(30, size=n)],
            "size": rng.normal(size=n),
        }
    )
    return X, np.where((X["age"] > 0) ^ (X["size"] > 0), "yes", "no")


class Spy(ClassifierMixin, BaseEstimator):
    """Answers with the class frequencies, and keeps what it was fitted on and asked for."""

    fitted: list = []
    asked: list = []

    def __init__(self, refuses=False, names=None):
        self.refuses = refuses
        self.names = names

    def fit(self, X, y, cat_features=None):
        if self.refuses and hasattr(X, "columns"):
            raise TypeError("town is not a number")
        self.fitted.append((X, cat_features))
        self.classes_, counts = np.unique(y, return_counts=True)
        self.share_ = counts / len(y)
        return self

    def predict_proba(self, X):
        self.asked.append(X)
        return np.tile(self.share_, (len(X), 1))


@pytest.fixture(autouse=True)
def _forgotten():
    Spy.fitted.clear()
    Spy.asked.clear()


def pipeline(teacher, max_categories=4, **params):
    params = {**FEW, **params}
    net = small_classifier(max_epochs=params.pop("max_epochs"))
    return make_tabular_pipeline(
        classifier(net, teacher=teacher, **params), max_categories=max_categories
    )


def test_a_teacher_sees_the_columns_that_the_pipeline_was_given():
    X, y = frame()
    model = pipeline(Spy()).fit(X, y)
    report = model[-1].pruning_report_.teacher
    assert report.saw == "columns"
    assert "teacher Spy (sees columns): weight 0.5" in str(report)
    (one, names), (two, _), (whole, _) = Spy.fitted
    assert names == ["town"]
    assert {type(each) for each in Spy.asked} == {pd.DataFrame}
    assert list(whole) == ["age", "town", "size"]
    assert whole["age"].isna().any()
    # Towns that share a column of the network are told apart.
    assert len(set(whole["town"])) > 20
    assert len(one) + len(two) == len(whole) == report.n_labelled
    rows = X.fillna({"town": "missing", "age": -99}).itertuples(index=False)
    known = whole.astype({"town": str}).fillna({"age": -99}).itertuples(index=False)
    assert set(map(tuple, known)) <= set(map(tuple, rows))
    assert report.n_synthetic == len(Spy.asked[-1]) == 4 * len(whole)


def test_synthetic_samples_are_drawn_among_the_columns_and_encoded(monkeypatch):
    X, y = frame()
    model = pipeline(Spy(), n_synthetic=50)
    taught = []
    train = MABPrunedClassifier._train

    def watched(self, net, task, *rest):
        taught.append(task.taught)
        return train(self, net, task, *rest)

    monkeypatch.setattr(MABPrunedClassifier, "_train", watched)
    drawn = model.fit(X, y) and Spy.asked[-1]
    np.testing.assert_array_equal(taught[0].x[-50:], model[:-1].transform(drawn))
    assert set(drawn["town"]) <= set(X["town"].fillna("missing"))


def test_what_cannot_read_the_columns_is_fitted_on_the_features():
    X, y = frame()
    for teacher in (LogisticRegression(), Spy(refuses=True)):
        model = pipeline(teacher).fit(X, y)
        assert model[-1].pruning_report_.teacher.saw == "features"
    assert {each.shape[1] for each, _ in Spy.fitted} == {model[:-1].transform(X).shape[1]}
    assert {names for _, names in Spy.fitted} == {None}
    # Neither the columns nor the features: what is told is about the columns.
    with pytest.raises(ValueError, match=r"failed in fold 1 of 2: .*could not convert string"):
        pipeline(Impossible()).fit(X, y)


class Impossible(DecisionTreeClassifier):
    """Reads numbers alone, and never those of a network."""

    def fit(self, X, y, sample_weight=None):
        if not hasattr(X, "columns"):
            raise ValueError("no array is enough")
        return super().fit(X, y, sample_weight)


def test_auto_and_all_containers():
    X, y = frame()
    model = pipeline("auto", keep_teacher=True).fit(X, y)
    kept = model[-1].teacher_
    assert kept.predict_proba(X.astype({"town": "category"})).shape == (len(X), 2)
    assert kept[-1].is_categorical_.tolist() == [True, False, False]
    towns = [None if town is None or town != town else town for town in X["town"]]
    numbers = {name: X[name].to_numpy() for name in ("age", "size")}
    other = pl.DataFrame(numbers | {"town": towns})[["age", "town", "size"]]
    for samples in (X, other, X.to_numpy(dtype=object)):
        assert pipeline(Spy()).fit(samples, y)[-1].pruning_report_.teacher.saw == "columns"
    first, *others = (each for each in Spy.asked if len(each) > len(X))
    first = first.astype(object).fillna(-9).values.tolist()
    for each in others:
        assert each.astype(object).fillna(-9).values.tolist() == first
    numbers = X[["age", "size"]].to_numpy()
    assert pipeline(Spy()).fit(numbers, y)[-1].pruning_report_.teacher.saw == "columns"
    assert np.isnan(Spy.fitted[-1][0]).any()


@pytest.mark.parametrize("n_values", [0, 1])
def test_auto_and_columns_without_values(n_values):
    X, y = frame(60)
    X["never"] = np.nan
    X.loc[: n_values - 1, "never"] = 1.0
    # With a category, and without.
    for columns in (["age", "never", "size", "town"], ["age", "never", "size"]):
        kept = pipeline("auto", keep_teacher=True).fit(X[columns], y)[-1].teacher_
        seen = X[columns].astype({"town": "category"} if "town" in columns else {})
        proba = pickle.loads(pickle.dumps(kept)).predict_proba(seen)
        # A column with so few values would tell nothing.
        np.testing.assert_array_equal(proba, kept.predict_proba(seen.assign(never=5.0)))
        assert clone(kept)[-1].get_params() == kept[-1].get_params()


def test_what_fails_is_told_in_sentences():
    X, y = frame(60)
    with pytest.raises(
        ValueError, match=r"no table\. Pass another teacher, another teacher_cv, or"
    ):
        pipeline(Unable()).fit(X, y)


class Unable(DecisionTreeClassifier):
    """Reads nothing."""

    def fit(self, X, y, sample_weight=None):
        raise ValueError("no table")


def test_frozen_teachers_of_the_frame_and_of_the_features():
    X, y = frame()
    trees = HistGradientBoostingClassifier(max_iter=3)
    of_frame = FrozenEstimator(make_tabular_pipeline(trees).fit(X, y))
    assert pipeline(of_frame).fit(X, y)[-1].pruning_report_.teacher.saw == "columns"
    model = pipeline(None).fit(X, y)
    of_features = FrozenEstimator(clone(trees).fit(model[:-1].transform(X), y))
    assert pipeline(of_features).fit(X, y)[-1].pruning_report_.teacher.saw == "features"
    renamed = X.rename(columns={"size": "width"})
    with pytest.raises(ValueError, match=r"fitted on the columns .*width.*, X has .*size"):
        pipeline(FrozenEstimator(make_tabular_pipeline(trees).fit(renamed, y))).fit(X, y)
    with pytest.raises(ValueError, match="fitted on 1 feature, X has 7 in 3 columns"):
        pipeline(FrozenEstimator(clone(trees).fit(X[["age"]], y))).fit(X, y)


def rich_frame(n=120):
    """Codes as a category of integers, booleans and strings with gaps, beside numbers."""
    X, y = frame(n)
    rng = np.random.default_rng(0)
    codes = pd.Categorical(rng.integers(5, size=n), categories=range(7))
    # Objects in all versions of pandas.
    X = X.assign(code=codes, flag=rng.random(n) < 0.5).astype({"town": object})
    return X, y


def pairs_of(X):
    """Towns, None where they are missing, with the flags."""
    towns, flags = X.iloc[:, 1], X.iloc[:, 4]
    return {(t if isinstance(t, str) else None, f) for t, f in zip(towns, flags, strict=True)}


def test_fitted_teachers_see_the_cells_that_they_were_fitted_on():
    X, y = rich_frame()
    plain = {name: [None if cell != cell else cell for cell in X[name]] for name in X}
    other = pl.DataFrame(plain)
    unseen = {"teacher_cv": "unseen", "n_synthetic": 50}
    for samples in (X, other, X.to_numpy(dtype=object)):
        Spy.asked.clear()
        pipeline(FrozenEstimator(Spy().fit(samples, y)), **unseen).fit(samples, y)
        of_training, of_synthetic = map(pd.DataFrame, Spy.asked)
        cells = pairs_of(X)
        assert pairs_of(of_training) <= cells
        assert pairs_of(of_synthetic) <= {(town, f) for town, _ in cells for f in (False, True)}
        if samples is X:
            assert of_training.dtypes.tolist() == of_synthetic.dtypes.tolist() == X.dtypes.tolist()
    # What it says of unknown categories is wrong, and nobody is told.
    names = ["town", "code", "flag"]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), names))
    tree = make_pipeline(encoder, DecisionTreeClassifier()).fit(X, answers := X["code"].astype(int))
    model = pipeline(FrozenEstimator(tree), **unseen).fit(X, answers)
    assert model[-1].pruning_report_.teacher.teacher_score == 1


def test_teachers_that_select_columns_by_their_dtype_see_those_of_the_table():
    X, y = rich_frame()
    kinds = [(object, "town"), (bool, "flag"), ("category", "code")]
    columns = make_column_transformer(
        *(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=kind))
            for kind, _ in kinds
        )
    )
    teacher = make_pipeline(columns, DecisionTreeClassifier(max_depth=2))
    model = pipeline(teacher, keep_teacher=True, teacher_cv=KFold(2)).fit(X, y)
    kept = model[-1].teacher_[0].transformers_
    assert [names for _, _, names in kept][:3] == [[name] for _, name in kinds]


def test_sizes_clones_pickles_and_memory(tmp_path):
    X, y = frame()
    model = pipeline(Spy(), memory=str(tmp_path)).fit(X, y)
    n_fits = len(Spy.fitted)
    smaller = model.at_budget(0.7, X, y)
    name = model.steps[-1][0]
    again = clone(model).set_params(**{f"{name}__pruning_budget": 0.7}).fit(X, y)
    assert len(Spy.fitted) == n_fits
    np.testing.assert_array_equal(smaller.predict_proba(X), again.predict_proba(X))
    assert smaller[-1].hidden_layer_sizes_ != model[-1].hidden_layer_sizes_
    assert model.at_budget(0.5)[-1].hidden_layer_sizes_ == model[-1].hidden_layer_sizes_
    opened = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(opened.predict(X), model.predict(X))
    assert not [name for name in vars(model[-1]) if "table" in name]
    with pytest.warns(PruningWarning, match="Call at_budget of the pipeline"):
        model[-1].at_budget(0.7, model[:-1].transform(X), y)
    assert not hasattr(make_tabular_pipeline(LogisticRegression()), "at_budget")
    assert pipeline_to_onnx(model, X) is not None


def test_searches_and_metadata_routing():
    X, y = frame()
    model = pipeline(None)
    name = model.steps[-1][0]
    grid = {f"{name}__teacher": [Spy()]}
    with config_context(enable_metadata_routing=True):
        GridSearchCV(model, grid, cv=2, refit=False).fit(X, y)
    search = MABPrunedClassifierCV(clone(model[-1]).set_params(teacher=Spy()), budgets=[0.6], cv=2)
    found = make_tabular_pipeline(search).fit(X, y)
    assert found[-1].pruning_report_.teacher.saw == "columns"
    smaller = found.at_budget(0.8, X, y)
    assert smaller[-1].pruning_report_.teacher.saw == "columns"
    assert all(hasattr(each, "columns") for each, _ in Spy.fitted)
