"""What a forward does besides its layers is found by its operators, not by values that agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import features, linear
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.analysis import is_plain
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.training.mlp import MLP


class Parts(nn.Module):
    """Two Linear layers, and in subclasses something between them that changes no sample."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = linear(6, 8, 0), nn.ReLU(), linear(8, 3, 1)

    def between(self, h):
        return h

    def forward(self, X):
        return self.last(self.between(self.act(self.first(X))))


class Clamp(Parts):
    def between(self, h):
        return h.clamp(-1e6, 1e6)


class Where(Parts):
    def between(self, h):
        return torch.where(h > 1e6, torch.log1p(h), h)


class Branch(Parts):
    def between(self, h):
        return h.log1p() if h.max() > 1e6 else h


class FunctionalDropout(Parts):
    def between(self, h):
        return F.dropout(h, 0.5, self.training)


class Noise(Parts):
    def between(self, h):
        return h + torch.randn_like(h) if self.training else h


class LayerInTrainingOnly(Parts):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def between(self, h):
        return self.drop(h) if self.training else h


class LearnedScale(Parts):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))

    def between(self, h):
        return h * self.scale


class Temperature(Parts):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, X):
        return super().forward(X) / self.temperature


class UnusedParameter(Parts):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


class ThroughNumPy(Parts):
    def between(self, h):
        return torch.from_numpy(np.clip(h.detach().numpy(), -1e6, 1e6))


class InputThroughNumPy(Parts):
    def forward(self, X):
        return super().forward(torch.from_numpy(np.clip(X.numpy(), -1e6, 1e6)))


class Detached(Parts):
    def between(self, h):
        return h.detach()


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        return h.view_as(h)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class ReversedGradient(Parts):
    def between(self, h):
        return Reversal.apply(h)


class WithoutGradients(Parts):
    def forward(self, X):
        with torch.no_grad():
            h = self.first(X)
        return self.last(self.act(h))


class HalfPrecision(Parts):
    def forward(self, X):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            return super().forward(X)


class ChecksItsInput(Parts):
    def forward(self, X):
        assert torch.isfinite(X).all()
        return super().forward(X)


class FirstSamples(Parts):
    def forward(self, X):
        return super().forward(X[:64])


LOST = {
    "clamp": (Clamp, r"Between 'act' and 'last', .*\(aten.clamp in Clamp.between \(test_analysis"),
    "where": (Where, r"'act' and 'last', .*aten.where in Where.between \(test_analysis.py:\d+"),
    "branch": (Branch, r"Between 'act' and 'last', .*aten.max in Branch.between"),
    "functional dropout": (
        FunctionalDropout,
        r"Between 'act' and 'last', .* not a layer in training mode \(aten.\w+ in FunctionalDrop",
    ),
    "noise": (Noise, r"not a layer in training mode \(aten.randn_like in Noise.between"),
    "layer in training only": (
        LayerInTrainingOnly,
        "runs the layers first, act, drop, last in training mode, and first, act, last in eval",
    ),
    "learned scale": (LearnedScale, "Between 'act' and 'last', .*aten.mul in LearnedScale.between"),
    "temperature": (Temperature, "Between 'last' and 'the output', .*aten.div in Temperature.for"),
    "unused parameter": (
        UnusedParameter,
        "Parameter 'scale' of UnusedParameter belongs to no layer",
    ),
    "through NumPy": (ThroughNumPy, "Between 'act' and 'last', .*aten.detach in ThroughNumPy"),
    "input through NumPy": (InputThroughNumPy, "'the input' and 'first', .*aten.detach in InputTh"),
    "detached": (Detached, "Between 'act' and 'last', .*aten.detach in Detached.between"),
    "reversed gradient": (ReversedGradient, r"in training mode \(a gradient of its own \(Revers"),
    "without gradients": (WithoutGradients, r"'first', .* in training mode \(torch.no_grad\)"),
    "half precision": (HalfPrecision, r"'first', .* in training mode \(torch.autocast\)"),
    "a check of values": (ChecksItsInput, "'first', .*aten.* in ChecksItsInput.forward"),
    "first samples": (FirstSamples, "Between 'the input' and 'first', .*aten.slice in FirstSamp"),
}


class ThrownAway(Parts):
    """The activation runs; the next layer reads what it was given."""

    def forward(self, X):
        h = self.first(X)
        self.act(h)
        return self.last(h)


def test_a_layer_that_reads_an_earlier_value_is_found_where_both_are_equal():
    module = ThrownAway()
    with torch.no_grad():
        module.first.bias += 1e3  # so that the activation changes nothing
    with pytest.raises(UnsupportedModuleError, match=r"'act' and 'last', .*an earlier value"):
        recover_graph(module, features(20, 6, torch.float32))


@pytest.mark.parametrize("name", LOST)
def test_what_changes_no_sample_is_refused_by_name(name):
    make, message = LOST[name]
    x = features(64, 6, torch.float32)
    plain, module = Parts(), make()
    with torch.no_grad():
        assert torch.equal(module.eval()(x), plain(x))  # no value tells them apart
    torch.manual_seed(0)
    before, state = torch.random.get_rng_state(), repr(module.train().state_dict())
    with pytest.raises(UnsupportedModuleError, match=message):
        recover_graph(module, x)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert repr(module.state_dict()) == state
    assert module.training


def hooked(name, hook, where="last"):
    module = nn.Sequential()
    for key, layer in Parts().named_children():
        module.add_module(key, layer)
    getattr(getattr(module, where), name)(hook)
    return module


