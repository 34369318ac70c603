"""The pruning path: rounds of ranking, removal and surgery, from large to small."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ablation.activations import Activations
from ..criteria import Criterion
from ..graph.graph import Graph
from ..graph.units import UnitTable
from ..policies.base import Policy
from ..utils.interruptions import Interruptions
from .budget import Budget, Limits
from .rankers import Ranker, RankerOptions, Round, make_ranker
from .removal import remove_together
from .replay import Known, Replay
from .schedules import choose_removals, spread_evenly, step_size
from .selection import limits_of

#: So many networks of a path are kept at most.
MAX_KEPT = 12


@dataclass(frozen=True)
class PathOptions(RankerOptions):
    """How a path is walked; see the estimators and :class:`AblationStatistics` for the options."""

    ablation: str = "least_squares"
    refresh: float = 0.2
    step: float | int | str = "auto"
    scope: str = "global"
    layers: tuple[str, ...] | None = None
    min_neurons: int | dict[str, int] = 1

    def limits(self, groups: Sequence[Any]) -> Limits:
        """How many units each of these groups keeps at least."""
        return limits_of(groups, self.layers, self.min_neurons)


@dataclass
class Step:
    """One point of a path: the network after a round (the first: before any).

    ``graph`` and ``estimates`` are None where the network was not kept.  ``state`` is what the
    ranker knew when the next round began, None where no later walk starts.
    """

    graph: Graph | None
    sizes: tuple[int, ...]
    n_parameters: int
    n_macs: int
    loss: float
    score: float
    seconds: float = 0.0
    removed: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    n_pulls: int = 0
    n_evaluations: int = 0
    n_backward: int = 0
    loss_increase: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    standard_error: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    reward_scale: tuple[float, float] = (np.nan, np.nan)
    confidence: float = np.nan
    pulls_by_arm: NDArray[np.intp] | None = None
    estimates: NDArray[np.float32] | None = None
    state: dict[str, Any] | None = field(default=None, repr=False)


@dataclass
class Walk:
    """Steps of a path, the last one with its network; whether Ctrl-C ended it.

    ``chooser`` is the policy or criterion after the last round, ``n_replayed`` the number of
    rounds that were known already, ``remarks`` what some layers do in place of the ablation.
    """

    steps: list[Step]
    chooser: Any = None
    interrupted: bool = False
    n_replayed: int = 0
    n_factorisations: list[int] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """Scores, progress and interruptions of a fit, as a walk along its path uses them.

    Parameters
    ----------
    score : callable
        Validation score of a graph.
    on_step : callable
        Called with every step, for progress.
    interruptions : Interruptions
        Of the fit: Ctrl-C ends the walk with the last finished round.
    """

    score: Callable[[Graph], float]
    on_step: Callable[[Step], Any] = lambda step: None
    interruptions: Interruptions = field(default_factory=Interruptions)


def pruning_path(
    activations: Activations,
    chooser: Policy | Criterion,
    budget: Budget,
    options: PathOptions,
    surroundings: Surroundings,
    seed: int,
    known: Known | None = None,
) -> Walk:
    """Remove units round by round until the budget is reached.

    Parameters
    ----------
    activations : Activations
        The trained network, which is left as it is, on the pruning samples: pulls and
        statistics come from them.
    chooser : Policy or Criterion
        Ranks the units; a policy is started here.
    budget : Budget
        When to stop.  It does not change the path on the way there, except that a step
        as large as the whole budget tells the policy how many will go.
    options : PathOptions
    surroundings : Surroundings
    seed : int
        Of all draws.
    known : Known, optional
        An earlier walk with this chooser, these options and this seed.  If it was over
        this network and these samples, its rounds are not pulled for again.

    Returns
    -------
    Walk
        Interrupted by Ctrl-C it ends with the last finished round.

    Raises
    ------
    ValueError
        If the loss of the network is infinite or NaN.
    """
    table, limits = UnitTable.of(activations.graph.groups), budget.limits
    ranker = make_ranker(chooser, table, len(activations.samples), options, seed)
    least = ranker.round_size(1)
    how = options.ablation, options.ridge, options.refresh
    statistics = activations.statistics(*how, limits.pruned)
    first = _measure(activations, surroundings)
    if not budget.reached(table.sizes):
        _check(first.loss)
    walk = Walk(
        [first],
        chooser,
        n_factorisations=statistics.n_factorisations,
        remarks=statistics.remarks,
    )
    if known is not None and known.loss == first.loss:
        ranker = replay = Replay(ranker, known, budget)
        walk.n_replayed = replay.n_replayed
    if not all(limits.pruned):
        ranker.removed(table.arms_of(~np.asarray(limits.pruned)))
    n_units = limits.n_pruned(table.sizes)
    interruptions = surroundings.interruptions
    with interruptions.caught(), interruptions.raised():
        while not budget.reached(table.sizes) and not interruptions.happened:
            started = time.perf_counter()
            walk.steps[-1].state = ranker.state()
            step = step_size(options.step, n_units, limits.n_pruned(table.sizes))
            step = max(least, step)
            n_told = min(step, budget.target) if budget.unit == "neurons" else step
            here = Round(
                activations,
                table,
                statistics.update(activations),
                min(n_told, n_units),
                step,
            )
            arms = _arms_to_remove(ranker, here, budget, options)
            activations = remove_together(activations, table, arms, here.ablations)
            done = _measure(activations, surroundings)
            with interruptions.deferred():
                _record(done, ranker, arms)
                done.seconds += time.perf_counter() - started
                walk.steps.append(done)
                table.remove(arms)
                protected = table.arms_of(np.asarray(table.sizes) <= limits.least)
                ranker.removed(np.concatenate([arms, protected]))
                _thin(walk, budget)
                walk.chooser = ranker.chooser
                surroundings.on_step(done)
    walk.interrupted = interruptions.happened
    return walk


def _check(loss: float) -> None:
    """Refuse a network whose loss is no number: pulls are differences to it."""
    if not np.isfinite(loss):
        raise ValueError(
            f"The loss of the trained network is {loss} on its training samples, which leaves "
            "nothing to compare removals with: squares of its outputs are too large for its "
            "precision. Scale the features (StandardScaler)."
        )


def _arms_to_remove(
    ranker: Ranker, here: Round, budget: Budget, options: PathOptions
) -> NDArray[np.intp]:
    """Rank the units of a round, and take as many as may go."""
    table, order = here.table, ranker.rank(here)
    if options.scope == "layer":
        order = spread_evenly(order, table.group(order), table.original_sizes, table.sizes)
    return choose_removals(order, table.group(order), table.sizes, here.step, budget)


def _record(done: Step, ranker: Ranker, arms: NDArray[np.intp]) -> None:
    """Write into a step what the round that led to it did."""
    for name, value in ranker.record(arms).items():
        setattr(done, name, value)
    done.removed = arms


def _measure(activations: Activations, surroundings: Surroundings) -> Step:
    graph = activations.graph
    parameters, macs = graph.cost()
    loss = activations.mean_loss()
    return Step(graph, graph.sizes, parameters, macs, loss, surroundings.score(graph))


def _thin(walk: Walk, budget: Budget) -> None:
    """Keep the first and the last network, and those that cross an eleventh of the way.

    States stay with the networks, and with the last step but one: a budget may have cut the
    last round short, and a longer path then starts before it.
    """
    if len(walk.steps) < 3:
        return
    before, middle = walk.steps[-3], walk.steps[-2]
    if before.graph is None:
        before.state = None
    parts = MAX_KEPT - 1
    then, now = (parts * budget.gone(s.sizes) // max(1, budget.target) for s in (before, middle))
    if now == then:
        middle.graph = middle.estimates = None
