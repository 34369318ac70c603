"""Fits of a teacher: weights, several targets, and folds in which there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, PredefinedSplit, TimeSeriesSplit
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_nets import classifier, small_classifier

from sklearn_mabprune import PruningWarning, make_tabular_pipeline
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.training.lessons import out_of_fold
from sklearn_mabprune.training.teacher import resolve_teacher
from sklearn_mabprune.training.teacher_targets import ClassTargets, LabelTargets, ValueTargets

# Of two epochs: networks that are no good.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The trained network is worse"),
    pytest.mark.filterwarnings("ignore:pruning_budget"),
]

WORDS = ClassTargets(np.array(["no", "yes"]))
X = np.random.default_rng(0).normal(size=(60, 3))
# With one-hot columns "auto" is a pipeline.
CODED = np.column_stack([X, np.eye(3)[np.arange(60) % 3]])
RARE = (np.arange(60) == 7).astype(np.int64)
GIVEN = {"teacher_weight": 0.5, "teacher_cv": 2, "n_synthetic": 0.5}


def taught(**params):
    """A classifier with a teacher, of few folds and epochs."""
    return classifier(small_classifier(max_epochs=1), **{**GIVEN, **params})


@pytest.mark.parametrize("teacher", ["auto", LogisticRegression(), RandomForestClassifier(3)])
def test_a_fold_of_one_class_says_that_class(teacher):
    data = Data(X, RARE, None, 2)
    lessons = out_of_fold(resolve_teacher(teacher, X, WORDS), 5, data, 0)
    np.testing.assert_array_equal(lessons.out_of_fold[7], [1, 0])
    np.testing.assert_allclose(lessons.out_of_fold.sum(axis=1), 1)
    assert taught(teacher=teacher, teacher_cv=5).fit(X, RARE).pruning_report_.teacher.used


def test_where_a_fold_has_one_class_a_later_one_tells_what_the_teacher_reads():
    table = pd.DataFrame({"word": np.array(["a", "b", "c"])[np.arange(60) % 3], "x": X[:, 0]})
    # The first fold is fitted on "no" alone; the second one cannot read words.
    folds = np.where(RARE == 1, 0, np.arange(60) % 2)
    model = make_tabular_pipeline(
        taught(teacher=LogisticRegression(), teacher_cv=PredefinedSplit(folds))
    )
    val = model[:-1].fit(table).transform(table[:9])
    name = model.steps[-1][0]
    model.fit(table, RARE, **{f"{name}__X_val": val, f"{name}__y_val": RARE[:9]})
    assert model[-1].pruning_report_.teacher.saw == "features"


def test_where_all_folds_have_one_class_the_fit_on_all_samples_tells_it():
    table = pd.DataFrame({"word": np.array(["a", "b", "c"])[np.arange(60) % 3], "x": X[:, 0]})
    late = (np.arange(60) > 55).astype(int)
    folds = TimeSeriesSplit(3, test_size=5, gap=4)
    model = make_tabular_pipeline(taught(teacher=LogisticRegression(), teacher_cv=folds))
    model.fit(table, late)
    assert model[-1].pruning_report_.teacher.saw == "features"


@pytest.mark.parametrize("teacher", ["auto", LogisticRegression()])
def test_labels_that_a_fold_lacks_or_all_have(teacher):
    y = np.column_stack([RARE, 1 - RARE, X[:, 0] > 0]).astype(float)
    resolved = resolve_teacher(teacher, X, LabelTargets(3))
    lessons = out_of_fold(resolved, 5, Data(X, y, None, 3), 0)
    np.testing.assert_array_equal(lessons.out_of_fold[7, :2], [0, 1])
    fitted = resolved.fit(X, y, None, 0)
    assert isinstance(fitted, MultiOutputClassifier)
    assert fitted.predict(X).shape == y.shape


def test_one_target_that_is_constant():
    y = np.column_stack([X[:, 0], np.full(60, 3.0)])
    fitted = resolve_teacher("auto", X, ValueTargets(2)).fit(X, y, None, 0)
    assert isinstance(fitted, MultiOutputRegressor)
    np.testing.assert_array_equal(fitted.predict(X)[:, 1], 3)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    ("teacher", "features"),
    [("auto", X), ("auto", CODED), (make_pipeline(StandardScaler(), Ridge()), X)],
)
def test_weights_reach_each_of_several_targets(teacher, features, routing):
    y = np.where(np.arange(60)[:, None] < 30, [1.0, 2.0], 9.0)
    weights = np.where(np.arange(60) < 30, 1.0, 1e-9)
    with config_context(enable_metadata_routing=routing):
        if routing and teacher != "auto":
            teacher[0].set_fit_request(sample_weight=False)
            teacher[1].set_fit_request(sample_weight=True)
        resolved = resolve_teacher(teacher, features, ValueTargets(2))
        assert resolved.takes_weights
        found = resolved.labels(resolved.fit(features, y, weights, 0), features)
    np.testing.assert_allclose(found, np.tile([1.0, 2.0], (60, 1)), atol=1e-3)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_weights_reach_the_trees_of_a_table(routing, several, recwarn):
    table = pd.DataFrame({"word": np.array(["a", "b", "c"])[np.arange(60) % 3], "x": X[:, 0]})
    y = (X[:, :2] > 0).astype(int) if several else (X[:, 0] > 0).astype(int)
    weights = np.random.default_rng(1).random(60) + 0.1
    model = make_tabular_pipeline(taught(teacher="auto"))
    name = model.steps[-1][0]
    with config_context(enable_metadata_routing=routing):
        if routing:
            model[-1].set_fit_request(sample_weight=True)
        model.fit(table, y, **{"sample_weight" if routing else f"{name}__sample_weight": weights})
    assert model[-1].pruning_report_.teacher.saw == "columns"
    assert not [each for each in recwarn if "takes no sample weights" in str(each.message)]


@pytest.mark.parametrize(
    ("teacher", "targets", "takes"),
    [
        (VotingClassifier([("a", DummyClassifier())], voting="soft"), WORDS, True),
        (
            VotingClassifier(
                [("a", DummyClassifier()), ("b", KNeighborsClassifier())], voting="soft"
            ),
            WORDS,
            False,
        ),
        (TransformedTargetRegressor(DummyRegressor()), ValueTargets(1), True),
        (TransformedTargetRegressor(KNeighborsRegressor()), ValueTargets(1), False),
        (MultiOutputClassifier(KNeighborsClassifier()), LabelTargets(2), False),
        (MultiOutputRegressor(Ridge()), ValueTargets(2), True),
    ],
)
def test_weights_where_a_teacher_hands_them_on(teacher, targets, takes):
    resolved = resolve_teacher(teacher, X, targets)
    assert resolved.takes_weights is takes
    y = (X[:, :2] > 0).astype(np.int64)
    y = y if targets.several else y[:, 0] if targets is WORDS else X[:, :1]
    weights = np.where(np.arange(60) < 30, 1.0, 1e-9)
    found = resolved.labels(resolved.fit(X, y, weights, 0), X)
    if takes and not targets.several:
        wanted = np.average(targets.soft(y), axis=0, weights=weights)
        np.testing.assert_allclose(found[0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    "around",
    [
        lambda stack: stack,
        lambda stack: make_pipeline(StandardScaler(), stack),
        lambda stack: GridSearchCV(stack, {"passthrough": [False]}, cv=2),
    ],
)
def test_a_stack_of_the_default_final_estimator(around):
    stack = StackingClassifier([("trees", RandomForestClassifier(3))], cv=2)
    data = Data(X, (X[:, 0] > 0).astype(np.int64), None, 2)
    lessons = out_of_fold(resolve_teacher(around(stack), X, WORDS), 2, data, 0)
    assert WORDS.score(lessons.out_of_fold, data.y, None) > 0.8


def test_a_stack_of_a_final_estimator_without_probabilities_is_refused():
    stack = StackingClassifier([("trees", RandomForestClassifier(3))], RidgeClassifier())
    with pytest.raises(ValueError, match="has no predict_proba"):
        resolve_teacher(stack, X, WORDS)


@pytest.mark.parametrize("units", [1e-140, 1e-60, 1e60, 1e140])
@pytest.mark.parametrize("model", ["auto", Ridge()])
@pytest.mark.parametrize("k", [1, 2])
def test_targets_beyond_float32_are_learned_as_others(units, model, k):
    x = np.repeat(X, 3, axis=0)
    y = x[:, :k] * np.array([1.0, 1e-3])[:k]
    teacher = resolve_teacher(model, x, ValueTargets(k))
    weights = np.linspace(1, 2, len(x))
    labels = [teacher.labels(teacher.fit(x, y * u, weights, 0), x) / u for u in (1.0, units)]
    np.testing.assert_allclose(labels[1], labels[0], rtol=1e-4, atol=1e-6)
    assert ValueTargets(k).score(labels[1], y, None) > 0.8


def test_memory_keeps_labels_with_routing_apart(tmp_path):
    y, weights = (X[:, 0] > 0).astype(int), np.where(X[:, 1] > 0, 1.0, 1e-6)
    # Without a request, routing passes no weights to the last step of a pipeline.
    teacher = make_pipeline(StandardScaler(), LogisticRegression())
    with (
        config_context(enable_metadata_routing=True),
        pytest.warns(PruningWarning, match="weights"),
    ):
        taught(teacher=teacher, memory=tmp_path).fit(X, y, weights)
    after, alone = (taught(teacher=teacher, memory=m).fit(X, y, weights) for m in (tmp_path, None))
    np.testing.assert_array_equal(after.predict_proba(X), alone.predict_proba(X))
