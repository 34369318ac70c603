"""Random numbers of a training that leaves the global generators to others."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn
from user_nets import classes_table, plain_classifier, same_state, small_classifier, state

from sklearn_mabprune import MLPNetClassifier
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.training.beside import trained_beside
from sklearn_mabprune.training.initial import train
from sklearn_mabprune.training.own_draws import draws_apart
from sklearn_mabprune.utils.interruptions import Interruptions

DROPPED = {"module__dropout": 0.4, "max_epochs": 5}


def sides():
    X, y = classes_table()
    return Data(X[:90], y[:90], None, 3), Data(X[90:], y[90:], None, 3)


def trained(net, seed=0):
    """The weights after a training."""
    return state(train(net, *sides(), seed)[0])


class Quiet(Callback):
    """A callback that does nothing, and might draw something."""


class Own(MLPNetClassifier):
    """A net whose methods might draw something."""


class OwnLoss(nn.CrossEntropyLoss):
    """A loss that might draw something."""


class OwnAdam(torch.optim.Adam):
    """An optimizer that might draw something."""


OTHERS = {
    "callback": lambda: small_classifier(callbacks=[Quiet()], **DROPPED),
    "net": lambda: Own(module__hidden_layer_sizes=(12, 8), lr=0.01, **DROPPED),
    "loss": lambda: small_classifier(criterion=OwnLoss, **DROPPED),
    "loss, made": lambda: small_classifier(criterion=OwnLoss(), **DROPPED),
    "optimizer": lambda: small_classifier(optimizer=OwnAdam, **DROPPED),
    "compiled": lambda: small_classifier(compile=True, **DROPPED),
    "plain": plain_classifier,
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_the_users_has_the_global_generators(other):
    assert draws_apart(small_classifier(**DROPPED))
    assert not draws_apart(OTHERS[other]())


@pytest.mark.parametrize("other", ["callback", "net", "loss"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_those_of_the_global_generators(other, dtype):
    apart = trained(small_classifier(dtype=dtype, **DROPPED))
    assert same_state(apart, trained(OTHERS[other]().set_params(dtype=dtype)))
    assert not same_state(apart, trained(small_classifier(dtype=dtype, max_epochs=5)))


def test_masks_of_the_seed():
    one, same, other = (trained(small_classifier(**DROPPED), seed) for seed in (0, 0, 1))
    assert same_state(one, same)
    assert not same_state(one, other)


def test_nothing_is_left_in_the_layers():
    net, _ = train(small_classifier(**DROPPED), *sides(), 0)
    layers = [layer for layer in net.module_ if isinstance(layer, nn.Dropout)]
    assert layers
    assert not any("forward" in vars(layer) for layer in layers)
    torch.manual_seed(0)
    x = torch.ones(50, 8, dtype=torch.float64)
    dropped = layers[0].train()(x)
    torch.manual_seed(0)
    assert (dropped == nn.functional.dropout(x, 0.4)).all()


def test_nothing_is_left_in_the_layers_after_an_error():
    nets = []

    def failing(net):
        nets.append(net)
        raise ValueError("no second epoch")

    with pytest.raises(ValueError, match="no second epoch"):
        train(small_classifier(**DROPPED), *sides(), 0, on_epoch=failing)
    assert len(nets) == 1
    assert not any("forward" in vars(layer) for layer in nets[0].module_)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_trainings_at_the_same_time_are_those_one_after_the_other(dropout):
    net, places = small_classifier(module__dropout=dropout, max_epochs=8), set()
    data, validation = sides()

    # No training has its first epoch before another one is in it, too.
    together = threading.Barrier(2, timeout=60)

    def on_epoch(net):
        places.add(threading.get_ident())
        if len(net.history) == 1:
            together.wait()

    def call(seed, turn):
        found, _ = train(net, data, validation, seed, on_epoch=on_epoch)
        return state(found)

    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    calls = [partial(call, seed) for seed in range(4)]
    beside = trained_beside(net, calls, data, Interruptions(), None)
    assert len(places) == 2
    for seed, each in enumerate(beside):
        assert same_state(each, trained(net, seed))
    assert (torch.get_rng_state() == before[0]).all()
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("net", "memory"),
    [
        (plain_classifier(), None),
        (small_classifier(callbacks=[Quiet()]), None),
        (small_classifier(verbose=1), None),
        (small_classifier(device="meta"), None),
        (small_classifier(), "folder"),
    ],
    ids=["plain", "callback", "verbose", "other device", "memory"],
)
def test_trainings_that_are_not_at_the_same_time(net, memory):
    def call(turn):
        return threading.get_ident()

    found = trained_beside(net, [call, call], sides()[0], Interruptions(), memory)
    assert found == [threading.get_ident()] * 2
