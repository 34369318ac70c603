"""Initial training: whose rows validate, what ends it, what it leaves behind."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from torch.optim.lr_scheduler import StepLR
from user_nets import (
    QUICK,
    QuickStart,
    classes_table,
    plain_classifier,
    quick_start,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.initial import Data, train


def sides(y_kind="classes", n_train=90):
    X, y = classes_table() if y_kind == "classes" else values_table()
    y = y if y_kind == "classes" else y[:, None]
    n_outputs = 3 if y_kind == "classes" else 1
    return (
        Data(X[:n_train], y[:n_train], None, n_outputs),
        Data(X[n_train:], y[n_train:], None, n_outputs),
    )


NETS = {
    "ours": small_classifier,
    "quick start": quick_start,
    "plain": plain_classifier,
    "silenced": lambda **params: plain_classifier(callbacks="disable", **params),
}
every_net = pytest.mark.parametrize("name", NETS)


# --------------------------------------------------------------------- what it leaves behind


@every_net
def test_the_net_passed_is_left_alone(name):
    net = NETS[name]()
    before = repr(net.get_params(deep=False))
    trained, _ = train(net, *sides(), seed=0)
    assert trained is not net
    assert not net.initialized_
    assert repr(net.get_params(deep=False)) == before
    assert trained.initialized_


@every_net
def test_seed_decides(name):
    one, again, other = (state(train(NETS[name](), *sides(), seed=s)[0]) for s in (0, 0, 1))
    assert same_state(one, again)
    assert not same_state(one, other)


@every_net
def test_what_is_not_needed_is_dropped(name):
    net, _ = train(NETS[name](optimizer=torch.optim.Adam, lr=0.01), *sides(), seed=0)
    assert not net.optimizer_.state_dict()["state"]
    assert all("batches" not in row for row in net.history)
    assert len(net.history) == net.max_epochs


@every_net
def test_own_split_is_replaced_and_put_back(name):
    split = ValidSplit(3)
    seen = []

    class Look(Callback):
        def on_epoch_end(self, net, dataset_train, dataset_valid, **kwargs):
            seen.append((len(dataset_train), len(dataset_valid), net.train_split is split))

    net = NETS[name](train_split=split, max_epochs=1)
    if name != "silenced":
        net.callbacks = [Look()]
    trained, _ = train(net, *sides(), seed=0)
    assert seen == ([] if name == "silenced" else [(90, 30, False)])
    assert isinstance(trained.train_split, ValidSplit)
    assert trained.train_split.cv == 3
    assert not [each for key, each in trained.callbacks_ if key == "watch"]


def test_the_pruned_net_splits_as_the_users_did():
    X, y = classes_table()
    for split in (ValidSplit(4, stratified=True), None):
        model = MABPrunedClassifier(quick_start(train_split=split), **QUICK).fit(X, y)
        found = model.estimator_.train_split
        assert found is None if split is None else found.cv == 4


def test_regressor_reads_sizes_and_units():
    data, validation = sides("values")
    net, _ = train(small_regressor(), data, validation, seed=0)
    np.testing.assert_allclose(net.target_mean_, data.y.mean(axis=0))
    assert net.module_[-1].out_features == 1


def test_losses_of_a_regressor_are_in_the_units_it_is_trained_in():
    """Of pulls and of fine-tuning, which come from these samples."""
    data, validation = sides("values")
    net, _ = train(small_regressor(), data, validation, seed=0)
    assert not np.allclose(net.target_scale_, 1.0)
    samples = samples_of(net, data)
    with torch.no_grad():
        found = samples.loss(net.module_(samples.x), samples.targets).numpy()
    wanted = ((net.predict(data.x) - data.y) / net.target_scale_) ** 2
    np.testing.assert_allclose(found, wanted[:, 0], rtol=1e-6)


def test_progress_is_told_every_epoch():
    told = []
    train(small_classifier(max_epochs=4), *sides(), seed=0, on_epoch=lambda n: told.append(n))
    assert len(told) == 4
    assert np.isfinite(told[-1].history[:, "valid_loss"]).all()


# ------------------------------------------------------------------------ what may end it


def test_early_stopping_of_a_users_net_sees_the_validation_loss():
    stop = EarlyStopping(patience=3, load_best=True)
    net = plain_classifier(
        callbacks=[("stop", stop)], max_epochs=400, lr=0.3, optimizer=torch.optim.Adam
    )
    data, validation = sides()
    data = Data(data.x, np.random.default_rng(0).permutation(data.y), None, 3)
    trained, _ = train(net, data, validation, seed=0)
    losses = trained.history[:, "valid_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 4 < 400
    with torch.no_grad():
        trained.module_.eval()
        outputs = trained.module_(torch.tensor(validation.x, dtype=torch.float32))
        loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(validation.y))
    assert float(loss) == pytest.approx(losses[best], rel=1e-5)


@pytest.mark.parametrize("name", ["ours", "quick start", "plain"])
def test_a_schedule_is_kept(name):
    schedule = LRScheduler(StepLR, step_size=1, gamma=0.1)
    net = NETS[name](callbacks=[("rate", schedule)], max_epochs=3, lr=1.0)
    trained, _ = train(net, *sides(), seed=0)
    assert trained.history[:, "event_lr"] == pytest.approx([1.0, 0.1, 0.01])


class PressCtrlC(Callback):
    """A person's Ctrl-C that arrives while a callback happens to be at work."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            signal.raise_signal(signal.SIGINT)


