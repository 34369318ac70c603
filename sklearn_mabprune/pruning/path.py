"""The pruning path: rounds of choosing, removal and surgery, from large to small."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..ablation.block import LayerStatistics, Rows
from ..ablation.compensation import ZeroAblation
from ..criteria import Criterion
from ..graph.graph import Chain
from ..graph.surgery import cut
from ..graph.units import NeuronTable
from ..policies.base import Policy
from .rankers import ChooserOptions, CriterionChooser, PolicyChooser
from .replay import Known, Replay
from .schedules import Budget, choose_removals, share_evenly, step_size

#: So many networks of a path are kept at most.
MAX_KEPT = 12


@dataclass(frozen=True)
class PathOptions(ChooserOptions):
    """How a path is walked; see the estimators and :class:`LayerStatistics` for the options."""

    ablation: str = "least_squares"
    refresh: float = 0.2
    step: float | int | str = "auto"
    scope: str = "global"
    min_neurons: int = 1


@dataclass
class Step:
    """One point of a path: the network after a round (the first: before any).

    ``chain`` and ``estimates`` are None where the network was not kept.  ``state`` is what the
    chooser knew when the next round began, None where no later walk starts.
    """

    chain: Chain | None
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

    ``n_replayed`` is the number of rounds that were known already.
    """

    steps: list[Step]
    interrupted: bool = False
    n_replayed: int = 0
    n_factorisations: list[int] = field(default_factory=list)


def pruning_path(
    chain: Chain,
    rows: Rows,
    chooser: Policy | Criterion,
    budget: Budget,
    options: PathOptions,
    *,
    score: Callable[[Chain], float],
    seed: int,
    on_step: Callable[[Step], Any] = lambda step: None,
    known: Known | None = None,
) -> Walk:
    """Remove neurons round by round until the budget is reached.

    Parameters
    ----------
    chain : Chain
        The trained network; left as it is.
    rows : Rows
        Pruning rows: pulls and statistics come from them.
    chooser : Policy or Criterion
        Says who goes; a policy is started here.
    budget : Budget
        When to stop.  It does not change the path on the way there, except that a step
        as large as the whole budget tells the policy how many will go.
    options : PathOptions
    score : callable
        Validation score of a network.
    seed : int
        Of all draws.
    on_step : callable
        Told every step, for progress.
    known : Known, optional
        An earlier walk with this chooser, these options and this seed.  If it was over
        this network and these rows, its rounds are not pulled for again.

    Returns
    -------
    Walk
        Interrupted by Ctrl-C it ends with the last finished round.
    """
    table = NeuronTable(chain.hidden_sizes)
    # The trace that this path keeps is its own; one that was made already goes over to it.
    given, rows = rows, replace(rows)
    given.trace = None
    make = PolicyChooser if chooser.needs_pulls else CriterionChooser
    choose = make(chooser, table, rows, options, seed)  # type: ignore[arg-type]
    least = choose.round_size(1)
    statistics = LayerStatistics(options.ablation, options.ridge, options.refresh)
    rows.keep_trace(chain)
    walk = Walk([_measure(chain, rows, score)], n_factorisations=statistics.n_factorisations)
    if known is not None and known.loss == walk.steps[0].loss:
        choose = replay = Replay(choose, known, budget)  # type: ignore[assignment]
        walk.n_replayed = replay.n_replayed
    try:
        while not budget.reached(table.sizes):
            started = time.perf_counter()
            walk.steps[-1].state = choose.state()
            step = max(least, step_size(options.step, len(table), sum(table.sizes)))
            ablations = statistics.update(chain, rows)
            n_told = min(step, budget.target) if budget.unit == "neurons" else step
            order = choose.order(chain, table, ablations, min(n_told, len(table)), step)
            if options.scope == "layer":
                order = share_evenly(order, table.layer(order), table.original_sizes, table.sizes)
            arms = choose_removals(
                order, table.layer(order), table.sizes, step, options.min_neurons, budget
            )
            chain = remove_together(chain, table, arms, ablations, rows)
            done = _measure(chain, rows, score)
            for name, value in choose.record(arms).items():
                setattr(done, name, value)
            done.removed = arms
            done.seconds += time.perf_counter() - started
            # One append: Ctrl-C finds the round either finished or not there.
            walk.steps.append(done)
            table.remove(arms)
            choose.gone(np.concatenate([arms, _protected(table, options.min_neurons)]))
            _thin(walk, budget)
            on_step(done)
    except KeyboardInterrupt:
        walk.interrupted = True
    return walk


def remove_together(
    chain: Chain,
    table: NeuronTable,
    arms: NDArray[np.intp],
    ablations: list[ZeroAblation],
    rows: Rows | None = None,
) -> Chain:
    """The network without these live neurons; the ablations are brought up to date.

    Parameters
    ----------
    chain : Chain
        Left as it is.
    table : NeuronTable
        With the arms still alive.
    arms : ndarray of int
        Who goes.
    ablations : list of ZeroAblation
        One a hidden layer; they say what the next layer takes over.
    rows : Rows, optional
        Whose trace, if they have one, follows.
    """
    layers, positions = table.layer(arms), table.position(arms)
    keep: list[torch.Tensor | None] = []
    folds: list[Any] = []
    for layer, size in enumerate(chain.hidden_sizes):
        units = np.sort(positions[layers == layer])
        if units.size == 0:
            keep.append(None)
            folds.append(None)
            continue
        mask = torch.ones(size, dtype=torch.bool)
        mask[torch.as_tensor(units)] = False
        gone = torch.as_tensor(units, device=chain.device)
        keep.append(mask.to(chain.device))
        folds.append(ablations[layer].fold(gone))
        ablations[layer].remove(gone)
    smaller = cut(chain, keep, folds)
    if rows is not None and rows.trace is not None:
        with torch.inference_mode():
            rows.trace = rows.trace.after(smaller, keep, folds)
    return smaller


def _measure(chain: Chain, rows: Rows, score: Callable[[Chain], float]) -> Step:
    parameters, macs = chain.cost()
    loss = rows.mean_loss(chain)
    return Step(chain, chain.hidden_sizes, parameters, macs, loss, score(chain))


def _protected(table: NeuronTable, min_neurons: int) -> NDArray[np.intp]:
    """Live neurons of layers that may lose no more: nobody should pull them."""
    arms = table.live_arms()
    full = np.asarray(table.sizes) <= min_neurons
    return arms[full[table.layer(arms)]]


def _thin(walk: Walk, budget: Budget) -> None:
    """Keep the first and the last network, and those that cross an eleventh of the way.

    States stay with the networks, and with the last step but one: a budget may have cut the
    last round short, and a longer path then starts before it.
    """
    if len(walk.steps) < 3:
        return
    before, middle = walk.steps[-3], walk.steps[-2]
    if before.chain is None:
        before.state = None
    parts = MAX_KEPT - 1
    then, now = (parts * budget.gone(s.sizes) // max(1, budget.target) for s in (before, middle))
    if now == then:
        middle.chain = middle.estimates = None
