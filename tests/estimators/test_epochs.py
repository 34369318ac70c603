"""What an estimator says of its initial training, as scikit-learn's networks do."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from budget_cv import chooser
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from user_nets import classes_table, classifier, plain_classifier, regressor, small_classifier

from sklearn_mabprune import NotKeptError, load

UNFINISHED = "The training took all of its max_epochs=7 epochs"


def warned(model, X, y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    return [w for w in caught if issubclass(w.category, ConvergenceWarning)]


def test_a_training_of_all_epochs_warns_once_where_fit_was_called():
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=7))
    (found,) = warned(model, X, y)
    assert str(found.message).startswith(UNFINISHED)
    assert found.filename == __file__
    assert any(text.startswith(UNFINISHED) for text in model.pruning_report_.warnings)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.at_budget(0.7, X, y)


def test_trainings_that_end_early_or_may_not_do_not_warn():
    X, y = classes_table()
    early = classifier(small_classifier(max_epochs=500, patience=2, lr=0.05))
    assert not warned(early, X, y)
    assert early.n_iter_ < 500
    assert not warned(classifier(small_classifier(max_epochs=7, early_stopping=False)), X, y)
    assert not warned(classifier(plain_classifier()), X, y)


def test_the_epochs():
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=7)).fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_scores_) == 7
    history = model.estimator_.history
    assert model.loss_curve_ == history[:, "train_loss"]
    assert model.validation_scores_ == [-loss for loss in history[:, "valid_loss"]]
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    # Other sizes come from the same training.
    assert model.at_budget(0.7, X, y).loss_curve_ == model.loss_curve_


def test_the_epochs_of_copies_files_and_searches(tmp_path):
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=7), keep_path="always").fit(X, y)
    model.save(tmp_path / "model")
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), load(tmp_path / "model")):
        assert same.loss_curve_ == model.loss_curve_
        assert same.validation_scores_ == model.validation_scores_
    light = pickle.loads(pickle.dumps(model.set_params(keep_path="memory")))
    for name in ("n_iter_", "loss_curve_", "validation_scores_"):
        with pytest.raises(NotKeptError, match=f"{name} was not kept"):
            getattr(light, name)
    search = chooser(small_classifier(max_epochs=7), budgets=(0.5,)).fit(X, y)
    assert search.n_iter_ == 7
    assert search.loss_curve_ == search.best_estimator_.loss_curve_


@pytest.mark.parametrize("make", [classifier, regressor, chooser])
@pytest.mark.parametrize("name", ["n_iter_", "loss_curve_", "validation_scores_"])
def test_before_fit_there_are_none(make, name):
    assert not hasattr(make(), name)
    with pytest.raises(AttributeError, match=r"no attribute|not fitted"):
        getattr(make(), name)


def test_a_net_that_would_go_on_from_its_weights_is_refused():
    X, y = classes_table()
    for net in (small_classifier(warm_start=True), plain_classifier(warm_start=True)):
        with pytest.raises(ValueError, match=r"warm_start=True of .* FrozenEstimator\(net\).*at_b"):
            classifier(net).fit(X, y)


@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_a_trained_net_keeps_its_epochs():
    X, y = classes_table()
    net = small_classifier(max_epochs=4, random_state=0).fit(X, y)
    model = classifier(FrozenEstimator(net))
    assert not warned(model, X, y)
    assert model.loss_curve_ == net.history[:, "train_loss"]
    assert np.isfinite(model.validation_scores_).all()
