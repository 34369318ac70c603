"""A teacher in a fit: where it helps, where it is left alone, and what the fit keeps of it."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from interrupting import press_ctrl_c
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import nn
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

import sklearn_mabprune.training.lessons
from sklearn_mabprune import MABPrunedClassifierCV, PruningWarning, load

TREE = DecisionTreeClassifier(max_depth=4)


def stairs(n=500, seed=0):
    """Steps that trees find at once and a small network hardly: a teacher's kind of target."""
    X = np.random.default_rng(seed).uniform(-3, 3, size=(n, 3))
    noise = np.random.default_rng(seed + 1).normal(size=n)
    return X, np.floor(2 * X[:, 0]) % 3 + 2.0 * (X[:, 1] > 1) + 0.3 * noise


class Misleading(LinearRegression):
    """Nearly perfect on the few samples of a fold, and wrong on many synthetic ones."""

    def predict(self, X):
        found = super().predict(X)
        return found if len(X) < 100 else found.mean() - 3 * (found - found.mean())


@pytest.fixture(scope="module")
def taught():
    """A regressor that trees have taught, and its table."""
    X, y = stairs()
    # Without functions of features, which would find the steps by themselves.
    net = small_regressor(max_epochs=40, inputs=None)
    return regressor(net, teacher="auto", pruning_budget=0.6, step=2).fit(X, y), X, y


@pytest.mark.slow
def test_a_better_teacher_lifts_the_network(taught):
    model, X, y = taught
    alone = clone(model).set_params(teacher=None).fit(X, y)
    new = stairs(2000, seed=5)
    report = model.pruning_report_.teacher
    assert report.used
    assert report.weight == 0.5
    assert report.teacher_loss < report.network_loss
    assert report.teacher_score > report.network_score
    assert (report.n_labelled, report.n_synthetic) == (450, 4 * 450)
    assert model.score(*new) > alone.score(*new) + 0.02


def test_a_worse_teacher_is_left_alone():
    X, y = values_table()
    alone = regressor(small_regressor(max_epochs=60), pruning_budget=0).fit(X, y)
    model = clone(alone).set_params(teacher=DecisionTreeRegressor(max_depth=1)).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))
    report = model.pruning_report_.teacher
    assert not report.used
    assert report.weight == report.n_synthetic == report.n_labelled == 0
    assert report.teacher_score < report.network_score
    assert "not used" in str(model.pruning_report_)


def test_a_teacher_that_harms_is_left_out_after_all():
    X, y = values_table()
    # Right where it is compared, wrong where it teaches: the validation samples tell.
    alone = regressor(small_regressor(max_epochs=60), pruning_budget=0).fit(X, y)
    model = clone(alone).set_params(teacher=Misleading(), n_synthetic=4.0).fit(X, y)
    report = model.pruning_report_.teacher
    assert report.teacher_loss < report.network_loss
    assert (report.weight, report.n_synthetic) == (0.0, 0)
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))


def test_the_report_says_what_was_decided(taught):
    model, *_ = taught
    report = model.pruning_report_
    expected = "teacher HistGradientBoostingRegressor: weight 0.5 for 450 training samples, 1,800"
    assert expected in str(report)
    assert expected in report._repr_html_()
    frame = report.teacher.to_frame()
    assert frame.loc["teacher", "n_synthetic"] == 1800
    assert report.to_dict()["teacher"]["name"] == "HistGradientBoostingRegressor"
    assert report.teacher.seconds_teacher > 0
    assert report.teacher.seconds_comparison > 0
    assert clone(model).set_params(teacher=None).get_params()["teacher"] is None


@pytest.mark.slow
def test_another_size_equals_a_fit_of_that_size(taught):
    model, X, y = taught
    smaller = model.at_budget(0.8, X, y)
    fitted = clone(model).set_params(pruning_budget=0.8).fit(X, y)
    np.testing.assert_array_equal(smaller.predict(X), fitted.predict(X))
    assert smaller.pruning_report_.teacher.n_synthetic == 1800
    without = model.at_budget(0.0)
    assert without.pruning_report_.teacher == model.pruning_report_.teacher


def test_the_teacher_is_not_kept_unless_asked_for(taught, tmp_path):
    model, X, y = taught
    assert not hasattr(model, "teacher_")
    assert b"sklearn.ensemble" not in pickle.dumps(model)
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.pruning_report_.teacher == model.pruning_report_.teacher
    assert loaded.teacher == "auto"
    keeping = regressor(teacher=DecisionTreeRegressor(), keep_teacher=True, teacher_weight=0.0)
    keeping.fit(X, y)
    assert keeping.teacher_.score(X, y) > 0.95
    assert pickle.loads(pickle.dumps(keeping)).teacher_.score(X, y) > 0.95


