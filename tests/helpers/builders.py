"""Random networks and samples for tests, and losses written out once more without the library."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.outputs import sample_losses
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Surroundings, pruning_path
from sklearn_mabprune.pruning.removal import remove_together
from sklearn_mabprune.pruning.replay import Known
from sklearn_mabprune.pruning.schedules import step_size

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
    """A PReLU with a slope for each unit."""
    layer = nn.PReLU(width)
    layer.weight.data.copy_(torch.rand(width, generator=generator(seed)))
    return layer


def linear(n_inputs, n_outputs, seed, bias=True, gain=1.5):
    """A Linear layer with normal weights, large enough for every unit to matter."""
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


def features(n_samples, n_features, dtype=torch.float64, seed=0):
    return torch.randn(n_samples, n_features, generator=generator(1000 + seed)).to(dtype)


def targets(task, n_samples, dtype=torch.float64, seed=0):
    _, n_outputs = TASKS[task]
    source = generator(2000 + seed)
    if task in ("classes", "probabilities"):
        return torch.randint(n_outputs, (n_samples,), generator=source)
    drawn = torch.randn(n_samples, n_outputs, generator=source)
    return (drawn > 0 if task == "labels" else drawn).to(dtype)


def sample_weights(n_samples, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).uniform(0.2, 3.0, n_samples))


def make_samples(
    task="classes", n_samples=40, n_features=6, dtype=torch.float64, weighted=False, seed=0
):
    """Samples of a task, with weights of 1 or random ones."""
    return Samples(
        features(n_samples, n_features, dtype, seed),
        targets(task, n_samples, dtype, seed),
        sample_weights(n_samples, seed) if weighted else torch.ones(n_samples, dtype=torch.float64),
        SampleLoss(TASKS[task][0]()),
    )


def make_graph(
    task="classes",
    hidden=(7, 5),
    activation="relu",
    around="plain",
    bias=True,
    dtype=torch.float64,
    seed=0,
    n_features=6,
):
    """The graph of a random network for a task."""
    tail = (nn.Softmax(dim=-1),) if task == "probabilities" else ()
    sizes = (n_features, *hidden, TASKS[task][1])
    module = network(sizes, activation, around, tail, bias, dtype, seed)
    return recover_graph(module, features(8, n_features, dtype, seed))


def labelled_by(graph, samples, seed=0):
    """The same samples with the network's own, slightly noisy answers as class labels."""
    with torch.no_grad():
        noise = torch.randn(len(samples), graph.n_outputs, generator=generator(3000 + seed))
        return replace(samples, targets=(graph.forward(samples.x) + 0.3 * noise).argmax(1))


def linears(graph):
    """The layers that compute weighted sums, in order: that of group k, and that which reads it."""
    return [node.layer for node in graph.nodes if node.kind.produces]


def sums(graph):
    """Numbers of the values that those layers return."""
    return [node.value for node in graph.nodes if node.kind.produces]


def group_values(graph):
    """Numbers of the values that groups are read as."""
    return [group.value for group in graph.groups]


def hidden_and_sums(graph, x, feature_major=False):
    """Activations of every group, and what every layer of weighted sums returns."""
    read, returned = group_values(graph), sums(graph)
    found = graph.run({0: x}, [*read, *returned], feature_major=feature_major)
    return [found[value] for value in read], [found[value] for value in returned]


def ablations_of(graph, samples, name="least_squares", ridge=1e-3):
    """Ablations of all groups, their statistics taken from these samples."""
    return AblationStatistics(name, ridge).update(Activations(graph, samples))


def block_of(graph, samples, ablations, chunk=None):
    """A block of all these samples."""
    return Activations(graph, samples).block(ablations, chunk)


def residual_together(ablation, activations, units):
    """Ablated part of these units, removed together, (n_units, n_samples): A P_S (P_SS)^-1."""
    if not hasattr(ablation, "inverse"):
        return ablation.residual(activations, units)
    rows = ablation.inverse[units]
    centred = activations - ablation.mean.to(activations.dtype)[:, None]
    return torch.linalg.solve(rows[:, units], rows).to(activations.dtype) @ centred


def loss_increase_together(block, units):
    """Rise of the mean loss when these units of all groups, None for none, are ablated together."""
    graph, samples = block.graph, block.samples
    known = {graph.groups[0].value: block.values[graph.groups[0].value]}
    with torch.inference_mode():
        for group, ablation, which in zip(graph.groups, block.ablations, units, strict=True):
            reader = graph.reader(group)
            found = graph.run(known, [group.value, reader.value], feature_major=True)
            z = found[reader.value]
            if which is not None and len(which):
                residual = residual_together(ablation, found[group.value], which)
                z = z - reader.kind.enter(reader.layer, residual, which)
            known = {reader.value: z}
        losses = sample_losses(graph, known[graph.logits], samples.targets, samples.loss)
        return float((losses - block.base) @ samples.weights) / block.weight


