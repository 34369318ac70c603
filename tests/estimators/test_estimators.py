"""The estimators from outside: fitted attributes, predictions, budgets, validation rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import NotFittedError
from torch import nn
from user_nets import (
    classes_table,
    classifier,
    fitted,
    regressor,
    small_regressor,
    state,
    values_table,
)

import sklearn_mabprune.estimators.base
from sklearn_mabprune.graph.module import PrunedChain

KINDS = {"classifier": (classifier, classes_table), "regressor": (regressor, values_table)}
both = pytest.mark.parametrize("kind", KINDS)


def rebuilt(model, number):
    """A network kept in the path, built from its arrays alone."""
    kept = model.pruning_path_.networks[number]
    module = PrunedChain(kept["layers"], kept["dtype"])
    for layer, values in zip(module, kept["state"], strict=True):
        layer.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    return module.eval()


def widths(module):
    return [m.out_features for m in module.modules() if isinstance(m, nn.Linear)][:-1]


# ------------------------------------------------------------------------ fitted attributes


@both
@pytest.mark.parametrize(
    "policy", ["ucb1", "thompson", "uniform", "exhaustive", "magnitude", "random"]
)
def test_attributes_agree(kind, policy):
    model, _, _ = fitted(kind, policy=policy, pruning_budget=0.6)
    path, report = model.pruning_path_, model.pruning_report_
    assert [len(each) for each in model.neuron_support_] == [12, 8]
    assert [each.dtype for each in model.neuron_support_] == [bool, bool]
    assert model.hidden_layer_sizes_ == tuple(int(s.sum()) for s in model.neuron_support_)
    assert sum(model.hidden_layer_sizes_) == 20 - 12
    assert widths(model.estimator_.module_) == list(model.hidden_layer_sizes_)
    assert path.layer_sizes[-1] == report.after.hidden_layer_sizes == model.hidden_layer_sizes_
    assert path.layer_sizes[0] == report.before.hidden_layer_sizes == (12, 8)

    ranking = np.concatenate(model.neuron_ranking_)
    support = np.concatenate(model.neuron_support_)
    np.testing.assert_array_equal(ranking == 1, support)
    removed = np.concatenate(path.removed)
    assert len(removed) == len(set(removed)) == 12
    assert not support[removed].any()
    # 2 went last; the first to go has the highest rank.
    np.testing.assert_array_equal(ranking[removed], np.arange(13, 1, -1))
    assert [each.shape for each in model.neuron_ranking_] == [(12,), (8,)]

    assert isinstance(model.policy_, sklearn_mabprune.policies.Policy) == (
        policy not in ("magnitude", "random")
    )
    assert model.n_pulls_ == report.n_pulls == path.n_pulls.sum()
    assert (model.n_pulls_ > 0) == (policy not in ("magnitude", "random"))
    assert model.n_features_in_ == 6
    assert not hasattr(model, "feature_names_in_")


@both
def test_path_has_a_value_for_every_step(kind):
    model, _, _ = fitted(kind, pruning_budget=0.6)
    path = model.pruning_path_
    assert len(path) == 1 + 6
    for name in ("n_neurons", "n_parameters", "n_macs", "loss", "score", "score_fine_tuned",
                 "n_pulls", "n_evaluations", "seconds"):  # fmt: skip
        assert getattr(path, name).shape == (7,), name
    assert path.reward_scale.shape == (7, 2)
    assert len(path.removed) == len(path.loss_increase) == len(path.layer_sizes) == 7
    np.testing.assert_array_equal(path.n_neurons, 20 - 2 * np.arange(7))
    np.testing.assert_array_equal(path.n_neurons, [sum(sizes) for sizes in path.layer_sizes])
    for sizes, parameters, macs in zip(
        path.layer_sizes, path.n_parameters, path.n_macs, strict=True
    ):
        a, b, out = *sizes, 3 if kind == "classifier" else 1
        assert macs == 6 * a + a * b + b * out
        assert parameters == macs + a + b + out
    assert [len(arms) for arms in path.removed] == [0, 2, 2, 2, 2, 2, 2]
    assert np.isnan(path.score_fine_tuned[:-1]).all()
    assert np.isfinite(path.loss).all()
    assert (path.n_backward[1:] > 0).all()
    assert ((path.confidence[1:] > 0.5) & (path.confidence[1:] <= 1)).all()
    assert path.n_pulls[0] == path.seconds[0] == 0


@both
def test_networks_of_the_path_are_what_was_scored(kind):
    make, table = KINDS[kind]
    X, y = table()
    model = make(pruning_budget=0.8).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    path = model.pruning_path_
    assert {0, len(path) - 1} <= set(path.networks)
    assert len(path.networks) <= 12
    for number in path.networks:
        module = rebuilt(model, number)
        assert tuple(widths(module)) == path.layer_sizes[number]
        assert sum(p.numel() for p in module.parameters()) == path.n_parameters[number]
        with torch.no_grad():
            outputs = module(torch.tensor(X[80:])).numpy()
        if kind == "classifier":
            score = accuracy_score(y[80:], outputs.argmax(axis=1))
        else:
            net = model.estimator_
            score = r2_score(y[80:], outputs * net.target_scale_ + net.target_mean_)
        assert score == pytest.approx(path.score[number], rel=1e-9), number
    small, last = state(model.estimator_), rebuilt(model, len(path) - 1).state_dict()
    if np.isnan(path.score_fine_tuned[-1]) or path.score_fine_tuned[-1] == path.score[-1]:
        return
    assert any(not np.array_equal(small[k], v.numpy()) for k, v in last.items())


@both
def test_kept_networks_can_be_left_out(kind):
    with_path, X, _ = fitted(kind)
    without, _, _ = fitted(kind, keep_path="never")
    assert without.pruning_path_.networks == {}
    np.testing.assert_array_equal(without.pruning_path_.score, with_path.pruning_path_.score)
    np.testing.assert_array_equal(without.predict(X), with_path.predict(X))


@both
def test_loss_increases_are_of_the_arms_removed(kind):
    model, _, _ = fitted(kind, policy="exhaustive", step=1, pruning_budget=4, ablation="zero")
    path = model.pruning_path_
    # Zeroing one neuron measured on all rows: what the loss rose by when it went.
    rises = np.diff(path.loss)
    told = np.concatenate(path.loss_increase)
    np.testing.assert_allclose(told, rises, atol=1e-8)


# ------------------------------------------------------------------------------ predictions


def test_classifier_predicts_what_its_net_does():
    model, X, y = fitted("classifier")
    proba = model.predict_proba(X)
    assert proba.shape == (120, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), proba.argmax(axis=1))
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(proba))
    assert model.score(X, y) == accuracy_score(y, model.predict(X))
    np.testing.assert_allclose(model.estimator_.predict_proba(X), proba, rtol=1e-12)


@pytest.mark.parametrize("n_targets", [None, 1, 3])
def test_regressor_predicts_as_y_was(n_targets):
    X, y = values_table(n_targets=n_targets or 1)
    y = y if n_targets is None else y.reshape(len(y), -1)
    model = regressor(small_regressor(max_epochs=150, lr=0.02), pruning_budget=0.3).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)))
    assert model.score(X, y) > 0.8
    np.testing.assert_allclose(
        model.estimator_.predict(X), model.predict(X).reshape(len(y), -1), rtol=1e-12
    )


@pytest.mark.parametrize(
    "labels",
    [["no", "perhaps", "yes"], [-7, 0, 40], [1.0, 2.0, 3.0], np.array(["b", "a", "c"], object)],
    ids=["strings", "integers", "floats", "objects"],
)
def test_labels_come_back_as_they_were(labels):
    X, codes = classes_table()
    expected = classifier().fit(X, codes)
    y = np.asarray(sorted(labels))[codes]
    model = classifier().fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    np.testing.assert_array_equal(model.predict(X), np.unique(y)[expected.predict(X)])
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.predict(X).dtype == np.unique(y).dtype


def test_two_boolean_classes():
    X, y = classes_table(n_classes=2)
    model = classifier().fit(X, y == 1)
    assert model.predict(X).dtype == bool
    assert model.predict_proba(X).shape == (120, 2)


def test_tables_of_pandas_and_polars():
    X, y = classes_table()
    expected = classifier().fit(X, y).predict_proba(X)
    names = list("abcdef")
    for frame in (pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names)):
        model = classifier().fit(frame, y)
        assert list(model.feature_names_in_) == names
        np.testing.assert_array_equal(model.predict_proba(frame), expected)


def test_float32_rows_stay_float32():
    X, y = classes_table()
    model = classifier().fit(X.astype(np.float32), y)
    assert {p.dtype for p in model.estimator_.module_.parameters()} == {torch.float32}
    assert model.predict_proba(X.astype(np.float32)).dtype == np.float32


def test_predictions_do_not_depend_on_how_many_rows_come():
    model, X, _ = fitted("classifier")
    together = model.predict_proba(X)
    one_by_one = np.concatenate([model.predict_proba(X[k : k + 1]) for k in range(20)])
    np.testing.assert_allclose(one_by_one, together[:20], rtol=1e-9)


@both
def test_prediction_before_fit(kind):
    make, table = KINDS[kind]
    with pytest.raises(NotFittedError):
        make().predict(table()[0])


# ------------------------------------------------------------------ refitting and parameters


@both
def test_refit_forgets_the_fit_before(kind):
    make, table = KINDS[kind]
    X, y = table()
    model = make().fit(pd.DataFrame(X, columns=list("abcdef")), y)
    model.left_over_ = 1
    again = model.fit(X[:, :4], y)
    assert again is model
    assert not hasattr(model, "left_over_")
    assert not hasattr(model, "feature_names_in_")
    np.testing.assert_array_equal(
        model.predict(X[:, :4]), make().fit(X[:, :4], y).predict(X[:, :4])
    )


@both
def test_failures_leave_nothing_fitted(kind):
    make, table = KINDS[kind]
    X, y = table()
    model = make().fit(X, y)
    for changed in ({"policy": "no such"}, {"min_neurons": 9, "pruning_budget": 0.9}):
        model = make().fit(X, y)
        with pytest.raises(ValueError, match=r"no such|min_neurons"):
            model.set_params(**changed).fit(X, y)
        assert not [name for name in vars(model) if name.endswith("_")]
        with pytest.raises(NotFittedError):
            model.predict(X)


@both
def test_fit_changes_no_parameter(kind):
    make, table = KINDS[kind]
    X, y = table()
    model = make()
    net, before = model.estimator, repr(model.get_params(deep=False))
    model.fit(X, y)
    assert model.estimator is net
    assert not net.initialized_
    assert repr(model.get_params(deep=False)) == before


def test_rows_given_are_not_written_to():
    X, y = classes_table()
    X_before, y_before = X.copy(), y.copy()
    classifier().fit(X, y, sample_weight=np.ones(len(X))).predict(X)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


def test_a_frame_of_one_column_as_target_warns():
    X, y = classes_table()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier().fit(X, y[:, None])
    assert any("column-vector" in str(each.message) for each in caught)


@both
def test_pulls_draw_on_max_pruning_samples(kind):
    model, _, _ = fitted(kind, max_pruning_samples=40, policy="uniform", ablation="zero", ridge=0.0)
    report = model.pruning_report_
    assert report.n_evaluations == 40 * report.n_pulls > 0
    whole, _, _ = fitted(kind, policy="uniform", ablation="zero")
    assert whole.pruning_path_.loss[0] != model.pruning_path_.loss[0]
    assert whole.pruning_path_.score[0] == model.pruning_path_.score[0]
