"""Modules whose layers get their sizes from the samples."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from image_nets import images, net_of
from sklearn.base import clone
from torch import nn
from torch.nn import functional as F
from user_nets import classes_table

from sklearn_mabprune import MABPrunedClassifier, UnsupportedModuleError

QUICK = {"step": 0.5, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}
pytestmark = pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")


class LazyConv(nn.Module):
    """Convolutions and layers that do not know the size of an image."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(6, 3), nn.LazyBatchNorm2d()
        self.dense, self.out = nn.LazyLinear(8), nn.LazyLinear(3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2).flatten(1)
        return self.out(F.relu(self.dense(x)))


class Fails(LazyConv):
    def forward(self, x):
        return self.out(self.dense(x).view(7, -1))


def test_lazy_layers_get_their_sizes_before_the_training():
    X, y = images(80)
    model = MABPrunedClassifier(net_of(LazyConv, max_epochs=4), **QUICK).fit(X, y)
    module = model.estimator_.module_
    assert model.hidden_layer_sizes_ == (module.conv.out_channels, module.dense.out_features)
    assert sum(model.hidden_layer_sizes_) == 7
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    fresh = clone(model.estimator_).initialize()
    fresh.module_.load_state_dict(module.state_dict())
    np.testing.assert_allclose(fresh.predict_proba(X), model.predict_proba(X), atol=1e-6)
    # The optimizer steps the weights that were drawn when the sizes were known.
    before = module.dense.weight.detach().clone()
    model.estimator_.partial_fit(X, y)
    assert not torch.equal(model.estimator_.module_.dense.weight, before)
    assert model.score(X, y) > 0.5


def test_lazy_chains_draw_from_the_seed():
    X, y = classes_table(60)
    chain = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.LazyLinear(3))
    fits = [MABPrunedClassifier(net_of(chain), **QUICK).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(*(model.predict_proba(X) for model in fits))


def test_a_lazy_module_that_fails_is_refused_with_its_line():
    X, y = images(40)
    net = net_of(Fails, max_epochs=10**9)
    with pytest.raises(UnsupportedModuleError, match=r"Fails.forward fails .*test_lazy_m.*py:"):
        MABPrunedClassifier(net, **QUICK).fit(X, y)
