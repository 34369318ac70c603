"""What a module does besides its layers is there after pruning as before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from image_nets import net_of
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetRegressor
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.optim.swa_utils import AveragedModel
from user_nets import classes_table

from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor, UnsupportedModuleError

QUICK = {"step": 0.5, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}


class Base(nn.Module):
    """Three layers; a subclass says what happens to the samples, and how."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 6), nn.Linear(6, n_outputs)
        self.act = nn.ReLU()

    def before(self, X):
        return X

    def forward(self, X):
        return self.c(self.act(self.b(self.act(self.a(self.before(X))))))


class Clamped(Base):
    def before(self, X):
        return X.clamp(-4, 4)


class LogAbove(Base):
    def before(self, X):
        return torch.where(X > 4, torch.log1p(X.clamp(min=0)), X)


class Temperature(Base):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, X):
        return super().forward(X) * self.scale


class OwnLinear(nn.Linear):
    """A subclass."""


class OwnReLU(nn.ReLU):
    """A subclass."""


class Subclasses(Base):
    def __init__(self):
        super().__init__()
        self.a, self.act = OwnLinear(6, 8), OwnReLU()


class Swish(nn.Module):
    """An activation with a parameter."""

    def __init__(self):
        super().__init__()
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)


class OwnActivation(Base):
    def __init__(self):
        super().__init__()
        self.act = Swish()


class Dropped(Base):
    calls: list[bool] = []

    def before(self, X):
        Dropped.calls.append(self.training)
        return F.dropout(X, 0.5, self.training)


KINDS = (Clamped, LogAbove, Temperature, Subclasses, OwnActivation, Dropped)


@pytest.mark.parametrize("kind", KINDS)
def test_far_samples_are_predicted_by_the_users_own_forward(kind):
    X, y = classes_table(80)
    model = MABPrunedClassifier(net_of(kind), **QUICK).fit(X, y)
    module, far = model.estimator_.module_, (20 * X).astype(np.float32)
    assert type(module) is kind
    assert sum(model.hidden_layer_sizes_) == 7
    # The subclass's forward, written out with the smaller layers.
    with torch.no_grad():
        x = module.eval().before(torch.tensor(far))
        hidden = module.act(module.b(module.act(module.a(x))))
        logits = module.c(hidden) * getattr(module, "scale", 1.0)
    np.testing.assert_allclose(model.predict_proba(far), logits.softmax(-1), rtol=1e-4, atol=1e-6)


def test_what_happens_in_training_alone_happens_in_fine_tuning():
    X, y = classes_table(80)
    model = MABPrunedClassifier(net_of(Dropped, max_epochs=1), **QUICK).fit(X, y)
    net = model.estimator_
    Dropped.calls.clear()
    net.partial_fit(X.astype(np.float32), y)
    assert True in Dropped.calls
    net.module_.train()
    x = torch.tensor(X, dtype=torch.float32)
    assert not torch.equal(net.module_(x), net.module_(x))


def test_a_learned_scale_goes_on_learning():
    X, y = classes_table(80)
    model = MABPrunedClassifier(net_of(Temperature), **QUICK).fit(X, y)
    assert float(model.estimator_.module_.scale.detach()) != 1.0


def test_an_averaged_model():
    X, y = classes_table(80)
    net = net_of(Clamped).fit(X.astype(np.float32), y)
    net.module_ = AveragedModel(net.module_)
    before = net.predict_proba(X.astype(np.float32))
    options = {**QUICK, "fine_tune_epochs": 0}
    validation = {"X_val": X[:20], "y_val": y[:20]}
    whole = MABPrunedClassifier(FrozenEstimator(net), **options, pruning_budget=0)
    found = whole.fit(X, y, **validation).predict_proba(X)
    np.testing.assert_allclose(found, before, rtol=1e-5, atol=1e-6)
    half = MABPrunedClassifier(FrozenEstimator(net), **options).fit(X, y, **validation)
    assert half.estimator_.module_.module.a.out_features == half.hidden_layer_sizes_[0] < 8


class Initialised(Base):
    """A flag that is set by the first batch of the training, as layers do that start from data."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.tensor(False))

    def before(self, X):
        if self.training:
            self.seen.fill_(True)
        return X.clamp(-4, 4) if self.seen else X


def test_a_branch_on_a_flag_that_the_training_sets():
    X, y = classes_table(80)
    model = MABPrunedClassifier(net_of(Initialised), **QUICK).fit(X, y)
    far, module = (20 * X).astype(np.float32), model.estimator_.module_
    assert bool(module.seen)
    with torch.no_grad():
        wanted = module.eval()(torch.tensor(far).clamp(-4, 4)).softmax(-1)
    np.testing.assert_allclose(model.predict_proba(far), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_modules():
    X, y = classes_table(60)
    inside = nn.Sequential(torch.compile(Clamped(), backend="eager"), nn.Tanh())
    whole = {"compile": True, "compile__backend": "eager", "max_epochs": 2}
    for net in (net_of(inside, max_epochs=2), net_of(Clamped, **whole)):
        model = MABPrunedClassifier(net, **QUICK).fit(X, y)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), atol=1e-6)
        assert sum(model.hidden_layer_sizes_) == 7


def test_half_precision_is_refused_before_the_training():
    class Half(Base):
        def __init__(self):
            super().__init__()
            self.bfloat16()

    X, y = classes_table(60)
    with pytest.raises(UnsupportedModuleError, match=r"bfloat16.*float32 or float64"):
        MABPrunedClassifier(net_of(Half, max_epochs=10**9), **QUICK).fit(X, y)


def test_counts_are_predicted_in_their_units():
    X, _ = classes_table(120)
    counts = np.random.default_rng(0).poisson(np.exp(0.3 * X[:, :1] + 1)).astype(float)
    net = net_of(
        Clamped,
        NeuralNetRegressor,
        module__n_outputs=1,
        criterion=nn.PoissonNLLLoss,
        predict_nonlinearity=torch.exp,
        max_epochs=60,
    )
    model = MABPrunedRegressor(net, **QUICK).fit(X, counts)
    assert model.predict(X).mean() == pytest.approx(counts.mean(), rel=0.2)


def unpicklable(kind):
    """The class of a module that no pickle takes: torch's parametrizations, or a local class."""

    class Local(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
            if kind == "parametrized":
                self.one = weight_norm(self.one)

        def forward(self, x):
            return self.last(self.other(self.one(x).relu()).relu())

    return Local


@pytest.mark.parametrize("kind", ["parametrized", "local"])
def test_modules_that_cannot_be_pickled_have_other_sizes_without_data(kind):
    X, y = classes_table(60)
    model = MABPrunedClassifier(
        net_of(unpicklable(kind), max_epochs=2), pruning_budget=0.5, **QUICK
    ).fit(X, y)
    expected = model.predict_proba(X)
    same = model.at_budget(model.pruning_budget)
    np.testing.assert_array_equal(same.predict_proba(X), expected)
    whole = model.at_budget(0)
    assert whole.hidden_layer_sizes_ == model.pruning_path_.layer_sizes[0]
    same.estimator_.partial_fit(X.astype(np.float32), y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
