"""Which teachers are taken, which are refused, and what they are told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_mabprune.training.teacher import resolve_teacher
from sklearn_mabprune.training.teacher_targets import ClassTargets, ValueTargets

CLASSES = ClassTargets(np.array(["no", "yes"]))
X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(np.int64)


def frozen(classes=("no", "yes"), n_features=3):
    model = DecisionTreeClassifier().fit(X[:, :n_features], np.array(classes)[Y])
    return FrozenEstimator(model)


@pytest.mark.parametrize(
    ("teacher", "targets", "error", "message"),
    [
        (DecisionTreeClassifier, CLASSES, TypeError, r"Pass an object: DecisionTreeClassifier\(\)"),
        (3, CLASSES, TypeError, "teacher=3 is not an estimator. Pass 'auto', a classifier"),
        (LinearRegression(), CLASSES, TypeError, "is not a classifier"),
        (LogisticRegression(), ValueTargets(1), TypeError, "is not a regressor"),
        (RidgeClassifier(), CLASSES, ValueError, "no predict_proba.* CalibratedClassifierCV"),
        (
            VotingClassifier([("tree", DecisionTreeClassifier())], voting="hard"),
            CLASSES,
            ValueError,
            "no predict_proba.* voting='soft'",
        ),
        (SVC(), CLASSES, ValueError, "no predict_proba"),
        (FrozenEstimator(DecisionTreeClassifier()), CLASSES, ValueError, "is not fitted"),
        (frozen(n_features=2), CLASSES, ValueError, "was fitted on 2 features, X has 3"),
        (frozen(["no", "maybe"]), CLASSES, ValueError, "fitted on the classes .*maybe.*, y has"),
    ],
)
def test_teachers_that_are_refused(teacher, targets, error, message):
    with pytest.raises(error, match=message):
        resolve_teacher(teacher, X, targets)


def test_auto_refuses_sparse_features():
    with pytest.raises(ValueError, match="reads no sparse matrices"):
        resolve_teacher("auto", sparse.csr_array(X), CLASSES)


def test_auto_refuses_samples_of_more_axes():
    with pytest.raises(
        ValueError, match=r"reads two-dimensional X, and its samples have shape \(3, 2\)"
    ):
        resolve_teacher("auto", np.zeros((4, 3, 2)), CLASSES)


def test_auto_sees_categories_and_not_one_hot_columns():
    rng = np.random.default_rng(0)
    town = rng.integers(40, size=3000)
    x = np.column_stack([rng.normal(size=3000), np.eye(40)[town]])
    # Every other town: one-hot columns would take a split for each.
    y = (town % 2).astype(np.int64)
    teacher = resolve_teacher("auto", x, CLASSES)
    fitted = teacher.fit(x, y, None, 0)
    assert fitted[-1].is_categorical_.tolist() == [False, True]
    assert CLASSES.score(teacher.labels(fitted, x), y, None) == 1
    assert teacher.name == "HistGradientBoostingClassifier"


def test_random_states_come_from_the_seed_unless_they_are_given():
    one = make_pipeline(StandardScaler(), RandomForestClassifier(3))
    fitted = resolve_teacher(one, X, CLASSES).fit(X, Y, None, 7)
    assert fitted[-1].random_state == 7
    assert one[-1].random_state is None
    given = resolve_teacher(RandomForestClassifier(3, random_state=1), X, CLASSES)
    assert given.fit(X, Y, None, 7).random_state == 1


@pytest.mark.parametrize("asked", [True, False, None])
def test_requests_decide_whether_weights_are_passed(asked):
    weights = np.where(Y == 1, 100.0, 0.01)
    with config_context(enable_metadata_routing=True):
        prior = DummyClassifier().set_fit_request(sample_weight=asked)
        teacher = resolve_teacher(prior, X, CLASSES)
        assert teacher.takes_weights is (asked is not False)
        labels = teacher.labels(teacher.fit(X, Y, weights, 0), X)
    assert bool(labels[0, 1] > 0.99) is (asked is not False)


def test_pipelines_are_passed_weights_where_the_last_step_asks_for_them():
    with config_context(enable_metadata_routing=True):
        tree = DecisionTreeRegressor().set_fit_request(sample_weight=True)
        asked = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), tree)
        assert resolve_teacher(asked, X, ValueTargets(1)).takes_weights
        silent = make_pipeline(StandardScaler(), DecisionTreeRegressor())
        assert not resolve_teacher(silent, X, ValueTargets(1)).takes_weights


def test_answers_of_other_shapes_are_refused():
    teacher = resolve_teacher(DecisionTreeRegressor(), X, ValueTargets(2))
    fitted = teacher.fit(X, X[:, :2], None, 0)
    assert teacher.labels(fitted, X).shape == (60, 2)
    one = DecisionTreeRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="predict returned 1 value for 2 targets"):
        teacher.labels(one, X)