def instance_forward():
    module = hooked("register_forward_hook", lambda *_: None)
    module.act.forward = lambda h: h.clamp(0, 1e6)
    return module


def weight_norm():
    module = Parts()
    nn.utils.parametrizations.weight_norm(module.first)
    return module


def spectral_norm():
    module = Parts()
    nn.utils.spectral_norm(module.first)
    return module


CHANGED = {
    "pre-hook": (
        lambda: hooked("register_forward_pre_hook", lambda _, args: args[0].clamp(-1e6, 1e6)),
        "Between 'act' and 'last', .*aten.clamp in .*<lambda>",
    ),
    "hook": (
        lambda: hooked("register_forward_hook", lambda _, args, out: out.clamp(-1e6, 1e6)),
        "Between 'last' and 'the output', .*aten.clamp in .*<lambda>",
    ),
    "backward hook": (
        lambda: hooked("register_full_backward_hook", lambda *_: None),
        r"Layer 'last' \(Linear\) of Sequential has a backward hook",
    ),
    "forward of an object": (instance_forward, r"Layer 'act' \(ReLU\) .* has a forward of its own"),
    "weight norm": (weight_norm, r"Layer 'first' \(ParametrizedLinear\) .* subclass of nn.Linear"),
    "spectral norm": (spectral_norm, r"Between 'the input' and 'first', .*\(aten."),
}


@pytest.mark.parametrize("name", CHANGED)
def test_layers_changed_by_hooks_are_refused_by_name(name):
    make, message = CHANGED[name]
    with pytest.raises(UnsupportedModuleError, match=message):
        recover_graph(make(), features(20, 6, torch.float32))


class MyLinear(nn.Linear):
    pass


class MyReLU(nn.ReLU):
    def forward(self, X):
        return super().forward(X).clamp(max=1e6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((MyLinear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
         r"Layer '0' \(MyLinear\) of Sequential .*: it is a subclass of nn.Linear, and may"),
        ((nn.Linear(6, 8), MyReLU(), nn.Linear(8, 3)), r"'1' \(MyReLU\) .* subclass of nn.ReLU"),
    ],
)  # fmt: skip
def test_subclasses_of_known_layers_are_refused_by_name(layers, message):
    with pytest.raises(UnsupportedModuleError, match=message):
        recover_graph(nn.Sequential(*layers), features(20, 6, torch.float32))


class Reshapes(Parts):
    """Views that change nothing of samples in rows."""

    def forward(self, X):
        h = self.act(self.first(X.view(len(X), -1))).unsqueeze(1)
        return self.last(h.squeeze(1).reshape(-1, 8))


class KeepsAndReturnsNothing(Parts):
    """Keeps a value, and its `train` returns nothing."""

    def train(self, mode=True):
        super().train(mode)

    def between(self, h):
        self.kept = h
        return h.contiguous().flatten(1)[:, :]


class Loop(Parts):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([self.first, self.act, self.last])

    def forward(self, X):
        for layer in self.layers:
            X = layer(X)
        return X


class Wired(Parts):
    def __init__(self):
        super().__init__()
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(8)
        self.act = nn.ReLU(inplace=True)

    def between(self, h):
        return self.drop(self.norm(h))


@pytest.mark.parametrize(
    "make",
    [Parts, Reshapes, KeepsAndReturnsNothing, Loop, Wired, lambda: AveragedModel(Wired()),
     lambda: hooked("register_forward_hook", lambda *_: None)],
    ids=["parts", "reshapes", "keeps", "loop", "dropout and norm", "averaged", "a hook"],
)  # fmt: skip
def test_forwards_of_layers_alone_are_accepted(make):
    module = make()
    assert not is_plain(module)
    x = features(20, 6, torch.float32)
    graph = recover_graph(module, x)
    with torch.no_grad():
        module.eval()
        assert torch.equal(graph.forward(x), module(x))


def test_plain_modules_are_known_by_their_classes_alone():
    class Chain(nn.Sequential):
        pass

    class Backwards(nn.Sequential):
        def __iter__(self):
            return reversed(list(super().__iter__()))

    layers = linear(6, 6, 0), nn.ReLU(), linear(6, 6, 1)
    assert is_plain(MLP(6, 3, (4,)))
    assert is_plain(nn.Sequential(Chain(*layers), nn.Softmax(dim=1)))
    assert not is_plain(Backwards(*layers))
    assert recover_graph(Backwards(*layers), features(8, 6, torch.float32)).nodes[0].name == "2"


class Cat(Parts):
    def __init__(self):
        super().__init__()
        self.first = linear(12, 8, 0)

    def forward(self, X):
        return super().forward(torch.cat([X, X**2], dim=1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Cat(), r"Between 'the input' and 'first', .*aten.cat in Cat.forward"),
        (nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)),
         "module reads 16 features, X has 6"),
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(9, 3)),
         r"Layer '2' \(Linear\) reads 9 units, and '1' hands over 8"),
        (nn.Sequential(nn.Embedding(9, 16), nn.Flatten(), nn.Linear(96, 8), nn.Linear(8, 3)),
         r"Layer '0' \(Embedding\)"),
    ],
)  # fmt: skip
def test_what_stands_before_the_first_linear_is_named_before_the_features_are_blamed(
    module, message
):
    with pytest.raises(ValueError, match=message):
        recover_graph(module, features(20, 6, torch.float32))