class StopAtTwo(Callback):
    """Ends the training as skorch's own callbacks do."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["ours", "quick start", "plain"])
def test_a_callback_may_end_the_training(name):
    trained, _ = train(NETS[name](callbacks=[StopAtTwo()]), *sides(), seed=0)
    assert len(trained.history) == 2
    assert trained.train_split is not None


def test_a_callback_that_ends_the_training_does_not_end_the_fit():
    X, y = classes_table()
    model = MABPrunedClassifier(NETS["plain"](callbacks=[StopAtTwo()]), **QUICK)
    model.fit(X, y)
    assert not model.pruning_report_.interrupted
    assert len(model.estimator_.history) == 2


@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("name", ["ours", "quick start", "plain"])
def test_ctrl_c_ends_the_fit_and_leaves_nothing(name):
    X, y = classes_table()
    model = MABPrunedClassifier(NETS[name](), **QUICK).fit(X, y)
    model.set_params(estimator__callbacks=[PressCtrlC()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not [key for key in vars(model) if key.endswith("_")]


@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("name", ["ours", "quick start"])
def test_ctrl_c_in_a_training_step(name, monkeypatch):
    kind = MLPNetClassifier if name == "ours" else NeuralNetClassifier

    original = kind.infer

    def interrupted(self, *args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)

    X, y = classes_table()
    model = MABPrunedClassifier(NETS[name](), **QUICK)
    monkeypatch.setattr(kind, "infer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not [key for key in vars(model) if key.endswith("_")]


# ------------------------------------------------------------------------ when it diverges


@every_net
def test_divergence_names_the_rate(name):
    X, y = classes_table()
    net = NETS[name](lr=1e30, optimizer=torch.optim.SGD)
    if name == "ours":
        net.set_params(dtype="float32")
    model = MABPrunedClassifier(net, **QUICK)
    with pytest.raises(
        ValueError, match=r"with lr=1e\+30 the training diverges. Lower the net's lr"
    ):
        model.fit(X, y)
    assert not [key for key in vars(model) if key.endswith("_")]


def test_divergence_in_the_last_step():
    # The loss of the only epoch is of the weights before the step that ruins them.
    net = small_classifier(
        lr=1e308, optimizer=torch.optim.SGD, max_epochs=1, batch_size=-1, early_stopping=False,
        optimizer__momentum=0.0,
    )  # fmt: skip
    X, y = classes_table()
    data = Data(1e10 * X[:90], y[:90], None, 3)
    with pytest.raises(ValueError, match="no longer finite in epoch 1: with lr=1e\\+308"):
        train(net, data, data, seed=0)


def test_divergence_of_a_regressor():
    data, validation = sides("values")
    net = small_regressor(lr=1e200, optimizer=torch.optim.SGD)
    with pytest.raises(ValueError, match="lr=1e\\+200"):
        train(net, data, validation, seed=0)


# -------------------------------------------------------------------------- what it refuses


def test_weights_on_either_side_need_a_net_for_them():
    data, validation = sides()
    some = np.linspace(0.5, 1.5, len(validation))
    weighted = Data(validation.x, validation.y, some, 3)
    for pair in ((data, weighted), (weighted, data)):
        with pytest.raises(ValueError, match="NeuralNetClassifier cannot use weights"):
            train(quick_start(), *pair, seed=0)


def test_a_module_is_refused_before_it_is_trained():
    class Counting(QuickStart):
        n_calls = 0

        def forward(self, X):
            type(self).n_calls += 1
            return super().forward(X), X

    with pytest.raises(ValueError, match="must return one tensor"):
        train(clone(quick_start()).set_params(module=Counting), *sides(), seed=0)
    assert Counting.n_calls <= 3