def test_global_random_states_are_left_alone():
    X, y = classes_table()
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    make = DecisionTreeClassifier(max_features=2)
    one, two = (classifier(teacher=make, teacher_weight=0.5).fit(X, y) for _ in range(2))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize(
    "net",
    [
        small_classifier(early_stopping=False),
        quick_start(),
        plain_classifier(criterion__label_smoothing=0.1),
        plain_classifier(WeightedClassifier),
    ],
)
def test_soft_labels_reach_the_training(net):
    X, y = classes_table()
    # It says the opposite of y: what the network says shows whom it has listened to.
    wrong = KNeighborsClassifier(1).fit(X, (y + 1) % 3)
    given = {"teacher": FrozenEstimator(wrong), "teacher_cv": "unseen", "n_synthetic": 0}
    net.set_params(max_epochs=40)
    model = classifier(net, pruning_budget=0, teacher_weight=1.0, **given).fit(X, y)
    assert np.mean(model.predict(X) == (y + 1) % 3) > np.mean(model.predict(X) == y) + 0.2


def test_soft_values_reach_the_net_of_a_user():
    X, y = values_table()
    scaled = (y - y.mean()) / y.std()
    tree = DecisionTreeRegressor().fit(X, scaled + 0.5)
    model = regressor(
        plain_regressor(max_epochs=60), pruning_budget=0, teacher=FrozenEstimator(tree),
        teacher_cv="unseen", teacher_weight=1.0, n_synthetic=2.0,
    ).fit(X, scaled)  # fmt: skip
    assert 0.3 < model.predict(X).mean() < 0.7
    assert model.pruning_report_.teacher.n_synthetic == 216


@pytest.mark.parametrize("budget", [0.5, "auto"])
def test_several_labels(budget):
    X, y = labels_table()
    model = classifier(teacher=TREE, pruning_budget=budget, teacher_weight=0.5).fit(X, y)
    assert model.predict_proba(X).shape == y.shape
    assert model.pruning_report_.teacher.n_synthetic > 0


def test_several_values_and_weights():
    X, y = values_table(n_targets=2)
    weights = np.where(np.arange(len(X)) % 2, 1.0, 3.0)
    model = regressor(teacher="auto", teacher_weight=0.3).fit(X, y, weights)
    assert model.predict(X).shape == y.shape
    assert model.pruning_report_.teacher.weight == 0.3


def test_a_teacher_that_takes_no_weights_is_named():
    X, y = classes_table()
    model = classifier(teacher=KNeighborsClassifier(), teacher_weight=0.5, class_weight="balanced")
    y[:30] = 0
    with pytest.warns(PruningWarning, match="KNeighborsClassifier takes no sample weights"):
        model.fit(X, y)
    assert "takes no sample weights" in str(model.pruning_report_)


def test_sparse_samples_have_no_synthetic_neighbours():
    X, y = classes_table()
    X = sparse.csr_array(np.where(X > 0, X, 0))
    given = {"teacher": LogisticRegression(), "teacher_weight": 0.5}
    silent = classifier(**given).fit(X, y)
    assert silent.pruning_report_.teacher.n_synthetic == 0
    with pytest.warns(PruningWarning, match="n_synthetic=2.0: X is sparse") as caught:
        model = classifier(**given, n_synthetic=2.0).fit(X, y)
    assert sum("n_synthetic" in str(each.message) for each in caught) == 1
    np.testing.assert_array_equal(model.predict_proba(X), silent.predict_proba(X))


def test_memory_keeps_the_labels(tmp_path, monkeypatch):
    X, y = classes_table()
    model = classifier(teacher=TREE, memory=str(tmp_path)).fit(X, y)

    def never(self, X, y, sample_weight=None):
        raise AssertionError("the teacher was fitted again")

    monkeypatch.setattr(DecisionTreeClassifier, "fit", never)
    again = clone(model).set_params(policy="ucb1").fit(X, y)
    assert again.pruning_report_.teacher.weight == model.pruning_report_.teacher.weight


