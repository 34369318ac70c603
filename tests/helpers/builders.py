"""Random networks and rows for tests, and losses written out once more without the library."""

from __future__ import annotations

import copy
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from sklearn_mabprune.ablation.block import Rows
from sklearn_mabprune.data.losses import RowLoss
from sklearn_mabprune.graph.graph import recover_chain
from sklearn_mabprune.pruning.path import PathOptions, pruning_path
from sklearn_mabprune.pruning.schedules import Budget

ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "identity": nn.Identity,
}
#: What stands around the activation of every hidden layer.
SURROUNDINGS = ("plain", "norm_before", "norm_after", "dropout")
#: Criterion and outputs.
TASKS = {
    "classes": (nn.CrossEntropyLoss, 3),
    "probabilities": (nn.NLLLoss, 3),
    "target": (nn.MSELoss, 1),
    "targets": (nn.MSELoss, 2),
    "summed": (partial(nn.MSELoss, reduction="sum"), 2),
    "labels": (nn.BCEWithLogitsLoss, 3),
}
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def generator(seed):
    return torch.Generator().manual_seed(seed)


def batch_norm(width, seed):
    """A BatchNorm1d whose scale, shift and statistics are not those of a new one."""
    layer, source = nn.BatchNorm1d(width), generator(seed)
    with torch.no_grad():
        layer.weight.copy_(0.5 + torch.rand(width, generator=source))
        layer.bias.copy_(torch.randn(width, generator=source))
        layer.running_mean.copy_(torch.randn(width, generator=source))
        layer.running_var.copy_(0.5 + torch.rand(width, generator=source))
    return layer


def prelu(width, seed):
    """A PReLU with a slope for each neuron."""
    layer = nn.PReLU(width)
    layer.weight.data.copy_(torch.rand(width, generator=generator(seed)))
    return layer


def linear(n_inputs, n_outputs, seed, bias=True, gain=1.5):
    """A Linear layer with normal weights, large enough for every neuron to matter."""
    layer, source = nn.Linear(n_inputs, n_outputs, bias=bias), generator(seed)
    with torch.no_grad():
        spread = gain * n_inputs**-0.5
        layer.weight.copy_(spread * torch.randn(n_outputs, n_inputs, generator=source))
        if bias:
            layer.bias.copy_(0.3 * torch.randn(n_outputs, generator=source))
    return layer


def network(
    sizes=(6, 7, 5, 3),
    activation="relu",
    around="plain",
    tail=(),
    bias=True,
    dtype=torch.float64,
    seed=0,
):
    """A random nn.Sequential: inputs, hidden widths and outputs are its sizes."""
    layers = []
    for k, (before, width) in enumerate(pairwise(sizes[:-1])):
        layers.append(linear(before, width, 100 * seed + k, bias))
        if around == "norm_before":
            layers.append(batch_norm(width, 100 * seed + 20 + k))
        if activation == "prelu":
            layers.append(prelu(width, 100 * seed + 40 + k))
        else:
            layers.append(ACTIVATIONS[activation]())
        if around == "norm_after":
            layers.append(batch_norm(width, 100 * seed + 60 + k))
        if around == "dropout":
            layers.append(nn.Dropout(0.4))
    layers.append(linear(sizes[-2], sizes[-1], 100 * seed + 80, bias))
    return nn.Sequential(*layers, *tail).to(dtype)


def features(n_rows, n_features, dtype=torch.float64, seed=0):
    return torch.randn(n_rows, n_features, generator=generator(1000 + seed)).to(dtype)


def targets(task, n_rows, dtype=torch.float64, seed=0):
    _, n_outputs = TASKS[task]
    source = generator(2000 + seed)
    if task in ("classes", "probabilities"):
        return torch.randint(n_outputs, (n_rows,), generator=source)
    drawn = torch.randn(n_rows, n_outputs, generator=source)
    return (drawn > 0 if task == "labels" else drawn).to(dtype)


def row_weights(n_rows, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).uniform(0.2, 3.0, n_rows))


def make_rows(task="classes", n_rows=40, n_features=6, dtype=torch.float64, weighted=False, seed=0):
    """Rows of a task, with weights of 1 or random ones."""
    return Rows(
        features(n_rows, n_features, dtype, seed),
        targets(task, n_rows, dtype, seed),
        row_weights(n_rows, seed) if weighted else torch.ones(n_rows, dtype=torch.float64),
        RowLoss(TASKS[task][0]()),
    )


