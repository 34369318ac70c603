"""What the study compares: ways to a smaller network, each from the same trained one.

Every method is a function of a cell (a data set, a seed, hidden layers), a view (what is
removed in equal amounts) and a share; a row of results comes from its network as it is, and
one after fine-tuning, which is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from benchmarks.shared.frozen_pulls import FrozenPulls
from benchmarks.shared.prepared import Prepared, points
from benchmarks.shared.whole import whole_path
from benchmarks.study.torch_pruner import torch_pruning
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import UCB1
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Surroundings
from sklearn_mabprune.pruning.removal import remove_together
from sklearn_mabprune.pruning.schedules import choose_removals, spread_evenly
from sklearn_mabprune.pruning.search import Search
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.fine_tuning import validation_losses

SHARES = (0.5, 0.75, 0.9)
PRUNING_ROWS = 4096
#: Rows of a mini-batch where the published methods draw some.
MINI_BATCH = 128

#: As published: all at once, without compensation.  Layers lose equal fractions where a first look
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
        walk = whole_path(
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
        block = activations.at(slice(first, first + MINI_BATCH)).block(ablations)
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
    source = FrozenPulls(order.permuted(np.stack(losses), axis=0))
    pulls = int(PathOptions().pulls_per_neuron * n_told)
    ranked = search.run_round(source, len(arms), pulls, np.ones(len(arms)))
    ranked = spread_evenly(ranked, table.group(ranked), table.original_sizes, table.sizes)
    gone = choose_removals(ranked, table.group(ranked), table.sizes, len(arms), budget)
    return remove_together(activations, table, gone, ablations).graph


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
