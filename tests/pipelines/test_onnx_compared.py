"""What is exported to ONNX predicts what its estimator predicts, or is refused by name."""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    StandardScaler,
)
from test_onnx_tables import run
from user_nets import classes_table, small_classifier, small_regressor, values_table

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    make_tabular_pipeline,
    pipeline_to_onnx,
)
from sklearn_mabprune.export import mixin
from sklearn_mabprune.export.onnx_check import check_model
from sklearn_mabprune.pipelines.onnx_samples import drawn_samples, predicts

SAME = "is not handed out: "


def classifier():
    return MABPrunedClassifier(small_classifier(max_epochs=4), tolerance=10.0, random_state=0)


def regressor():
    return MABPrunedRegressor(small_regressor(max_epochs=4), tolerance=10.0, random_state=0)


def table():
    X, y = classes_table(n_classes=2)
    return pd.DataFrame({"x": X[:, 0], "c": np.where(X[:, 1] > 0, "a", "b")}), y


RIGHT = {
    "sigmoid": lambda: CalibratedClassifierCV(classifier(), cv=2),
    "frozen in calibration": lambda: CalibratedClassifierCV(
        FrozenEstimator(classifier().fit(*classes_table(n_classes=2)))
    ),
    "frozen twice": lambda: FrozenEstimator(
        FrozenEstimator(classifier().fit(*classes_table(n_classes=2)))
    ),
    "frozen step": lambda: make_pipeline(
        FrozenEstimator(StandardScaler().fit(classes_table()[0])), classifier()
    ),
    "bagging": lambda: BaggingClassifier(classifier(), 2, random_state=0),
    "one against the rest": lambda: OneVsRestClassifier(classifier()),
    "one against one": lambda: OneVsOneClassifier(classifier()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_wrappers_that_are_exported(name):
    X, y = classes_table(n_classes=2)
    model = RIGHT[name]().fit(X, y)
    found = onnxruntime.InferenceSession(pipeline_to_onnx(model, X).SerializeToString()).run(
        None, {"X": X}
    )
    assert np.ravel(found[0]).tolist() == model.predict(X).tolist()
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(found[1], model.predict_proba(X), atol=1e-9)


REFUSED = {
    "tuned threshold": (
        lambda: TunedThresholdClassifierCV(classifier(), cv=2),
        r"TunedThresholdClassifierCV cannot be exported: .*best_threshold_ = 0\.\d+, but.*0\.5\. "
        "Export its estimator_",
    ),
    "fixed threshold": (
        lambda: FixedThresholdClassifier(classifier(), threshold=0.2),
        "cannot convert a step of this FixedThresholdClassifier: .*Replace the step",
    ),
    "isotonic": (
        lambda: CalibratedClassifierCV(classifier(), cv=2, method="isotonic"),
        SAME
        + r"its (label|probability) differs for \d+ of \d+ samples: sample .* IsotonicRegression",
    ),
    "temperature": (
        lambda: CalibratedClassifierCV(classifier(), cv=2, method="temperature"),
        "cannot convert a step of this CalibratedClassifierCV: AttributeError.*Replace the step",
    ),
    "AdaBoost": (
        lambda: AdaBoostClassifier(classifier(), n_estimators=2),
        SAME + r"onnxruntime cannot run it \(.* AdaBoostClassifier in another way",
    ),
    "polynomials in float64": (
        lambda: make_pipeline(PolynomialFeatures(2), StandardScaler(), classifier()),
        SAME + r".* PolynomialFeatures, StandardScaler in.* samples, X\.astype\('float32'\)",
    ),
    "polynomials in a union": (
        lambda: make_pipeline(make_union(PolynomialFeatures(2), StandardScaler()), classifier()),
        SAME + r".* FeatureUnion, PolynomialFeatures, .* samples, X\.astype\('float32'\)",
    ),
    "power": (
        lambda: make_pipeline(PowerTransformer(), classifier()),
        "cannot convert a step of this Pipeline: Conflicted constraint",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_is_refused_by_name(name, tmp_path):
    make, message = REFUSED[name]
    X, y = classes_table(n_classes=2)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.2, rng.permutation(y), y)
    model = make().fit(X, y)
    with pytest.raises(RuntimeError, match=message):
        pipeline_to_onnx(model, X, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ways_out_of_the_messages():
    X, y = classes_table(n_classes=2)
    narrow = X.astype(np.float32)
    model = make_pipeline(PolynomialFeatures(2), StandardScaler(), classifier()).fit(narrow, y)
    assert run(pipeline_to_onnx(model, narrow), narrow)["label"].tolist() == (
        model.predict(narrow).tolist()
    )
    tuned = TunedThresholdClassifierCV(classifier(), cv=2).fit(X, y)
    found = run(pipeline_to_onnx(tuned.estimator_, X), X)["probabilities"]
    assert (found[:, 1] >= tuned.best_threshold_).tolist() == (tuned.predict(X) == 1).tolist()
    frame, y = table()
    model = make_tabular_pipeline(CalibratedClassifierCV(classifier(), cv=2)).fit(frame, y)
    assert run(pipeline_to_onnx(model, frame), frame)["label"].tolist() == (
        model.predict(frame).tolist()
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: CalibratedClassifierCV(inner, cv=2),
        lambda inner: BaggingClassifier(inner, 2),
        lambda inner: StackingClassifier([("a", inner)], cv=2),
    ],
    ids=["calibration", "bagging", "stacking"],
)
def test_wrappers_around_a_tabular_pipeline(wrap):
    X, y = table()
    model = wrap(make_tabular_pipeline(classifier())).fit(X, y)
    message = r"A wrapper around a pipeline that reads a table cannot be exported; one inside it"
    with pytest.raises(RuntimeError, match=message):
        pipeline_to_onnx(model, X)


def test_votes_around_a_tabular_pipeline():
    X, y = table()
    members = [("a", make_tabular_pipeline(classifier()))]
    model = VotingClassifier(members, voting="soft", flatten_transform=False).fit(X, y)
    found = run(pipeline_to_onnx(model, X), X)
    assert found["label"].tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=1e-9)
    with pytest.raises(RuntimeError, match="cannot convert a step of this VotingClassifier"):
        pipeline_to_onnx(model.set_params(flatten_transform=True), X)


def test_values_and_several_targets():
    X, y = values_table(n_targets=2)
    for model in (AdaBoostRegressor(regressor(), n_estimators=2, random_state=0), regressor()):
        made = pipeline_to_onnx(model.fit(X, y[:, 0]), X)
        np.testing.assert_allclose(run(made, X)["variable"][:, 0], model.predict(X), rtol=1e-9)
    several = MultiOutputRegressor(regressor()).fit(X, y)
    found = run(pipeline_to_onnx(several, X), X)["variable"]
    np.testing.assert_allclose(found, several.predict(X), rtol=1e-9)
    labels = (y > np.median(y, axis=0)).astype(int)
    several = MultiOutputClassifier(classifier()).fit(X, labels)
    made = pipeline_to_onnx(several, X)
    found = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"X": X})[0]
    assert found.tolist() == several.predict(X).tolist()
    scaled = TransformedTargetRegressor(regressor(), transformer=StandardScaler())
    with pytest.raises(RuntimeError, match="cannot convert a step of this TransformedTarget"):
        pipeline_to_onnx(scaled.fit(X, y[:, 0]), X)


