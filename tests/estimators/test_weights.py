"""Sample weights: a row counts as much as its weight says, in every net that can use them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch import NeuralNetRegressor
from torch import nn
from user_nets import (
    QUICK,
    WeightedClassifier,
    WeightedRegressor,
    classes_table,
    plain_classifier,
    plain_regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor, WeightedLossMixin

OURS = {
    "classifier": (small_classifier, classes_table),
    "regressor": (small_regressor, values_table),
}
ours = pytest.mark.parametrize("kind", OURS)


def float32_table(table):
    X, y = table()
    return X.astype(np.float32), y if y.dtype.kind == "i" else y.astype(np.float32)[:, None]


@ours
@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_weight_two_is_a_doubled_row(kind, factor):
    make, table = OURS[kind]
    X, y = table()
    # Integer weights of mean 1, some of them 0: as many rows as before.
    w = np.tile([2.0, 0.0, 1.0, 1.0], len(X) // 4)
    rows = np.repeat(np.arange(len(X)), w.astype(int))
    params = {"random_state": 0, "batch_size": -1, "train_split": None}
    # A factor on all weights is one on the loss, which Adam does not see.
    weighted = make(**params).fit({"X": X, "sample_weight": factor * w}, y)
    doubled = make(**params).fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.predict(X), doubled.predict(X), rtol=1e-6)
    assert weighted.history[-1, "train_loss"] == pytest.approx(
        factor * doubled.history[-1, "train_loss"], rel=1e-6
    )
    plain = make(**params).fit(X, y)
    assert not np.allclose(state(plain)["0.weight"], state(weighted)["0.weight"], rtol=1e-4)


@ours
def test_weights_of_one_change_nothing(kind):
    make, table = OURS[kind]
    X, y = table()
    plain = make(random_state=0).fit(X, y)
    weighted = make(random_state=0).fit({"X": X, "sample_weight": np.ones(len(X))}, y)
    assert same_state(state(plain), state(weighted))


@ours
def test_loss_is_not_divided_by_the_weights_of_a_batch(kind):
    make, table = OURS[kind]
    X, y = table()
    net = make(random_state=0, max_epochs=1).fit(X, y)
    x, targets = torch.tensor(X[:10]), torch.tensor(net._targets(y[:10]))
    with torch.no_grad():
        outputs = net.infer(x)
        w = torch.linspace(0.0, 3.0, 10, dtype=torch.float64)
        each = [net.get_loss(outputs[k : k + 1], targets[k : k + 1]) for k in range(10)]
        found = net.get_loss(outputs, targets, X={"X": x, "sample_weight": w})
    assert float(found) == pytest.approx(float((w * torch.stack(each)).sum() / 10))


@pytest.mark.parametrize(
    ("net", "table"),
    [
        (plain_classifier(WeightedClassifier), classes_table),
        (plain_regressor(WeightedRegressor), unit_values_table),
    ],
    ids=["classifier", "regressor"],
)
def test_mixin_around_skorch_nets(net, table):
    X, y = float32_table(table)
    net.set_params(batch_size=-1, train_split=None, max_epochs=3, module__width=4, lr=1e-4)
    # BatchNorm would count rows: it stays as it is.
    net.set_params(module=_NoNorm)
    w = np.tile([3.0, 0.0, 1.0, 0.0], len(X) // 4).astype(np.float32)
    rows = np.repeat(np.arange(len(X)), w.astype(int))
    torch.manual_seed(0)
    weighted = net.fit({"X": X, "sample_weight": w}, y).predict(X)
    loss = net.history[-1, "train_loss"]
    torch.manual_seed(0)
    doubled = net.fit(X[rows], y[rows]).predict(X)
    np.testing.assert_allclose(weighted, doubled, rtol=1e-4)
    assert loss == pytest.approx(net.history[-1, "train_loss"], rel=1e-4)


class _NoNorm(nn.Sequential):
    def __init__(self, n_outputs=3, width=4):
        super().__init__(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, n_outputs))


def test_several_outputs_count_as_their_mean():
    class Net(WeightedLossMixin, NeuralNetRegressor):
        pass

    net = Net(nn.Linear(2, 3), verbose=0).initialize()
    outputs, targets = torch.rand(4, 3), torch.rand(4, 3)
    expected = nn.functional.mse_loss(outputs, targets)
    assert float(net.get_loss(outputs, targets)) == pytest.approx(float(expected))


# ------------------------------------------------------------------- through the estimators

FITS = {
    "ours": (MABPrunedClassifier, small_classifier, classes_table),
    "ours, values": (MABPrunedRegressor, small_regressor, values_table),
    "user's": (MABPrunedClassifier, lambda: plain_classifier(WeightedClassifier), classes_table),
    "user's, values": (
        MABPrunedRegressor, lambda: plain_regressor(WeightedRegressor), unit_values_table,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FITS)
def test_estimators_honour_weights(case):
    kind, make, table = FITS[case]
    X, y = table()
    model = kind(make(), **QUICK)
    plain = model.fit(X, y).predict(X)
    np.testing.assert_array_equal(
        model.fit(X, y, sample_weight=np.full(len(X), 3.0)).predict(X), plain
    )
    w = np.random.default_rng(0).uniform(0.1, 5.0, len(X))
    weighted = model.fit(X, y, sample_weight=w)
    assert not np.array_equal(weighted.predict(X), plain)
    outputs = weighted.predict(X)
    np.testing.assert_allclose(
        model.fit(X, y, sample_weight=7.0 * w).predict(X), outputs, rtol=1e-6
    )


@pytest.mark.parametrize("case", ["ours", "ours, values"])
def test_estimators_take_weight_two_for_a_doubled_row(case):
    kind, make, table = FITS[case]
    X, y = table()
    w = np.tile([2.0, 1.0, 0.0, 3.0], len(X) // 4)
    rows = np.repeat(np.arange(len(X)), w.astype(int))
    # All rows in one batch: a batch of weighted rows holds others than one of copies.
    model = kind(make(batch_size=-1), **QUICK)
    weighted = model.fit(X, y, sample_weight=w)
    chosen, outputs = weighted.neuron_ranking_, weighted.predict(X)
    copies = model.fit(X[rows], y[rows])
    for one, other in zip(chosen, copies.neuron_ranking_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(outputs, copies.predict(X), rtol=1e-6)


def test_class_weights_multiply_sample_weights():
    X, y = classes_table()
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    each = {0: 1.0, 1: 3.0, 2: 0.5}
    by_class = MABPrunedClassifier(small_classifier(), class_weight=each, **QUICK)
    by_row = MABPrunedClassifier(small_classifier(), **QUICK)
    factors = np.array([each[label] for label in y])
    np.testing.assert_allclose(
        by_class.fit(X, y, sample_weight=w).predict_proba(X),
        by_row.fit(X, y, sample_weight=w * factors).predict_proba(X),
    )


def test_balanced_class_weights_favour_the_rare_class():
    X, y = classes_table(n_classes=2)
    keep = np.flatnonzero((y == 0) | (np.arange(len(y)) % 6 == 0))
    X, y = X[keep], np.where(y[keep] == 0, "often", "rare")
    model = MABPrunedClassifier(small_classifier(max_epochs=30), **QUICK)
    model.set_params(pruning_budget=0.2, fine_tune_epochs=8)
    plain = model.fit(X, y).predict_proba(X)[:, 1]
    balanced = model.set_params(class_weight="balanced").fit(X, y).predict_proba(X)[:, 1]
    assert model.classes_[1] == "rare"
    assert balanced.mean() > 1.3 * plain.mean()


@pytest.mark.parametrize("kind", [MABPrunedClassifier, MABPrunedRegressor])
def test_rows_of_weight_zero_are_left_out(kind):
    table = classes_table if kind is MABPrunedClassifier else values_table
    net = small_classifier() if kind is MABPrunedClassifier else small_regressor()
    X, y = table()
    w = np.ones(len(X))
    w[::3] = 0.0
    expected = kind(net, **QUICK).fit(X[w > 0], y[w > 0]).predict(X)
    np.testing.assert_array_equal(
        kind(net, **QUICK).fit(X, y, sample_weight=w).predict(X), expected
    )


@pytest.mark.parametrize("case", ["ours", "ours, values"])
def test_own_validation_rows_weigh_the_same(case):
    kind, make, table = FITS[case]
    X, y = table(200)
    w = np.random.default_rng(0).uniform(0.1, 3.0, 120)
    rows = {"X_val": X[120:], "y_val": y[120:]}
    model = kind(make(), **QUICK).fit(X[:120], y[:120], sample_weight=w, **rows)
    assert model.pruning_report_.after.score == pytest.approx(model.score(X[120:], y[120:]))
    plain = kind(make(), **QUICK).fit(X[:120], y[:120], **rows)
    assert not np.array_equal(model.predict(X), plain.predict(X))


@pytest.mark.parametrize("scale", [2.0**1021, 2.0**-1020])
@pytest.mark.parametrize("by_class", [False, True])
def test_only_ratios_matter_at_any_magnitude(scale, by_class):
    X, y = classes_table()
    weights = 1.0 + np.arange(len(X)) / len(X)

    def probabilities(factor):
        given = {k: factor * (k + 1) for k in range(3)} if by_class else None
        model = MABPrunedClassifier(small_classifier(), class_weight=given, **QUICK)
        return model.fit(X, y, sample_weight=factor * weights).predict_proba(X)

    np.testing.assert_array_equal(probabilities(scale), probabilities(1.0))
