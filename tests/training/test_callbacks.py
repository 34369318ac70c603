"""Callbacks of a user's net: heeded in its training, and in nothing after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from user_nets import classes_table, classifier, plain_classifier

CALLBACKS = [
    ("stop", EarlyStopping(patience=4, load_best=True)),
    ("rate", LRScheduler(policy="StepLR", step_size=3, gamma=0.9, event_name="event_lr")),
    ("score", EpochScoring("f1_macro", name="valid_f1", lower_is_better=False)),
]


def rows_and_net(callbacks):
    X, y = classes_table(200)
    X = X.astype(np.float32)
    net = plain_classifier(
        max_epochs=40, optimizer=torch.optim.Adam, lr=0.1, callbacks=list(callbacks)
    )
    return net, (X[:120], y[:120]), {"X_val": X[120:], "y_val": y[120:]}


def test_early_stopping_and_schedules_of_a_users_net_are_honoured():
    net, rows, held_out = rows_and_net(CALLBACKS)
    unpruned = classifier(net, pruning_budget=0).fit(*rows, **held_out)
    history = unpruned.estimator_.history
    losses = history[:, "valid_loss"]
    # Four epochs without a better loss ended it, and the best weights came back.
    assert len(losses) == int(np.argmin(losses)) + 5 < 40
    with torch.no_grad():
        outputs = unpruned.estimator_.module_(torch.tensor(held_out["X_val"]))
    found = torch.nn.functional.cross_entropy(outputs, torch.tensor(held_out["y_val"]))
    assert float(found) == pytest.approx(min(losses), rel=1e-5)
    # The learning rate was the schedule's, and scores were taken.
    # The last epoch was stopped before it had one.
    expected = 0.1 * 0.9 ** (np.arange(len(losses) - 1) // 3)
    np.testing.assert_allclose(history[:, "event_lr"], expected, rtol=1e-6)
    assert all(0 <= value <= 1 for value in history[:, "valid_f1"])

    # Pruned and fine-tuned it is another network, by the fine-tuning's own schedule, which
    # neither stops it early nor adds to the history of the training.
    pruned = classifier(net, pruning_budget=0.5, fine_tune_epochs=7).fit(*rows, **held_out)
    assert pruned.pruning_report_.n_fine_tune_epochs == 7
    assert pruned.estimator_.history[:, "valid_loss"] == losses
    assert pruned.pruning_report_.before == unpruned.pruning_report_.before.__class__(
        **{
            **vars(unpruned.pruning_report_.before),
            "ms_sample": pruned.pruning_report_.before.ms_sample,
            "ms_batch": pruned.pruning_report_.before.ms_batch,
        }
    )
    # Trained on by hand, the small net has its callbacks again.
    pruned.estimator_.set_params(max_epochs=3).partial_fit(*rows)
    assert len(pruned.estimator_.history) == len(losses) + 3
    # The schedule goes on counting epochs.
    assert pruned.estimator_.history[-3:, "event_lr"] == pytest.approx([0.1, 0.09, 0.09])


def test_checkpoints_of_a_users_net_are_of_its_training(tmp_path, monkeypatch):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "saved"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    save = Checkpoint(dirname=folder, load_best=True, monitor="valid_loss_best")
    net, rows, held_out = rows_and_net([CALLBACKS[0], ("save", save)])
    pruned = classifier(net, pruning_budget=0.5).fit(*rows, **held_out)
    stopped, _, _ = rows_and_net(CALLBACKS[:1])
    expected = classifier(stopped, pruning_budget=0.5).fit(*rows, **held_out)
    # skorch ends a loaded history at the best epoch.
    losses = expected.estimator_.history[:, "valid_loss"]
    best = int(np.argmin(losses)) + 1
    assert pruned.estimator_.history[:, "valid_loss"] == losses[:best]
    # Fine-tuning touched neither the file nor what is in it: the network as it was trained.
    assert {path.name for path in folder.iterdir()} == {
        "params.pt", "optimizer.pt", "criterion.pt", "history.json",
    }  # fmt: skip
    assert list(elsewhere.iterdir()) == []
    again = clone(net).set_params(callbacks=None).initialize()
    again.load_params(checkpoint=Checkpoint(dirname=folder))
    unpruned = classifier(FrozenEstimator(again), pruning_budget=0).fit(*rows, **held_out)
    before = pruned.pruning_report_.before
    assert unpruned.pruning_report_.before.loss == pytest.approx(before.loss, rel=1e-6)
    assert before.loss == pytest.approx(expected.pruning_report_.before.loss, rel=1e-6)
    assert sum(pruned.hidden_layer_sizes_) == 9
