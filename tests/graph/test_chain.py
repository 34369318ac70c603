"""Chains recovered from modules of many kinds, copied, counted."""

from __future__ import annotations

import ast
import pickle

import numpy as np
import pytest
import torch
from builders import batch_norm, features, linear, make_chain, network, prelu
from sklearn.base import clone
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_mabprune.graph.graph import PrunedChain, recover_chain, unwrap
from sklearn_mabprune.graph.surgery import cut
from sklearn_mabprune.training.nets import ACTIVATIONS, MLP


class QuickStart(nn.Module):
    """As in skorch's quick start: one activation used twice, probabilities at the end."""

    def __init__(self, num_units=10, nonlin=None):
        super().__init__()
        self.dense0 = nn.Linear(6, num_units)
        self.nonlin = nonlin or nn.ReLU()
        self.dropout = nn.Dropout(0.5)
        self.dense1 = nn.Linear(num_units, num_units)
        self.output = nn.Linear(num_units, 3)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        X = self.nonlin(self.dense1(X))
        return self.softmax(self.output(X))


class OtherOrder(nn.Module):
    """Layers declared in another order than they run in, called by keyword, one unused."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(5, 2)
        self.unused = nn.Linear(3, 3)
        self.blocks = nn.ModuleDict({"b": linear(7, 5, 1), "a": linear(6, 7, 2)})
        self.act = nn.Tanh()

    def forward(self, X):
        X = self.act(input=self.blocks["a"](X))
        return self.last(input=self.act(self.blocks["b"](X)))


class InPlaceBySideEffect(nn.Module):
    """What the activation returns is not looked at; it has overwritten what it was given."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = linear(6, 7, 0), nn.ReLU(inplace=True), linear(7, 3, 1)

    def forward(self, X):
        hidden = self.first(X)
        self.act(hidden)
        return self.last(hidden)