def make_chain(
    task="classes",
    hidden=(7, 5),
    activation="relu",
    around="plain",
    bias=True,
    dtype=torch.float64,
    seed=0,
    n_features=6,
):
    """The chain of a random network for a task."""
    tail = (nn.Softmax(dim=-1),) if task == "probabilities" else ()
    sizes = (n_features, *hidden, TASKS[task][1])
    module = network(sizes, activation, around, tail, bias, dtype, seed)
    return recover_chain(module, features(8, n_features, dtype, seed))


def labelled_by(chain, rows, seed=0):
    """The same rows with the network's own, slightly noisy answers as class labels."""
    with torch.no_grad():
        noise = torch.randn(len(rows), chain.n_outputs, generator=generator(3000 + seed))
        rows.targets = (chain.forward(rows.x) + 0.3 * noise).argmax(1)
    return rows


def losses_of(module, rows, task):
    """Loss of each row as a module gives it in evaluation mode, in float64."""
    module.eval()
    with torch.no_grad():
        outputs = module(rows.x)
    eps = torch.finfo(outputs.dtype).eps
    outputs, wanted = outputs.double(), rows.targets
    if task == "classes":
        chosen = outputs.gather(1, wanted[:, None])[:, 0]
        return torch.logsumexp(outputs, dim=1) - chosen
    if task == "probabilities":
        return -torch.log(outputs.gather(1, wanted[:, None])[:, 0] + eps)
    if task == "labels":
        return torch.log1p(torch.exp(outputs * (1 - 2 * wanted.double()))).mean(dim=1)
    squares = (outputs - wanted.double()) ** 2
    return squares.sum(dim=1) if task == "summed" else squares.mean(dim=1)


def mean_loss(module, rows, task):
    """Weighted mean loss of a module in evaluation mode."""
    losses = losses_of(module, rows, task)
    return float((losses * rows.weights).sum() / rows.weights.sum())


def neuron_budget(chain, budget, unit="neurons", min_neurons=1):
    """A budget read for a chain, as an estimator reads it."""
    return Budget.of(budget, unit, chain.hidden_sizes, chain.cost, min_neurons)


def ids(*values):
    return torch.tensor(values, dtype=torch.long)


# ---------------------------------------------------------------------------------- paths

#: Of the network that paths are walked with.
HIDDEN = (14, 10)


def example(hidden=HIDDEN, n_rows=60, seed=0, **options):
    """A chain and rows that it answers rightly, nearly."""
    chain = make_chain(hidden=hidden, seed=seed, **options)
    rows = make_rows("classes", n_rows, chain.n_inputs, chain.dtype, True, seed)
    return chain, labelled_by(chain, rows)


def walk(chooser, budget=0.5, unit="neurons", chain=None, rows=None, seed=0, score=None, **options):
    """The path of the example, or of a chain, with the chooser left as it is."""
    if chain is None:
        chain, rows = example()
    options = {"step": 3, "pull_batch_size": 25, "pulls_per_neuron": 4} | options
    on_step = options.pop("on_step", lambda step: None)
    known = options.pop("known", None)
    return pruning_path(
        chain,
        rows,
        copy.deepcopy(chooser),
        neuron_budget(chain, budget, unit, options.get("min_neurons", 1)),
        PathOptions(**options),
        score=score or (lambda chain: -rows.mean_loss(chain)),
        seed=seed,
        on_step=on_step,
        known=known,
    )


def removed(found):
    """All arms that went, in order."""
    return np.concatenate([step.removed for step in found.steps]).tolist()


def assert_consistent(found, chain, hidden=HIDDEN):
    """Every step is what the steps before it and its removals make it."""
    gone = []
    for before, step in zip(found.steps[:-1], found.steps[1:], strict=True):
        gone += step.removed.tolist()
        layers = np.repeat(np.arange(len(hidden)), hidden)[gone]
        assert step.sizes == tuple(np.subtract(hidden, np.bincount(layers, minlength=len(hidden))))
        assert (step.n_parameters, step.n_macs) == chain.cost(step.sizes)
        assert step.n_macs < before.n_macs
        if step.chain is not None:
            assert step.chain.hidden_sizes == step.sizes
            assert abs(step.score + step.loss) < 1e-9
    assert len(set(gone)) == len(gone)
    assert found.steps[-1].chain is not None