def test_a_grid_over_teachers_and_their_parameters():
    X, y = classes_table()
    grid = {"teacher": [None, TREE], "teacher_weight": [0.5]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(X, y)
    assert search.cv_results_["rank_test_score"].tolist() in ([1, 2], [2, 1], [1, 1])
    deep = {"teacher__max_depth": [1, 4]}
    found = GridSearchCV(classifier(teacher=TREE, teacher_weight=1.0), deep, cv=2).fit(X, y)
    shallow, deeper = found.cv_results_["mean_test_score"]
    assert shallow != deeper
    assert TREE.max_depth == 4


def test_in_the_folds_of_a_budget_search_each_fold_is_labelled_once(monkeypatch):
    X, y = classes_table()
    fits = []
    fit = DecisionTreeClassifier.fit
    monkeypatch.setattr(
        DecisionTreeClassifier, "fit", lambda self, *a, **k: fits.append(1) or fit(self, *a, **k)
    )
    model = classifier(teacher=TREE, teacher_cv=2, teacher_weight=0.5, n_synthetic=0)
    MABPrunedClassifierCV(model, budgets=(0, 0.3, 0.6), cv=2, refit=False).fit(X, y)
    assert len(fits) == 2 * 2


@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("name", ["_fitted", "_asked"])
def test_ctrl_c_leaves_nothing_fitted(name, monkeypatch):
    X, y = classes_table()
    press_ctrl_c(monkeypatch, sklearn_mabprune.training.lessons, name, call=2)
    model = classifier(teacher=TREE)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not [each for each in vars(model) if each.endswith("_")]


def test_the_stages_are_shown(caplog):
    X, y = classes_table()
    with caplog.at_level("INFO", "sklearn_mabprune"):
        classifier(teacher=TREE, teacher_cv=3, verbose=2).fit(X, y)
    text = "\n".join(record.message for record in caplog.records)
    assert "teacher: 3 of 3 fits" in text
    assert text.index("teacher: 3 fits") < text.index("comparison: 36 epochs")


def test_frozen_teachers_and_user_validation_samples():
    X, y = classes_table()
    other, its_classes = classes_table(seed=0, n_rows=400)
    tree = FrozenEstimator(TREE.fit(other, its_classes))
    model = classifier(teacher=tree).fit(X, y)
    assert not hasattr(pickle.loads(pickle.dumps(model)).teacher.estimator, "tree_")
    assert hasattr(tree.estimator, "tree_")
    report = model.pruning_report_.teacher
    assert np.isnan([report.teacher_score, report.network_loss]).all()
    assert (report.n_labelled, report.n_compared) == (0, 0)
    assert report.n_synthetic > 0
    checked = classifier(teacher=tree).fit(X, y, X_val=other[:90], y_val=its_classes[:90])
    assert checked.pruning_report_.teacher.n_compared == 90
    assert checked.pruning_report_.teacher.teacher_loss > 0


def test_a_trained_net_is_fine_tuned_on_the_labels():
    X, y = classes_table(400)
    net = FrozenEstimator(small_classifier(max_epochs=40, random_state=0).fit(X, y))
    with pytest.warns(PruningWarning, match="trained net"):
        alone = classifier(net, pruning_budget=0.8).fit(X, y)
    with pytest.warns(PruningWarning, match="trained net"):
        model = classifier(net, pruning_budget=0.8, teacher=TREE).fit(X, y)
    assert model.pruning_report_.teacher.used
    assert model.hidden_layer_sizes_ == alone.hidden_layer_sizes_
    assert (model.predict_proba(X) != alone.predict_proba(X)).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"teacher": "trees"}, "teacher='trees' is unknown. Pass 'auto'"),
        ({"teacher_cv": 1}, "The 'teacher_cv' parameter"),
        ({"teacher_cv": "seen"}, "The 'teacher_cv' parameter"),
        ({"teacher_weight": 1.5}, "The 'teacher_weight' parameter"),
        ({"n_synthetic": -1}, "The 'n_synthetic' parameter"),
        ({"teacher_cv": "unseen"}, "this teacher is not fitted. Pass FrozenEstimator"),
        (
            {"teacher": FrozenEstimator(TREE.fit(*classes_table())), "n_synthetic": 0},
            "labels synthetic samples only.* teacher_cv='unseen'",
        ),
        ({"teacher": HistGradientBoostingClassifier(max_iter=-1)}, "failed in fold 1 of 5"),
        ({"pruning_budget": 10**6}, "pruning_budget"),
    ],
)
def test_bad_input_leaves_nothing_fitted(params, message):
    X, y = classes_table()
    model = classifier(**{"teacher": TREE, **params})
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not [each for each in vars(model) if each.endswith("_")]


def test_losses_that_take_no_soft_labels_are_refused_before_anything_is_fitted():
    X, y = classes_table()
    softmax = partial(torch.softmax, dim=-1)
    net = plain_classifier(criterion=nn.MultiMarginLoss, predict_nonlinearity=softmax)
    with pytest.raises(ValueError, match="MultiMarginLoss does not take soft labels"):
        classifier(net, teacher=TREE).fit(X, y)


@pytest.mark.parametrize("teacher", [None, "auto"])
def test_parameters_of_a_teacher_that_has_none(teacher):
    with pytest.raises(ValueError, match=r"Pass an object: teacher=HistGradientBoostingClass"):
        classifier(teacher=teacher).set_params(teacher__max_iter=3)
