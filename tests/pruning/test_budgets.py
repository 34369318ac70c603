"""Budgets, and the rows that scores and tolerance are measured on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, root_mean_squared_error
from user_nets import (
    classes_table,
    classifier,
    fitted,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

import sklearn_mabprune.estimators.initial
from sklearn_mabprune import PruningWarning

KINDS = {"classifier": (classifier, classes_table), "regressor": (regressor, values_table)}
both = pytest.mark.parametrize("kind", KINDS)


# --------------------------------------------------------------------------------- budgets


@both
def test_budget_of_nothing_is_the_trained_network(kind, monkeypatch):
    nets = []
    original = sklearn_mabprune.estimators.initial.train

    def watched(*args, **kwargs):
        nets.append(original(*args, **kwargs))
        return nets[-1]

    monkeypatch.setattr(sklearn_mabprune.estimators.initial, "train", watched)
    model, X, _ = fitted(kind, pruning_budget=0)
    assert same_state(state(model.estimator_), state(nets[0][0]))
    assert model.hidden_layer_sizes_ == (12, 8)
    assert all(support.all() for support in model.neuron_support_)
    assert all((ranking == 1).all() for ranking in model.neuron_ranking_)
    assert model.n_pulls_ == 0
    report = model.pruning_report_
    assert report.n_rounds == report.n_fine_tune_epochs == 0
    assert report.before.score == report.after.score
    assert len(model.pruning_path_) == 1
    net, _ = nets[0]
    expected = net.predict_proba(X) if kind == "classifier" else net.predict(X)[:, 0]
    found = model.predict_proba(X) if kind == "classifier" else model.predict(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("budget", "left"), [(0, 20), (7, 13), (0.5, 10), (0.29, 15), (0.9, 2), (18, 2), (0.0, 20)]
)
def test_budget_of_neurons(budget, left):
    model, _, _ = fitted("classifier", pruning_budget=budget)
    assert sum(model.hidden_layer_sizes_) == left


@pytest.mark.parametrize(
    ("unit", "total", "least"), [("neurons", "20", 0.05), ("macs", "192", 0.0053)]
)
def test_a_share_of_less_than_one_neuron_is_said(unit, total, least):
    message = (
        rf"pruning_budget=0.004 of {total} {unit} is less than one, so nothing was removed. Pass a "
        rf"count, such as pruning_budget=1, or a fraction of at least {least}; with "
        "pruning_budget=0 nothing is removed without this warning"
    )
    X, y = classes_table()
    model = classifier(pruning_budget=0.004, budget_unit=unit)
    with pytest.warns(PruningWarning, match=message):
        model.fit(X, y)
    assert model.hidden_layer_sizes_ == (12, 8)
    assert "less than one" in str(model.pruning_report_)
    kept = classifier(pruning_budget=0.3, budget_unit=unit).fit(X, y)
    for data in ((), (X, y)):
        with pytest.warns(PruningWarning, match=message):
            found = kept.at_budget(0.004, *data)
        assert found.hidden_layer_sizes_ == (12, 8)
        assert "less than one" in found.pruning_report_.warnings[0]
    # The share that is recommended removes something; that nothing goes may be asked for.
    for budget in (least, 1):
        assert sum(kept.at_budget(budget, X, y).hidden_layer_sizes_) == 19
    for budget in (0, 0.0):
        assert "less than one" not in str(kept.at_budget(budget, X, y).pruning_report_)


@pytest.mark.parametrize(("least", "way_out"), [(1, ";"), (8, ", or lower min_neurons;")])
def test_where_nothing_can_go_no_budget_is_recommended(least, way_out):
    X, y = classes_table()
    sizes = (least, 1)
    net = small_classifier(module__hidden_layer_sizes=sizes)
    message = f"no hidden layer is wider than min_neurons={least}. Train a wider network{way_out}"
    model = classifier(net, pruning_budget=0.05, min_neurons=least)
    with pytest.warns(PruningWarning, match=message):
        model.fit(X, y)
    assert model.hidden_layer_sizes_ == sizes
    assert "Pass a count" not in str(model.pruning_report_)


@pytest.mark.parametrize("unit", ["parameters", "macs"])
@pytest.mark.parametrize("budget", [0.4, 0.7, 60])
def test_budget_of_parameters_or_macs(unit, budget):
    model, _, _ = fitted("classifier", pruning_budget=budget, budget_unit=unit, step=1)
    n = getattr(model.pruning_path_, f"n_{unit}")
    wanted = budget if budget > 1 else int(budget * n[0])
    assert n[0] - n[-1] >= wanted
    assert n[0] - n[-2] < wanted, "no neuron more than needed"


def test_every_layer_keeps_min_neurons():
    model, _, _ = fitted("classifier", pruning_budget=0.6, min_neurons=4)
    assert min(model.hidden_layer_sizes_) >= 4
    assert sum(model.hidden_layer_sizes_) == 8


def test_scope_layer_takes_the_same_share_everywhere():
    model, _, _ = fitted("classifier", pruning_budget=0.5, scope="layer", step=0.2)
    assert model.hidden_layer_sizes_ == (6, 4)


@pytest.mark.slow
@both
@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_budget_auto_keeps_to_the_tolerance(kind, tolerance):
    make, table = KINDS[kind]
    X, y = table(300)
    net = (small_classifier if kind == "classifier" else small_regressor)(max_epochs=60, lr=0.02)
    model = make(net, pruning_budget="auto", tolerance=tolerance, step=0.05)
    model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    path, report = model.pruning_path_, model.pruning_report_
    least = path.score[0] - tolerance
    assert model.score(X[200:], y[200:]) == pytest.approx(report.after.score)
    assert report.after.score >= least
    chosen = path.layer_sizes.index(model.hidden_layer_sizes_)
    tried = np.flatnonzero(np.isfinite(path.score_fine_tuned))
    assert len(tried) <= 5, "bisection, not every candidate"
    # Of all that were fine-tuned, those that are smaller were not good enough.
    assert (path.score_fine_tuned[tried[tried > chosen]] < least).all()
    assert path.layer_sizes[-1] == (1, 1), "the whole path was walked"
    assert sum(model.hidden_layer_sizes_) < 20
    # Neurons that only later steps removed are there still.
    assert sum(s.sum() for s in model.neuron_support_) == sum(model.hidden_layer_sizes_)
    assert not any("costs more" in text for text in report.warnings)


def test_costly_budget_warns_with_both_scores():
    X, y = classes_table(300)
    net = small_classifier(max_epochs=60, lr=0.02)
    model = classifier(net, pruning_budget=0.9, tolerance=0.0, fine_tune_epochs=0, policy="random")
    with pytest.warns(PruningWarning, match=r"pruning_budget=0.9 costs more than tolerance=0.0"):
        model.fit(X, y)
    report = model.pruning_report_
    message = next(text for text in report.warnings if "tolerance" in text)
    assert f"from {report.before.score:.4f} to {report.after.score:.4f}" in message
    assert f"Warning: {message}" in str(report)


# -------------------------------------------------------------------------- validation rows


@both
def test_own_validation_rows(kind):
    make, table = KINDS[kind]
    X, y = table(200)
    model = make(scoring=None).fit(X[:120], y[:120], X_val=X[120:], y_val=y[120:])
    report = model.pruning_report_
    assert report.n_validation == 80
    assert model.validation_fraction_ == 0.0
    assert report.after.score == pytest.approx(model.score(X[120:], y[120:]))
    if kind == "classifier":
        expected = log_loss(y[120:], model.predict_proba(X[120:]))
    else:
        expected = root_mean_squared_error(y[120:], model.predict(X[120:]))
    assert report.after.loss == pytest.approx(expected)
    # float32 rows validate a float64 fit, and a list will do
    again = make().fit(X[:120], y[:120], X_val=X[120:].astype(np.float32), y_val=list(y[120:]))
    np.testing.assert_allclose(again.pruning_path_.score, model.pruning_path_.score, rtol=1e-5)


@both
def test_validation_rows_choose_nothing(kind):
    """Pulls, means and covariances are of training rows: whatever validates, the same path."""
    make, table = KINDS[kind]
    small = small_classifier if kind == "classifier" else small_regressor
    X, y = table(200)
    paths, nets = [], []
    for held_out in (slice(120, 160), slice(160, 200)):
        model = make(small(early_stopping=False), fine_tune_epochs=0)
        model.fit(X[:120], y[:120], X_val=X[held_out], y_val=y[held_out])
        paths.append(model.pruning_path_)
        nets.append(state(model.estimator_))
    one, other = paths
    assert [arms.tolist() for arms in one.removed] == [arms.tolist() for arms in other.removed]
    np.testing.assert_array_equal(one.loss, other.loss)
    assert same_state(*nets)
    assert one.score[0] != other.score[0], "scores are of the validation rows"


def test_validation_labels_are_those_of_y():
    X, codes = classes_table(200)
    y = np.array(["no", "perhaps", "yes"])[codes]
    model = classifier().fit(X[:120], y[:120], X_val=X[120:], y_val=y[120:])
    assert model.pruning_report_.after.score == pytest.approx(model.score(X[120:], y[120:]))


@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_share_of_validation_rows(fraction):
    model, X, _ = fitted("classifier", validation_fraction=fraction)
    assert model.validation_fraction_ == pytest.approx(fraction, abs=0.02)
    assert model.pruning_report_.n_validation == round(model.validation_fraction_ * len(X))


@pytest.mark.parametrize(
    ("kind", "scoring"),
    [
        ("classifier", "neg_log_loss"),
        ("classifier", "balanced_accuracy"),
        ("regressor", "neg_root_mean_squared_error"),
    ],
)
def test_scoring(kind, scoring):
    model, _, _ = fitted(kind, scoring=scoring)
    report = model.pruning_report_
    assert report.score_name == scoring
    assert scoring in str(report)
    if scoring.startswith("neg"):
        assert report.after.score == pytest.approx(-report.after.loss, rel=1e-5)


def test_scoring_by_a_function():
    def constant(estimator, X, y):
        """Every network is as good as every other."""
        assert X.shape[1] == 6
        assert set(estimator.predict(X)) <= set(estimator.classes_)
        return 0.25

    model, _, _ = fitted("classifier", scoring=constant, tolerance=0.0)
    assert model.pruning_report_.score_name == "constant"
    assert set(model.pruning_path_.score) == {0.25}
