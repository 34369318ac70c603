"""What the study compares: ways to a smaller network, each from the same trained one.

Every method is a function of a cell (a data set, a seed, hidden layers), a view (what is
removed in equal amounts) and a share; a row of results comes from its network as it is, and
one after fine-tuning, which is the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import LRScheduler

from benchmarks.identification.ranking import FrozenPulls
from benchmarks.shared.prepared import Prepared, points
from benchmarks.study.torch_pruner import torch_pruning
from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.block import Block
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import UCB1
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Surroundings, pruning_path
from sklearn_mabprune.pruning.removal import remove_together
from sklearn_mabprune.pruning.schedules import choose_removals, spread_evenly
from sklearn_mabprune.pruning.search import Search
from sklearn_mabprune.training.fine_tuning import FineTuning, fine_tune, validation_losses
from sklearn_mabprune.training.initial import samples_of, train
from sklearn_mabprune.training.rebuilding import net_around

SHARES = (0.5, 0.75, 0.9)
PRUNING_ROWS = 4096
#: Rows of a mini-batch where the published methods draw some.
MINI_BATCH = 128

#: As published: all at once, nothing takes over.  Layers lose equal shares where a first look
#: (at the sets of docs/defaults.md) showed that to be better: a choice in favour of the rivals.
ONE_SHOT: dict[str, Any] = {"step": 1.0, "ablation": "zero", "control_variate": None}
BY_LAYER = ONE_SHOT | {"scope": "layer"}
MINI_BATCHES = BY_LAYER | {"pull_batch_size": MINI_BATCH}


@dataclass
class Cell:
    """A trained network and everything that a method needs."""

    ready: Prepared
    seed: int
    teacher: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.rows = samples_of(self.ready.net, self.ready.fitted)
        self.validation = samples_of(self.ready.net, self.ready.validation)
        self.graph = self.ready.graph()
        self.epochs = len(self.ready.net.history)
        self.losses = validation_losses(self.ready.net.module_, self.validation)
        with torch.no_grad():
            self.teacher = self.graph.forward(self.rows.x)

    def budget(self, share: float, unit: str) -> Budget:
        """What is to go."""
        return Budget.of(share, unit, self.graph.sizes, self.graph.cost, 1)

    def score(self, net: Any, graph: Graph) -> float:
        """Points on rows that no fit has seen."""
        return points(net, graph, self.ready.scored)

    def row(self, graph: Graph, score: float, **facts: Any) -> dict[str, Any]:
        """A row of results about a network."""
        parameters, macs = graph.cost()
        return {
            **facts,
            "score": round(score, 4),
            "neurons": sum(graph.sizes),
            "parameters": parameters,
            "macs": macs,
        }

    def graph_of(self, net: Any) -> Graph:
        """The network of a net."""
        return recover_graph(net.module_, self.rows.x[:64])


@dataclass(frozen=True)
class Pruning:
    """A path of the library: who is asked, with which options."""

    policy: Any
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, cell: Cell, share: float, unit: str) -> Graph:
        """The network at the end of the path."""
        walk = pruning_path(
            Activations(cell.graph, cell.ready.pruning_rows(PRUNING_ROWS, cell.seed)),
            resolve_policy(self.policy),
            cell.budget(share, unit),
            replace(PathOptions(), **self.options),
            Surroundings(score=lambda graph: 0.0),
            cell.seed,
        )
        last = walk.steps[-1].graph
        assert last is not None
        return last


def peer(cell: Cell, share: float, unit: str) -> Graph:
    """Torch-Pruning's Taylor pruner."""
    return torch_pruning(cell.ready, cell.budget(share, unit), PRUNING_ROWS, cell.seed)


