"""How our skorch nets train by themselves: stopping, batches, callbacks, randomness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochScoring, GradientNormClipping, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from user_nets import (
    classes_table,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

KINDS = {
    "classifier": (small_classifier, classes_table),
    "regressor": (small_regressor, values_table),
}
both = pytest.mark.parametrize("kind", KINDS)


def made(kind, **params):
    net, table = KINDS[kind]
    return net(random_state=0, **params), *table()


# ---------------------------------------------------------------------------- training


@both
def test_early_stopping_keeps_the_best_weights(kind):
    # A rate at which a table of a hundred rows is soon learned by heart.
    net, X, y = made(kind, lr=0.03, max_epochs=200, patience=5)
    rng = np.random.default_rng(0)
    y = rng.permutation(y)
    net.fit(X, y)
    losses = net.history[:, "valid_loss"]
    assert len(losses) == int(np.argmin(losses)) + 1 + 5 < 200
    held_out = net.get_split_datasets(X, net._targets(y))[1]
    step = net.validation_step(next(iter(net.get_iterator(held_out))))
    assert float(step["loss"]) == pytest.approx(min(losses), rel=1e-12)
    assert min(losses) < losses[-1]


@both
def test_without_early_stopping_all_epochs_run(kind):
    net, X, y = made(kind, lr=0.05, max_epochs=60, patience=3, early_stopping=False)
    net.fit(X, np.random.default_rng(0).permutation(y))
    assert len(net.history) == 60


@both
def test_without_validation_rows_the_training_loss_is_watched(kind):
    net, X, y = made(kind, train_split=None, lr=0.0, patience=4)
    net.fit(X, y)
    assert "valid_loss" not in net.history[-1]
    assert len(net.history) == 5


@both
def test_no_epochs(kind):
    net, X, y = made(kind, max_epochs=0)
    assert len(net.fit(X, y).history) == 0
    assert len(net.predict(X)) == len(X)


@both
def test_batches(kind):
    net, X, y = made(kind, train_split=None)
    rows = []

    def count(net, batch, training, **kwargs):
        rows.append(len(batch[1]))

    net.set_params(max_epochs=1, callbacks=[("count", _OnBatch(count))])
    for size, expected in ((-1, [120]), (50, [50, 50, 20]), (17, [17] * 6 + [18]), (500, [120])):
        rows.clear()
        net.set_params(batch_size=size).fit(X, y)
        assert rows == expected


class _OnBatch(Callback):
    """Calls a function at the end of every batch."""

    def __init__(self, function):
        self.function = function

    def on_batch_end(self, net, batch, training, **kwargs):
        self.function(net, batch, training)


def test_full_batch_is_one_gradient_step():
    X, y = classes_table()
    net = small_classifier(
        random_state=0, batch_size=-1, max_epochs=1, train_split=None, lr=0.1,
        optimizer=torch.optim.SGD,
    )  # fmt: skip
    net.size_from(X, y)
    before = net.initialize().module_
    loss = nn.functional.cross_entropy(before(torch.tensor(X)), torch.tensor(y))
    gradients = torch.autograd.grad(loss, list(before.parameters()))
    expected = [p - 0.1 * g for p, g in zip(before.parameters(), gradients, strict=True)]
    net.fit(X, y)
    for found, wanted in zip(net.module_.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


@both
def test_batch_norm_with_one_row_left_over(kind):
    net, X, y = made(kind, module__batch_norm=True, batch_size=7, train_split=None)
    net.fit(X[:50], y[:50])  # 7 * 7 + 1: BatchNorm cannot train on the last row alone
    assert np.isfinite(net.history[:, "train_loss"]).all()


def test_another_class_of_iterator():
    X, y = classes_table()
    params = {"random_state": 0, "batch_size": -1, "train_split": None}
    expected = small_classifier(**params).fit(X, y)
    params |= {"iterator_train": DataLoader, "iterator_valid": DataLoader}
    found = small_classifier(**params).fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), rtol=1e-9)


def test_another_implementation_of_the_optimizer():
    X, y = classes_table()
    expected = small_classifier(random_state=0, optimizer__fused=False).fit(X, y)
    found = small_classifier(random_state=0, optimizer__foreach=True).fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), rtol=1e-6)


# ------------------------------------------------------------------- callbacks, printing


def test_user_callbacks_are_called():
    X, y = classes_table()
    clip = GradientNormClipping(1e-9)
    net = small_classifier(
        random_state=0, optimizer=torch.optim.SGD, lr=1.0, callbacks=[("clip", clip)]
    ).fit(X, y)
    net_free = small_classifier(random_state=0, optimizer=torch.optim.SGD, lr=1.0).fit(X, y)
    start = small_classifier(random_state=0, max_epochs=0).fit(X, y)
    moved = {k: np.abs(v - state(start)[k]).max() for k, v in state(net).items()}
    assert 0 < max(moved.values()) < 1e-6, "clipped gradients hardly move the weights"
    assert not same_state(state(net), state(net_free))


def test_learning_rate_schedule():
    X, y = classes_table()
    schedule = LRScheduler(StepLR, step_size=1, gamma=0.5)
    net = small_classifier(max_epochs=4, callbacks=[("rate", schedule)]).fit(X, y)
    assert net.history[:, "event_lr"] == pytest.approx([0.01, 0.005, 0.0025, 0.00125])


def test_scores_of_each_epoch():
    X, y = classes_table()
    scoring = EpochScoring("accuracy", lower_is_better=False, name="accuracy", on_train=True)
    net = small_classifier(
        random_state=0, batch_size=-1, train_split=None, max_epochs=4, early_stopping=False,
        callbacks=[("scoring", scoring)],
    ).fit(X, y)  # fmt: skip
    # A score of training batches is of the weights before the epoch's step.
    before = small_classifier(
        random_state=0, batch_size=-1, train_split=None, max_epochs=3, early_stopping=False
    ).fit(X, y)
    assert net.history[-1, "accuracy"] == pytest.approx(before.score(X, y))


def test_verbose_prints_a_line_an_epoch(capsys):
    X, y = classes_table()
    small_classifier(max_epochs=3).fit(X, y)
    assert capsys.readouterr().out == ""
    small_classifier(max_epochs=3, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.strip()[:1].isdigit()]) == 3


# --------------------------------------------------------------------------- randomness


@both
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_same_seed_same_net(kind, dropout):
    def fitted(seed):
        torch.manual_seed(5)  # Dropout draws from torch's own generator
        net, X, y = made(kind, module__dropout=dropout)
        return state(net.set_params(random_state=seed).fit(X, y))

    assert same_state(fitted(3), fitted(3))
    assert not same_state(fitted(3), fitted(4))


@pytest.mark.slow
@both
@pytest.mark.parametrize("seed", [0, None])
def test_global_states_are_left_alone(kind, seed):
    net, X, y = made(kind)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the state that must not move
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    net.set_params(random_state=seed).fit(X, y).predict(X)
    assert torch.equal(torch.get_rng_state(), torch_state)
    now = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(now[1], numpy_state[1])
    assert now[2] == numpy_state[2]


@both
def test_no_seed_is_another_net_each_time(kind):
    net, X, y = made(kind)
    net.set_params(random_state=None)
    first = state(net.fit(X, y))
    assert not same_state(state(net.fit(X, y)), first)