class Other:
    """Predictions of other labels, values or probabilities than those of an estimator."""

    def __init__(self, model, shift=0.0, turn=False):
        self.model, self.shift, self.turn = model, shift, turn
        self.__sklearn_tags__ = model.__sklearn_tags__

    def predict(self, X):
        labels = self.model.predict(X)
        return labels[::-1] if self.turn else labels + self.shift

    def predict_proba(self, X):
        return self.model.predict_proba(X)


def test_each_difference_is_found():
    X, y = classes_table()
    model = classifier().fit(X, y)
    made = model.to_onnx()
    check_model(made, model, X, {"X": X})
    with pytest.raises(RuntimeError, match=r"its label differs for \d+ of \d+ samples: sample"):
        check_model(made, Other(model, turn=True), X, {"X": X})
    wrong = classifier().set_params(random_state=1).fit(X, y)
    with pytest.raises(RuntimeError, match=r"its (label|probability) differs"):
        check_model(wrong.to_onnx(), model, X, {"X": X})
    X, y = values_table()
    model = regressor().fit(X, y)
    for shift in (1.0, -1.0):
        with pytest.raises(RuntimeError, match="its value differs for"):
            check_model(model.to_onnx(), Other(model, np.ptp(y) * shift), X, {"X": X})


def test_to_onnx_is_compared_before_a_file_is_written(tmp_path, monkeypatch):
    X, y = classes_table()
    model = classifier().fit(X, y)
    original = mixin.onnx_model

    def other(layers, n_features, classes, multilabel):
        return original(layers, n_features, classes[::-1], multilabel)

    monkeypatch.setattr(mixin, "onnx_model", other)
    with pytest.raises(RuntimeError, match="ONNX form of this MABPrunedClassifier is not handed"):
        model.to_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_types_are_checked(monkeypatch):
    X, y = classes_table(n_classes=2)
    right = make_pipeline(StandardScaler(), classifier()).fit(X, y)
    wrong = make_pipeline(PolynomialFeatures(2), StandardScaler(), classifier()).fit(X, y)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    pipeline_to_onnx(right, X)
    right[-1].to_onnx()
    with pytest.raises(RuntimeError, match="onnx finds an error in it"):
        pipeline_to_onnx(wrong, X)


