"""Chains over arrays compute what their modules do, whatever happens to these."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from kind_cases import CASES, LIMITS, WIDTH, each_of, made, samples
from torch import nn

from sklearn_mabprune.graph import array_chain as chains
from sklearn_mabprune.graph.array_chain import array_chain
from sklearn_mabprune.graph.kinds.registry import kind_of
from sklearn_mabprune.training.mlp import ACTIVATIONS

#: Examples of layers with a form over arrays.
READ = [case for case in CASES if case[0].over_arrays(case[2]()) is not None]


def test_the_layers_of_our_nets_have_such_a_form():
    layers = [nn.Linear(3, 2), nn.BatchNorm1d(3), nn.Dropout(0.1)]
    layers += [module() for module in ACTIVATIONS.values()]
    for layer in layers:
        assert kind_of(layer).over_arrays(layer) is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=("float64", "float32"))
@each_of(READ)
def test_a_layer_over_arrays(kind, make, dtype):
    layer, x = made(make, dtype), samples(dtype)
    function, before = kind.over_arrays(layer), x.clone()
    with torch.no_grad():
        for _ in range(2):
            found = function(x.numpy())
            assert found.dtype == x.numpy().dtype
            torch.testing.assert_close(torch.tensor(found), layer(x), **LIMITS[dtype])
            assert torch.equal(x, before)
            # Numbers in the tensors are those of the arrays.
            for value in layer.state_dict().values():
                if value.is_floating_point():
                    value.mul_(2)
                else:
                    value.fill_(2)  # an index, which stays within the features
        for name in ("eps", "negative_slope", "alpha", "max_val"):
            if hasattr(layer, name):
                setattr(layer, name, 0.7)
        torch.testing.assert_close(torch.tensor(function(x.numpy())), layer(x), **LIMITS[dtype])


# ----------------------------------------------------------------------- what makes it outdated


def network(dtype=torch.float64):
    """A chain with all that can change, of a square layer among others."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(WIDTH, 5), nn.BatchNorm1d(5), nn.LeakyReLU(), nn.Dropout(0.5),
        nn.Linear(5, 5, bias=False), nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip
    return module.to(dtype).eval()


def new_weight(module):
    module[0].weight = nn.Parameter(torch.ones(5, WIDTH, dtype=torch.float64))


def new_data(module):
    module[0].weight.data = torch.ones(5, WIDTH, dtype=torch.float64)


def transposed(module):
    module[4].weight.data = module[4].weight.data.T


def in_place(module):
    module[0].weight.data.mul_(-1)


def loaded(module):
    module.load_state_dict({k: v + 1 for k, v in module.state_dict().items()})


def shared(module):
    module.share_memory()
    module[0].weight.data.add_(1)


def new_statistics(module):
    module[1].running_mean = torch.ones(5, dtype=torch.float64)


def new_bias(module):
    module[4].bias = nn.Parameter(torch.ones(5, dtype=torch.float64))


def no_bias(module):
    module[0].bias = None


def another_layer(module):
    module[5] = nn.Tanh()


def a_layer_more(module):
    module.append(nn.Softmax(dim=1))


def a_layer_less(module):
    del module[5]


def another_class(module):
    module[5].__class__ = nn.Sigmoid


def another_slope(module):
    module[2].negative_slope = 3.0


def hook(module):
    module[2].register_forward_hook(lambda layer, args, output: output + 1)


def hook_before(module):
    module[2].register_forward_pre_hook(lambda layer, args: (args[0] + 1,))


def hook_of_all(module):
    module.register_forward_hook(lambda layer, args, output: output + 1)


def forward_of_one(module):
    module[2].forward = lambda x: x + 1


def forward_of_all(module):
    module.forward = lambda x: module[0](x)


def parametrised(module):
    nn.utils.parametrizations.orthogonal(module[4])


def weights_normalised(module):
    nn.utils.parametrizations.weight_norm(module[0])
    module[0].parametrizations.weight.original0.data.mul_(2)


def no_kind(module):
    module[5] = nn.LayerNorm(5, dtype=torch.float64)


CHANGES = [
    new_weight, new_data, transposed, in_place, loaded, shared, new_statistics, new_bias, no_bias,
    another_layer, a_layer_more, a_layer_less, another_class, another_slope, hook, hook_before,
    hook_of_all, forward_of_one, forward_of_all, parametrised, weights_normalised, no_kind,
]  # fmt: skip
X = samples(torch.float64)


def computed(module):
    """What is predicted for few samples: by the chain if there is one."""
    chain = array_chain(module)
    with torch.no_grad():
        return torch.tensor(chain(X.numpy())) if chain is not None else module(X)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_module_counts(change):
    module = network()
    before = computed(module)
    with torch.no_grad():
        torch.testing.assert_close(before, module(X))
        change(module)
        wanted = module(X)
    assert wanted.shape != before.shape or not torch.allclose(wanted, before)
    torch.testing.assert_close(computed(module), wanted)
    torch.testing.assert_close(computed(module), wanted)


def test_hooks_of_all_modules_count():
    module = network()
    assert array_chain(module) is not None
    handle = nn.modules.module.register_module_forward_hook(lambda layer, args, output: output + 1)
    try:
        assert array_chain(module) is None
    finally:
        handle.remove()
    assert array_chain(module) is not None


def test_what_draws_or_trains_has_no_chain():
    module = network()
    module[3].train()
    assert array_chain(module) is None
    module.eval()
    assert array_chain(module) is not None
    module.train()
    assert array_chain(module) is None


class Doubled(nn.Sequential):
    """A module with a forward pass of its own."""

    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "module",
    [
        Doubled(nn.Linear(6, 3)),
        nn.Linear(6, 3),
        nn.Sequential(nn.Sequential(nn.Linear(6, 3))),
        nn.Sequential(nn.Linear(6, 3), nn.Softplus()),
        nn.Sequential(nn.Linear(6, 3), nn.LogSoftmax(dim=1)),
        nn.Sequential(nn.Linear(6, 3).bfloat16()),
        nn.Sequential(nn.Linear(6, 3).double(), nn.Linear(3, 3)),
        nn.Sequential(nn.Linear(6, 3, device="meta")),
        nn.Sequential(),
    ],
)
def test_modules_without_a_form_over_arrays(module):
    assert array_chain(module.eval()) is None


def test_a_chain_is_made_once_and_goes_with_its_module():
    module = network()
    chain = array_chain(module)
    assert array_chain(module) is chain
    module[0].weight.data.add_(1)
    assert array_chain(module) is chain
    copied, opened = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    with torch.no_grad():
        copied[0].weight.zero_()
        opened[0].weight.zero_()
    torch.testing.assert_close(computed(module), module(X).detach())
    for other in (copied, opened):
        torch.testing.assert_close(computed(other), other(X).detach())
    n_known, gone = len(chains._CHAINS), weakref.ref(module)
    del module, chain
    gc.collect()
    assert gone() is None
    assert len(chains._CHAINS) == n_known - 1


def test_many_threads_at_once():
    modules = [network() for _ in range(4)]
    for number, module in enumerate(modules):
        module[0].weight.data.mul_(number)
    with torch.no_grad():
        wanted = [module(X) for module in modules]

    def one(number):
        module = modules[number % 4]
        if number % 7 == 0:
            module[2].negative_slope = 0.01  # as it is
            module[6].weight = nn.Parameter(module[6].weight.detach().clone())
        return np.allclose(array_chain(module)(X.numpy()), wanted[number % 4])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))
