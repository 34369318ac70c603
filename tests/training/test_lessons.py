"""Labels of a teacher: of samples that it has not seen, whatever it is and however it is split."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GroupKFold, RepeatedKFold, ShuffleSplit, TimeSeriesSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.training.lessons import (
    mixed,
    out_of_fold,
    synthetic_count,
    with_synthetic,
)
from sklearn_mabprune.training.teacher import resolve_teacher
from sklearn_mabprune.training.teacher_targets import ClassTargets, LabelTargets, ValueTargets
from sklearn_mabprune.training.teacher_weight import compare

WORDS = ClassTargets(np.array(["no", "perhaps", "yes"]))


def classes(n=90, copies=1, seed=0):
    """Classes that have nothing to do with the features; copies of a sample share their class."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 4)), rng.integers(3, size=n)
    return Data(np.tile(X, (copies, 1)), np.tile(y, copies), None, 3)


def values(n=60, k=1):
    """Targets that are linear in the features."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return Data(X, X @ rng.normal(size=(3, k)) + 5, None, k)


def test_a_teacher_that_remembers_does_not_label_what_it_has_seen():
    data = classes(copies=2)
    teacher = resolve_teacher(KNeighborsClassifier(1), data.x, WORDS)
    seen = KNeighborsClassifier(1).fit(data.x, WORDS.for_teacher(data.y))
    assert seen.score(data.x, WORDS.for_teacher(data.y)) == 1
    lessons = out_of_fold(teacher, 5, data, 0)
    # Noise cannot be learned: had a copy been seen, all labels would be right.
    assert WORDS.score(lessons.out_of_fold, data.y, None) < 0.5
    assert lessons.labelled.all()
    assert lessons.n_folds == 5


def test_classes_that_a_fold_lacks_have_probability_0():
    data = classes(30)
    rare = np.where(np.arange(30) == 7, 2, data.y % 2)
    data = Data(data.x, rare, None, 3)
    teacher = resolve_teacher(DecisionTreeClassifier(), data.x, WORDS)
    lessons = out_of_fold(teacher, 5, data, 0)
    assert lessons.out_of_fold[7, 2] == 0
    np.testing.assert_allclose(lessons.out_of_fold.sum(axis=1), 1)


def test_time_ordered_samples_are_labelled_from_the_past_alone():
    data = values(60)
    teacher = resolve_teacher(LinearRegression(), data.x, ValueTargets(1))
    lessons = out_of_fold(teacher, TimeSeriesSplit(5), data, 0)
    np.testing.assert_array_equal(lessons.labelled, np.arange(60) >= 10)
    soft = mixed(data, lessons, 1.0, ValueTargets(1))
    np.testing.assert_array_equal(soft.y[:10], data.y[:10])
    np.testing.assert_allclose(soft.y[10:], lessons.out_of_fold[10:])


def test_repeated_folds_give_the_mean_of_their_labels():
    data = values(40)
    teacher = resolve_teacher(DecisionTreeRegressor(random_state=0), data.x, ValueTargets(1))
    cv = RepeatedKFold(n_splits=4, n_repeats=2, random_state=0)
    found = out_of_fold(teacher, cv, data, 0)
    expected = np.zeros((40, 1))
    for train, test in cv.split(data.x):
        model = DecisionTreeRegressor(random_state=0).fit(data.x[train], data.y[train, 0])
        expected[test, 0] += model.predict(data.x[test]) / 2
    np.testing.assert_allclose(found.out_of_fold, expected)


class Overlapping:
    """A splitter that tests on samples that it trains on."""

    def split(self, X, y=None, groups=None):
        yield np.arange(10), np.arange(5)


class NoFolds:
    """A splitter that splits nothing."""

    def split(self, X, y=None, groups=None):
        yield from ()


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (Overlapping(), "fold 1 has samples for training and for testing"),
        (NoFolds(), "gives no folds"),
        (
            GroupKFold(95),
            r"GroupKFold\(.*cannot divide the 180 .*, 90 of them distinct",
        ),
        (100, "teacher_cv=100 folds need as many distinct training samples, X has 90"),
    ],
)
def test_folds_that_cannot_be_used(cv, message):
    data = classes(copies=2)
    teacher = resolve_teacher(DecisionTreeClassifier(), data.x, WORDS)
    with pytest.raises(ValueError, match=message):
        out_of_fold(teacher, cv, data, 0)


class FailsWithoutSample(ClassifierMixin, BaseEstimator):
    """A classifier that cannot do without one of the samples."""

    def __init__(self, sample=None, when="fit"):
        self.sample, self.when = sample, when

    def fit(self, X, y):
        if self.when == "fit" and self.sample not in X[:, 0]:
            raise RuntimeError("it is missing.")
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        if self.when == "predict" and self.sample in X[:, 0]:
            return np.full((len(X), 3), np.nan)
        return np.full((len(X), 3), 1 / 3)


@pytest.mark.parametrize(
    ("when", "message"), [("fit", "RuntimeError: it is missing"), ("predict", "infinity or NaN")]
)
def test_a_teacher_that_fails_is_named_with_the_fold(when, message):
    data = classes()
    _, test = next(ShuffleSplit(1, random_state=0).split(data.x))
    sample = data.x[test[0], 0]
    teacher = resolve_teacher(FailsWithoutSample(sample, when), data.x, WORDS)
    with pytest.raises(ValueError, match=f"FailsWithoutSample failed in fold 1 of 1: .*{message}"):
        out_of_fold(teacher, ShuffleSplit(1, random_state=0), data, 0)


def test_a_frozen_teacher_labels_no_samples_that_it_may_have_seen():
    data = classes()
    fitted = KNeighborsClassifier(1).fit(data.x, WORDS.for_teacher(data.y))
    teacher = resolve_teacher(FrozenEstimator(fitted), data.x, WORDS)
    lessons = out_of_fold(teacher, 5, data, 0)
    assert not lessons.labelled.any()
    assert lessons.folds == ()
    lessons = with_synthetic(lessons, 50, data, 0)
    np.testing.assert_array_equal(lessons.synthetic.y, fitted.predict_proba(lessons.synthetic.x))
    seen = out_of_fold(teacher, "unseen", data, 0)
    np.testing.assert_array_equal(seen.out_of_fold, fitted.predict_proba(data.x))


def test_synthetic_samples_have_the_weights_of_those_they_are_made_from():
    data = values(40)
    weights = np.where(data.x[:, 0] > 0, 1.5, 0.5)
    data = Data(data.x, data.y, weights, 1)
    teacher = resolve_teacher(DecisionTreeRegressor(), data.x, ValueTargets(1))
    lessons = with_synthetic(out_of_fold(teacher, 2, data, 0), 80, data, 0)
    soft = mixed(data, lessons, 0.5, ValueTargets(1))
    assert len(soft) == 120
    assert soft.per_epoch == 80
    np.testing.assert_array_equal(soft.weights[:40], weights)
    assert soft.weights[40:].mean() == pytest.approx(weights.mean())
    np.testing.assert_allclose(soft.y[:40], (data.y + lessons.out_of_fold) / 2)


def test_weights_reach_the_teacher():
    data = values(40)
    weights = np.where(np.arange(40) < 20, 1.0, 0.0)
    half = Data(data.x, np.where(np.arange(40)[:, None] < 20, 1.0, 9.0), weights, 1)
    for model in (DummyRegressor(), make_pipeline(StandardScaler(), DummyRegressor())):
        teacher = resolve_teacher(model, data.x, ValueTargets(1))
        assert teacher.takes_weights
        np.testing.assert_allclose(out_of_fold(teacher, 5, half, 0).out_of_fold, 1.0)
    assert not resolve_teacher(KNeighborsClassifier(), data.x, WORDS).takes_weights


@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(5)])
def test_labels_of_a_multilabel_teacher(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    data = Data(X, (X[:, :2] > 0).astype(float), None, 2)
    targets = LabelTargets(2)
    lessons = out_of_fold(resolve_teacher(model, X, targets), 3, data, 0)
    assert lessons.out_of_fold.shape == (60, 2)
    assert targets.score(lessons.out_of_fold, data.y, None) > 0.6
    constant = Data(X, np.zeros((60, 2)), None, 2)
    forest = resolve_teacher(RandomForestClassifier(5), X, targets)
    np.testing.assert_array_equal(out_of_fold(forest, 3, constant, 0).out_of_fold, 0)


def test_labels_of_several_values():
    data = values(k=2)
    targets = ValueTargets(2)
    # One regressor for both targets, and one for each.
    for model in (LinearRegression(), "auto"):
        lessons = out_of_fold(resolve_teacher(model, data.x, targets), 3, data, 0)
        assert lessons.out_of_fold.shape == (60, 2)
    assert targets.score(data.y, data.y, None) == 1


def test_how_many_synthetic_samples():
    data = values(50)
    assert [synthetic_count(n, data) for n in ("auto", 70, 0.5, 0)] == [200, 70, 25, 0]
    text = Data(sparse.csr_array(data.x), data.y, None, 1)
    assert synthetic_count("auto", text) == synthetic_count(70, text) == 0


@pytest.mark.parametrize(
    ("teacher", "network", "weight"), [(0.1, 1.0, 0.5), (1.0, 0.1, 0.0), (0.7, 0.45, 0.5)]
)
def test_the_weight_follows_the_better_one(teacher, network, weight):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(400, 1))
    labels = [y + noise * rng.normal(size=(400, 1)) for noise in (teacher, network)]
    found = compare(ValueTargets(1), *labels, y, None)
    assert found.weight == weight
    assert found.teacher_loss == pytest.approx(teacher, rel=0.1)
    assert found.network_score == pytest.approx(1 - network**2, abs=0.2)


def test_no_target_decides_by_its_unit():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(400, 2))
    # Each knows one of the targets, and nothing of the other.
    labels = [y * known for known in ([1, 0], [0, 1])]
    for units in ([1, 1], [1000, 1], [1, 1000], [1e-3, 1e6]):
        found = compare(ValueTargets(2), *(each * units for each in labels), y * units, None)
        assert found.share == pytest.approx(0.5, abs=0.06)
        assert [found.teacher_loss, found.network_loss] == pytest.approx([0.5**0.5] * 2, rel=0.01)
    assert (ValueTargets(1).loss_name, ValueTargets(2).loss_name) != ("RMSE", "RMSE")
    # A target that is constant in the samples divides nothing by 0.
    losses = ValueTargets(2).losses(labels[0], y * [1, 0])
    np.testing.assert_allclose(losses, 0, atol=1e-12)


class Oversure(ClassifierMixin, BaseEstimator):
    """Class probabilities that are right, but for logarithms that are three times too large."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return softmax(3 * X, axis=1)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_teacher_that_is_too_sure_is_calibrated(weighted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    right = softmax(X, axis=1)
    y = (right.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1)
    weights = None
    if weighted:
        # As if there were the right half of the samples alone.
        y[1500:], weights = X[1500:].argmin(axis=1), np.repeat([2.0, 1e-9], 1500)
    data = Data(X, y, weights, 3)
    lessons = out_of_fold(resolve_teacher(Oversure(), X, WORDS), 3, data, 0)
    assert lessons.temperature == pytest.approx(3, rel=0.15)
    np.testing.assert_allclose(lessons.out_of_fold, right, atol=0.04)
    synthetic = with_synthetic(lessons, 50, data, 0).synthetic
    np.testing.assert_allclose(synthetic.y, softmax(synthetic.x, axis=1), atol=0.04)


def test_labels_of_the_same_order_at_any_temperature():
    rng = np.random.default_rng(0)
    labels = rng.dirichlet(np.ones(3), size=50)
    labels[0] = [0, 0.25, 0.75]
    for targets in (WORDS, LabelTargets(3)):
        np.testing.assert_array_equal(targets.tempered(labels, 1.0), labels)
        found = targets.tempered(labels, 2.0)
        assert found[0, 0] == 0
        np.testing.assert_array_equal(found.argsort(axis=1), labels.argsort(axis=1))
    odds = found[1] / (1 - found[1])
    np.testing.assert_allclose(odds**2, labels[1] / (1 - labels[1]))
    # Nothing to calibrate: probabilities that cannot be improved, values, and no samples.
    assert WORDS.temperature(np.eye(3), np.arange(3), None) == 1
    assert ValueTargets(1).temperature(labels, labels, None) == 1
    assert WORDS.temperature(labels[:0], np.arange(0), None) == 1