def unpaired(cell: Cell, share: float, unit: str) -> Graph:
    """The paper's method with masked losses for rewards: nothing is subtracted.

    Every neuron meets the mini-batches in an order of its own, so that how hard a batch is
    goes into its estimate.
    """
    rows = cell.ready.pruning_rows(PRUNING_ROWS, cell.seed)
    draws, order = (np.random.default_rng(s) for s in np.random.SeedSequence(cell.seed).spawn(2))
    rows = rows.at(torch.as_tensor(order.permutation(len(rows))))
    activations = Activations(cell.graph, rows)
    ablations = AblationStatistics("zero", 0.0).update(activations)
    losses = []
    for first in range(0, len(rows), MINI_BATCH):
        block = Block(activations.at(slice(first, first + MINI_BATCH)), ablations)
        increase = [
            block.loss_increase(number, torch.arange(size))
            for number, size in enumerate(cell.graph.sizes)
        ]
        losses.append(block.mean_loss + torch.cat(increase).numpy())
    table = UnitTable.of(cell.graph.groups)
    arms = np.arange(len(table))
    budget = cell.budget(share, unit)
    n_told = budget.target if unit == "neurons" else len(arms)
    search = Search(UCB1(), arms, draws, groups=table.group(arms))
    source = _UnpairedPulls(np.stack(losses), order)
    pulls = int(PathOptions().pulls_per_neuron * n_told)
    ranked = search.run_round(source, len(arms), pulls, np.ones(len(arms)))
    ranked = spread_evenly(ranked, table.group(ranked), table.original_sizes, table.sizes)
    gone = choose_removals(ranked, table.group(ranked), table.sizes, len(arms), 1, budget)
    return remove_together(activations, table, gone, ablations).graph


class _UnpairedPulls(FrozenPulls):
    """Masked losses, measured once: (n_blocks, n_neurons), each neuron in its own order."""

    def __init__(self, losses: NDArray[np.float64], rng: np.random.Generator):
        self.values, self.expected = rng.permuted(losses, axis=0), None
        self.done = np.zeros(losses.shape[1], dtype=np.intp)


Method = Callable[[Cell, float, str], Graph]

#: The nine of the tests are these and the unpruned network.
MAIN: dict[str, Method] = {
    "default": Pruning("boundary"),
    "paper": Pruning("ucb1", MINI_BATCHES),
    "magnitude": Pruning("magnitude", BY_LAYER),
    "activation_variation": Pruning("activation_variation", BY_LAYER),
    "taylor": Pruning("taylor", ONE_SHOT),
    "random": Pruning("random", BY_LAYER),
    "torch_pruning": peer,
}

#: The same scores inside our rounds and with our compensation, and policies of pulls.
RIVALS: dict[str, Method] = {
    name: Pruning(name)
    for name in (
        "random",
        "magnitude",
        "activation_variation",
        "taylor",
        "reconstruction",
        "ucb1",
        "exhaustive",
    )
}

#: Our parts, one removed at a time.
OURS: dict[str, Method] = {
    "one shot": Pruning("boundary", {"step": 1.0}),
    "nothing takes over": Pruning("boundary", {"ablation": "zero"}),
    "means take over": Pruning("boundary", {"ablation": "mean"}),
    "no estimates": Pruning("boundary", {"control_variate": None}),
    "no pulls": Pruning("boundary", {"pulls_per_neuron": 0.01}),
}

#: Ways of fine-tuning the default's networks.
TUNINGS: dict[str, dict[str, Any]] = {
    "no distillation": {"distillation": 0.0},
    "the net's own rate": {"lr": 0.001},
}

#: The paper's method with the policies of its abstract, and what changes with our parts.
POLICIES: dict[str, Method] = {
    **{
        name: Pruning(name, MINI_BATCHES)
        for name in ("ucb1", "thompson", "epsilon_greedy", "softmax", "hedge", "exp3")
    },
    "ucb1, unpaired": unpaired,
    "ucb1, rounds": Pruning("ucb1", MINI_BATCHES | {"step": "auto"}),
    "ucb1, least squares": Pruning("ucb1", MINI_BATCHES | {"ablation": "least_squares"}),
    "ucb1, rounds and least squares": Pruning(
        "ucb1", MINI_BATCHES | {"step": "auto", "ablation": "least_squares"}
    ),
}


def pruned_rows(
    cell: Cell, method: Method, unit: str, epochs: dict[float, int] | None
) -> Iterator[dict[str, Any]]:
    """Rows of one method: as pruned, and fine-tuned for these epochs, by share, if any."""
    for share in SHARES:
        graph, row = pruned_row(cell, method, share, unit)
        yield row
        if epochs is not None:
            yield tuned_row(cell, graph, share, epochs[share])