def without(graph, samples, table, arms, ablations):
    """The graph without these units; the ablations are brought up to date."""
    return remove_together(Activations(graph, samples), table, np.asarray(arms), ablations).graph


def mean_loss_of(graph, samples):
    """Weighted mean loss as the package computes it."""
    return Activations(graph, samples).mean_loss()


def losses_of(module, samples, task):
    """Loss of each sample as a module gives it in evaluation mode, in float64."""
    module.eval()
    with torch.no_grad():
        outputs = module(samples.x)
    eps = torch.finfo(outputs.dtype).eps
    outputs, wanted = outputs.double(), samples.targets
    if task == "classes":
        chosen = outputs.gather(1, wanted[:, None])[:, 0]
        return torch.logsumexp(outputs, dim=1) - chosen
    if task == "probabilities":
        return -torch.log(outputs.gather(1, wanted[:, None])[:, 0] + eps)
    if task == "labels":
        return torch.log1p(torch.exp(outputs * (1 - 2 * wanted.double()))).mean(dim=1)
    squares = (outputs - wanted.double()) ** 2
    return squares.sum(dim=1) if task == "summed" else squares.mean(dim=1)


def mean_loss(module, samples, task):
    """Weighted mean loss of a module in evaluation mode."""
    losses = losses_of(module, samples, task)
    return float((losses * samples.weights).sum() / samples.weights.sum())


def neuron_budget(graph, budget, unit="neurons", min_neurons=1):
    """A budget read for a graph, as an estimator reads it."""
    return Budget.of(budget, unit, graph.sizes, graph.cost, min_neurons)


def round_sizes(step, n_neurons, target):
    """How many neurons each round of a path removes, until so many are gone."""
    sizes, gone = [], 0
    while gone < target:
        sizes.append(min(step_size(step, n_neurons, n_neurons - gone), target - gone))
        gone += sizes[-1]
    return np.array(sizes, dtype=np.intp)


def ids(*values):
    return torch.tensor(values, dtype=torch.long)


# ---------------------------------------------------------------------------------- paths

#: Of the network that paths are walked with.
HIDDEN = (14, 10)


def example(hidden=HIDDEN, n_samples=60, seed=0, **options):
    """A graph and samples that it answers rightly, nearly."""
    graph = make_graph(hidden=hidden, seed=seed, **options)
    samples = make_samples("classes", n_samples, graph.n_inputs, graph.dtype, True, seed)
    return graph, labelled_by(graph, samples)


def walk(
    chooser, budget=0.5, unit="neurons", graph=None, samples=None, seed=0, score=None, **options
):
    """The path of the example, or of a graph, with the chooser left as it is."""
    if graph is None:
        graph, samples = example()
    options = {"step": 3, "pull_batch_size": 25, "pulls_per_neuron": 4} | options
    told = {name: options.pop(name) for name in ("on_step", "interruptions") if name in options}
    known = options.pop("known", None)
    return pruning_path(
        Activations(graph, samples),
        copy.deepcopy(chooser),
        neuron_budget(graph, budget, unit, PathOptions(**options).limits(graph.groups)),
        PathOptions(**options),
        Surroundings(score or (lambda graph: -mean_loss_of(graph, samples)), **told),
        seed,
        known,
    )


#: The fields of a step that say what its round did.
FACTS = (
    "n_pulls", "n_evaluations", "n_backward", "loss_increase", "standard_error",
    "reward_scale", "seconds", "confidence", "pulls_by_arm", "estimates",
)  # fmt: skip


def known_of(found):
    """A walk as a later one replays it."""
    return Known(
        found.steps[0].loss,
        [step.sizes for step in found.steps],
        [step.removed for step in found.steps],
        [{name: getattr(step, name) for name in FACTS} for step in found.steps],
        {k: step.state for k, step in enumerate(found.steps) if step.state is not None},
    )


def removed(found):
    """All arms that went, in order."""
    return np.concatenate([step.removed for step in found.steps]).tolist()


def assert_consistent(found, graph, hidden=HIDDEN):
    """Every step is what the steps before it and its removals make it."""
    gone = []
    for before, step in zip(found.steps[:-1], found.steps[1:], strict=True):
        gone += step.removed.tolist()
        layers = np.repeat(np.arange(len(hidden)), hidden)[gone]
        assert step.sizes == tuple(np.subtract(hidden, np.bincount(layers, minlength=len(hidden))))
        assert (step.n_parameters, step.n_macs) == graph.cost(step.sizes)
        assert step.n_macs < before.n_macs
        if step.graph is not None:
            assert step.graph.sizes == step.sizes
            assert abs(step.score + step.loss) < 1e-9
    assert len(set(gone)) == len(gone)
    assert found.steps[-1].graph is not None