def test_labels_beyond_int64():
    X, y = classes_table(n_classes=2)
    for labels, named in (([0, 2**64 - 1], 2**64 - 1), ([2**63, 2**63 + 5], 2**63)):
        model = classifier().fit(X, np.array(labels, dtype=np.uint64)[y])
        message = f"class label {named} is beyond int64 .* y.astype"
        with pytest.raises(ValueError, match=message):
            model.to_onnx()
        with pytest.raises(ValueError, match=message):
            pipeline_to_onnx(model, X)
    strings = classifier().fit(X, np.array(labels, dtype=np.uint64)[y].astype(str))
    assert run(strings.to_onnx(), X)["label"].tolist() == strings.predict(X).tolist()
    model = classifier().fit(X, np.array([3, 2**63 - 1], dtype=np.uint64)[y])
    assert run(model.to_onnx(), X)["label"].tolist() == model.predict(X).tolist()


def test_steps_that_skl2onnx_knows_stay_exported():
    X, y = classes_table(n_classes=2)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert run(pipeline_to_onnx(model, X[:1]), X)["label"].tolist() == model.predict(X).tolist()


def test_what_one_given_sample_does_not_show_is_drawn():
    """Isotonic calibration agrees on a sample that lies on one of its steps."""
    X, y = classes_table(n_classes=2)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.2, rng.permutation(y), y)
    model = CalibratedClassifierCV(classifier(), cv=2, method="isotonic").fit(X, y)
    for one in (X[:1], X[:1].astype(np.float32)):
        with pytest.raises(RuntimeError, match=r"differs for \d+ of 64 samples"):
            pipeline_to_onnx(model, one)


@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame, sparse.csr_matrix])
def test_samples_are_drawn_in_the_format_of_those_given(form):
    X, _ = classes_table(n_classes=2)
    given = form(X[:5])
    drawn = list(drawn_samples(given, None))
    assert len(drawn) == 2
    for found in drawn:
        assert type(found) is type(given)
        assert found.shape == (64, X.shape[1])
    cells = [np.asarray(d.toarray() if sparse.issparse(d) else d) for d in (given, *drawn)]
    for k in range(X.shape[1]):
        assert set(cells[1][:, k]) <= set(cells[0][:, k])
        assert not set(cells[2][:, k]) & set(cells[0][:, k])


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_tables_are_drawn_from_what_fit_has_seen(library):
    rng = np.random.default_rng(0)
    X = {"x": rng.normal(5.0, 2.0, 60), "c": ["a", "b", None] * 20, "k": np.arange(60)}
    model = make_tabular_pipeline(classifier()).fit(library(X), np.arange(60) % 2)
    one = library({name: values[:1] for name, values in X.items()})
    permuted, moved = drawn_samples(one, model[0])
    assert set(np.asarray(permuted["c"])) == {"a"}
    assert set(np.asarray(moved["c"])) == {"a", "b", "missing", "a value that is not known"}
    numbers = np.asarray(moved["x"])
    assert np.isnan(numbers).any()
    assert 3 < np.nanmean(numbers) < 7
    assert np.asarray(moved["k"]).dtype.kind == "i"
    pipeline_to_onnx(model, one)


def test_samples_that_a_step_refuses_are_not_compared():
    X, y = classes_table(n_classes=2)
    codes = np.round(X)
    model = make_pipeline(OneHotEncoder(sparse_output=False), classifier()).fit(codes, y)
    permuted, moved = drawn_samples(codes, None)
    assert predicts(model, permuted)
    assert not predicts(model, moved)