def default_rows(
    cell: Cell, method: Method, unit: str, *, scratch: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Rows of the default, and of the sizes that it found trained from scratch, in two ways.

    ``scratch`` is trained as the first network was, but never stopped early: the best of all
    epochs is kept.  ``scratch_cosine`` starts at the rate of fine-tuning, which falls to 0 over
    all its epochs, and keeps the best, too.  Both get the epochs of training
    and fine-tuning together, and as ``_short`` those of fine-tuning alone.
    """
    for share in SHARES:
        graph, row = pruned_row(cell, method, share, unit)
        tuned = tuned_row(cell, graph, share)
        yield row | {"method": "default"}
        yield tuned | {"method": "default"}
        for suffix, epochs in (("", cell.epochs + tuned["epochs"]), ("_short", tuned["epochs"])):
            for name in scratch:
                row = scratch_row(cell, graph.sizes, epochs, cosine=name != "scratch")
                yield row | {"method": f"{name}{suffix}", "removed": share}


def unpruned_rows(cell: Cell) -> Iterator[dict[str, Any]]:
    """The trained network, and what fine-tuning on labels does for it."""
    score = cell.score(cell.ready.net, cell.graph)
    yield cell.row(cell.graph, score, removed=0.0, tuned=0, epochs=cell.epochs, seconds=0.0)
    yield tuned_row(cell, cell.graph, 0.0, distillation=0.0)


def tuned_default_rows(
    cell: Cell, epochs: dict[float, int], **way: Any
) -> Iterator[dict[str, Any]]:
    """Rows of the default's networks, fine-tuned in another way for as long."""
    for share in SHARES:
        yield tuned_row(cell, MAIN["default"](cell, share, "neurons"), share, epochs[share], **way)


def pruned_row(cell: Cell, method: Method, share: float, unit: str) -> tuple[Graph, dict[str, Any]]:
    """A network as the method leaves it, and its row."""
    started = time.process_time()
    graph = method(cell, share, unit)
    seconds = time.process_time() - started
    score = cell.score(cell.ready.net, graph)
    return graph, cell.row(graph, score, removed=share, tuned=0, epochs=0, seconds=seconds)


def tuned_row(
    cell: Cell,
    graph: Graph,
    share: float,
    epochs: int | None = None,
    lr: float | str = "auto",
    distillation: float = 0.7,
) -> dict[str, Any]:
    """A row of a network that was fine-tuned, as the estimators do it.

    For as many epochs as validation asks for, or as another network took: then in the same
    cycles, so that no method is trained for longer than the default.
    """
    started = time.process_time()
    net, done = net_around(cell.ready.net, graph), [0]
    options = FineTuning.of("auto", cell.epochs, lr, distillation, 2.0)
    if epochs is not None:
        ends = accumulate(options.cycles)
        cycles = [n for n, end in zip(options.cycles, ends, strict=True) if end <= epochs]
        options = replace(options, cycles=tuple(cycles))
    fine_tune(
        net,
        cell.rows,
        cell.validation,
        cell.teacher,
        options,
        cell.seed,
        done.append,
        cell.losses if epochs is None else None,
    )
    seconds = time.process_time() - started
    graph = cell.graph_of(net)
    score = cell.score(net, graph)
    return cell.row(graph, score, removed=share, tuned=1, epochs=done[-1], seconds=seconds)


def scratch_row(cell: Cell, sizes: tuple[int, ...], epochs: int, *, cosine: bool) -> dict[str, Any]:
    """A row of a network that was never large."""
    kind = MLPNetClassifier if cell.ready.fitted.y.ndim == 1 else MLPNetRegressor
    net = kind(module__hidden_layer_sizes=sizes, max_epochs=epochs, patience=epochs)
    if cosine:
        # Ten times the net's rate: the start of fine-tuning.
        falling = LRScheduler("CosineAnnealingLR", T_max=epochs)
        net.set_params(lr=10 * net.lr, callbacks=[("falling rate", falling)])
    started = time.process_time()
    net, _ = train(net, cell.ready.fitted, cell.ready.validation, 1000 + cell.seed)
    seconds = time.process_time() - started
    graph = cell.graph_of(net)
    return cell.row(graph, cell.score(net, graph), tuned=1, epochs=epochs, seconds=seconds)
