"""Replaying the rounds that two paths have in common, without pulls.

A path does not depend on its budget, so a path to another budget begins with the same rounds.
A later walk repeats the removals of these rounds, surgery and statistics from the unpruned
network on, since a kept network alone does not have the statistics that were down-dated on the
way to it.  That takes no pulls.  From a state that was kept beside a kept network the ranker
continues as if it had never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .budget import Budget
from .rankers import Ranker, Round


@dataclass
class Resume:
    """State that a path keeps for later walks, beside its networks.

    Parameters
    ----------
    seeds : tuple of int
        All seeds of the fit.
    options : PathOptions
        Options of the path.
    chooser : Policy or Criterion
        Not started: its parameters only.
    n_epochs : int
        Epochs of the initial training.
    states : dict of int to dict
        States of the ranker after some of the steps.
    spread : ndarray of shape (n_features,)
        Standard deviation of each feature over the training samples.
    peers : list of dict
        Networks whose predictions are part of a teacher's labels, as arrays.
    """

    seeds: tuple[int, ...]
    options: Any
    chooser: Any
    n_epochs: int
    states: dict[int, dict[str, Any]]
    spread: NDArray[np.float64]
    peers: list[dict[str, Any]] = field(default_factory=list)

    def fits(self, options: Any, chooser: Any) -> bool:
        """Whether a walk with these options and this chooser has the same beginning."""
        mine, theirs = (each.get_params(deep=False) for each in (self.chooser, chooser))
        return (
            options == self.options
            and type(chooser) is type(self.chooser)
            and all(np.array_equal(mine[name], theirs[name]) for name in mine)
        )


@dataclass
class Known:
    """An earlier walk that a later one replays.

    Parameters
    ----------
    loss : float
        Loss of the unpruned network on the pruning samples: another one means other samples.
    sizes : list of tuple of int
        Neurons of each hidden layer after each step.
    removed : list of ndarray of int
        Arms that went in each round; entry 0 is empty.
    facts : list of dict
        The fields of a step that each round recorded, and its seconds.
    states : dict of int to dict
        As in :class:`Resume`.
    """

    loss: float
    sizes: list[tuple[int, ...]]
    removed: list[NDArray[np.intp]]
    facts: list[dict[str, Any]]
    states: dict[int, dict[str, Any]]


class Replay:
    """A ranker that knows the first rounds already.

    It goes on by itself from the last kept state before the budget is reached.  What a ranker is
    told of the budget, when that is less than a step, is no obstacle: such a path has a single
    round, and starts at the beginning.

    Parameters
    ----------
    ranker : Ranker
        Started, and still at the beginning.
    known : Known
    budget : Budget
        Of the new walk.

    Attributes
    ----------
    n_replayed : int
        Rounds that are known.
    """

    def __init__(self, ranker: Ranker, known: Known, budget: Budget):
        self.ranker, self.known = ranker, known
        starts = [k for k in known.states if not budget.reached(known.sizes[k])]
        self.n_replayed = max(starts, default=0)
        self.n_walked = 0
        if self.n_replayed:
            # Nobody asks the ranker for anything before that round.
            ranker.restore(known.states[self.n_replayed])

    @property
    def chooser(self) -> Any:
        """The policy or criterion as it is now."""
        return self.ranker.chooser

    def round_size(self, step: int) -> int:
        """As the ranker has it."""
        return self.ranker.round_size(step)

    def rank(self, here: Round) -> NDArray[np.intp]:
        """Arms, safest first: of a known round only those that went."""
        self.n_walked += 1
        if self.n_walked <= self.n_replayed:
            return self.known.removed[self.n_walked]
        return self.ranker.rank(here)

    def record(self, arms: NDArray[np.intp]) -> dict[str, Any]:
        """What the last round spent, and the estimates of the arms that go."""
        if self.n_walked <= self.n_replayed:
            return self.known.facts[self.n_walked]
        return self.ranker.record(arms)

    def removed(self, arms: NDArray[np.intp]) -> None:
        """A state that is restored knows of the arms before it."""
        if self.n_walked > self.n_replayed:
            self.ranker.removed(arms)

    def state(self) -> Any:
        """What was known when a round begins, where that was kept."""
        if self.n_walked < self.n_replayed:
            return self.known.states.get(self.n_walked)
        return self.ranker.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state, without the known rounds."""
        self.ranker.restore(state)