class Wrapper(nn.Module):
    """What torch.compile puts around a module."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module

    def forward(self, X):
        raise RuntimeError("compiled code must not run")


def nested():
    block = nn.Sequential(linear(6, 7, 0), batch_norm(7, 1), nn.ReLU())
    return nn.Sequential(
        block, nn.Sequential(nn.Sequential(linear(7, 5, 2)), nn.GELU()), linear(5, 3, 3)
    )


def in_place():
    return nn.Sequential(
        linear(6, 7, 0), nn.ReLU(inplace=True), nn.Dropout(0.3, inplace=True), linear(7, 3, 1)
    )


def tail(*layers, n_outputs=3):
    return nn.Sequential(linear(6, 7, 0), nn.ReLU(), linear(7, n_outputs, 1), *layers)


def with_head(*layers):
    return nn.Sequential(*layers, linear(6, 7, 0), nn.ReLU(), linear(7, 3, 1))


CHAINS = {
    "mlp": (lambda: MLP(6, 3, (7, 5), random_state=0), (7, 5)),
    "mlp with all": (
        lambda: MLP(6, 3, (7, 5), "gelu", dropout=0.2, batch_norm=True, random_state=0),
        (7, 5),
    ),
    "sequential": (lambda: network(dtype=torch.float32), (7, 5)),
    "double precision": (lambda: network(around="norm_after"), (7, 5)),
    "nested": (nested, (7, 5)),
    "quick start": (QuickStart, (10, 10)),
    "quick start, slopes": (lambda: QuickStart(nonlin=nn.LeakyReLU(0.2)), (10, 10)),
    "other order": (OtherOrder, (7, 5)),
    "in place": (in_place, (7,)),
    "in place on the input": (lambda: with_head(nn.ReLU(inplace=True)), (7,)),
    "in place by side effect": (InPlaceBySideEffect, (7,)),
    "flatten": (lambda: tail(nn.Flatten()), (7,)),
    "flatten to one number a row": (lambda: tail(nn.Flatten(0), n_outputs=1), (7,)),
    "log-softmax": (lambda: tail(nn.LogSoftmax(dim=1)), (7,)),
    "softmax": (lambda: tail(nn.Softmax(dim=-1)), (7,)),
    "sigmoid": (lambda: tail(nn.Sigmoid(), n_outputs=1), (7,)),
    "norm at the end": (lambda: tail(batch_norm(3, 2), prelu(3, 3)), (7,)),
    "norm of the input": (lambda: with_head(batch_norm(6, 4), nn.Dropout(0.1)), (7,)),
    "flatten of the input": (lambda: with_head(nn.Flatten()), (7,)),
    "wrapped": (lambda: Wrapper(network(dtype=torch.float32)), (7, 5)),
}
every_chain = pytest.mark.parametrize("name", CHAINS)


def rows_for(module, n_rows=20):
    return features(n_rows, 6, next(module.parameters()).dtype)


@every_chain
def test_recovered_chain_computes_what_the_module_does(name):
    make, hidden = CHAINS[name]
    module = make()
    x = rows_for(module)
    chain = recover_chain(module, x)
    assert chain.hidden_sizes == hidden
    assert chain.n_inputs == 6
    new = features(50, 6, x.dtype, seed=9)  # rows that it was not recovered on
    with torch.no_grad():
        wanted = unwrap(module).eval()(new)
        assert torch.equal(chain.forward(new), wanted)
        assert torch.equal(chain.to_module().eval()(new), wanted)
    assert chain.n_outputs == (wanted.shape[1] if wanted.dim() > 1 else 1)
    assert all(not layer.training for layer in chain.layers())
    assert chain.dtype == x.dtype


@every_chain
def test_parts_of_a_chain_fit_together(name):
    module = CHAINS[name][0]()
    x = rows_for(module)
    chain = recover_chain(module, x)
    with torch.no_grad():
        hidden, pre = chain.activations(x)
        assert [h.shape[1] for h in hidden] == list(chain.hidden_sizes)
        for stage, z in enumerate(pre):
            assert torch.equal(chain.finish(z, stage), chain.forward(x))
        for stage, h in enumerate(hidden, start=1):
            assert torch.equal(chain.stages[stage].linear(h), pre[stage])
        assert torch.equal(chain.enter(x), pre[0])


@every_chain
@pytest.mark.parametrize("training", [True, False])
def test_module_is_left_alone(name, training):
    module = unwrap(CHAINS[name][0]()).train(training)
    x = rows_for(module)
    kept, rows = {k: v.clone() for k, v in module.state_dict().items()}, x.clone()
    described = repr(module)
    chain = recover_chain(module, x)
    assert torch.equal(x, rows)
    assert repr(module) == described  # inplace=True and all
    for key, value in module.state_dict().items():
        assert torch.equal(value, kept[key])
    for layer in module.modules():
        assert layer.training is training
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
    # Nothing is shared: what happens to one does not reach the other.
    ours = {v.data_ptr() for layer in chain.layers() for v in layer.state_dict().values()}
    assert not ours & {v.data_ptr() for v in module.state_dict().values()}


def test_layers_behind_the_flatten_of_the_input_are_the_same():
    kinds = [type(layer) for layer in recover_chain(with_head(nn.Flatten()), rows32()).layers()]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear]


def rows32(n_rows=10):
    return features(n_rows, 6, torch.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_mlp(activation):
    module = MLP(6, 2, (5, 4), activation, random_state=1)
    chain = recover_chain(module, rows32())
    assert type(chain.stages[0].after[0]) is ACTIVATIONS[activation]
    assert torch.equal(chain.forward(rows32()), module(rows32()))


# ------------------------------------------------------------------------------- copies


@every_chain
def test_pruned_chain_is_built_from_plain_data(name):
    module = CHAINS[name][0]()
    x = rows_for(module)
    chain = recover_chain(module, x)
    keep = [torch.arange(width) % 3 != 1 for width in chain.hidden_sizes]
    small = cut(chain, keep, [None] * len(keep))
    layers = ast.literal_eval(repr(small.descriptions()))
    again = PrunedChain(layers=layers, dtype=str(small.dtype).removeprefix("torch."))
    assert next(again.parameters()).dtype == x.dtype
    small.copy_to(again)
    with torch.no_grad():
        wanted = small.forward(x)
        assert torch.equal(again.eval()(x), wanted)
        assert torch.equal(pickle.loads(pickle.dumps(again))(x), wanted)
        twin = PrunedChain(layers=layers, dtype=str(small.dtype).removeprefix("torch."))
        twin.load_state_dict(again.state_dict())
        assert torch.equal(twin.eval()(x), wanted)
        assert torch.equal(recover_chain(again, x).forward(x), wanted)


def test_pruned_chain_in_a_cloned_net():
    chain = make_chain("probabilities", (7, 5), around="norm_before", dtype=torch.float32)
    net = NeuralNetClassifier(PrunedChain, module__layers=chain.descriptions(), classes=[0, 1, 2])
    first, second = clone(net).initialize(), clone(clone(net)).initialize()
    for each in (first, second):
        chain.copy_to(each.module_)
    x = rows32(30).numpy()
    np.testing.assert_array_equal(first.predict_proba(x), second.predict_proba(x))
    np.testing.assert_allclose(first.predict_proba(x), chain.forward(rows32(30)).detach())


def test_new_pruned_chain_has_weights_to_train_from():
    chain = make_chain("target", dtype=torch.float32)
    net = NeuralNetRegressor(PrunedChain, module__layers=chain.descriptions(), verbose=0)
    net.initialize()
    for parameter in net.module_.parameters():
        assert torch.isfinite(parameter).all()
        assert parameter.abs().max() < 1.0
    assert net.module_[0].weight.std() > 0.05


def test_a_copy_is_of_the_same_layers_only():
    chain = make_chain()
    with pytest.raises(ValueError, match="longer"):
        chain.copy_to(nn.Sequential(*list(chain.to_module())[:-1]))
    with pytest.raises(RuntimeError, match="size mismatch"):
        make_chain().copy_to(make_chain(hidden=(7, 6)).to_module())


def test_arrays_hold_everything():
    chain = make_chain(activation="prelu", around="norm_after")
    arrays = chain.to_arrays()
    module = PrunedChain(arrays["layers"], arrays["dtype"])
    for layer, state in zip(module, arrays["state"], strict=True):
        layer.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
        assert all(type(value) is np.ndarray for value in state.values())
    x = features(10, 6)
    assert torch.equal(module.eval()(x), chain.forward(x))
    chain.stages[0].linear.weight.data.zero_()
    assert arrays["state"][0]["weight"].any(), "arrays must be copies"


# --------------------------------------------------------------------------------- cost


@pytest.mark.parametrize("keep_every", [1, 2, 5])
@every_chain
def test_cost_is_what_the_module_has_and_does(name, keep_every):
    module = unwrap(CHAINS[name][0]()).eval()
    chain = recover_chain(module, rows_for(module))
    keep = [torch.arange(width) % keep_every == 0 for width in chain.hidden_sizes]
    small = cut(chain, keep, [None] * len(keep))
    counted = small.to_module().eval()
    n_parameters = sum(p.numel() for p in counted.parameters())
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        counted(rows_for(module, 1))
    # A multiply-add is two operations there.
    assert small.cost() == (n_parameters, flops.get_total_flops() // 2)
    assert chain.cost(small.hidden_sizes) == small.cost()
    assert small.n_bytes == sum(v.nbytes for v in counted.state_dict().values())


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(7, bias=False), nn.BatchNorm1d(7, affine=False)])
def test_cost_of_norms_without_all_parameters(layer):
    module = nn.Sequential(linear(6, 7, 0), layer, nn.PReLU(), linear(7, 3, 1))
    chain = recover_chain(module, rows32())
    assert chain.cost()[0] == sum(p.numel() for p in module.parameters())
    small = cut(chain, [torch.arange(7) < 4], [None])
    assert chain.cost((4,))[0] == sum(p.numel() for p in small.to_module().parameters())


def test_cost_foresees_the_bias_that_a_removal_needs():
    chain = make_chain(hidden=(7, 5), bias=False)
    constants = torch.ones(2).double()
    keep = torch.arange(7) < 5
    small = cut(chain, [keep, None], [(None, constants), None])
    assert small.stages[1].linear.bias is not None
    assert chain.cost((5, 5)) == small.cost()
    assert chain.cost((7, 5)) == chain.cost() == (6 * 7 + 7 * 5 + 5 * 3,) * 2


def test_a_part_of_a_pruned_chain_is_a_network():
    chain = make_chain(hidden=(7, 5))
    module = chain.to_module()
    part = module[:-1]
    x = features(4, 6)
    with torch.no_grad():
        np.testing.assert_array_equal(module[-1](part(x)), module(x))
