"""What one path leaves for another: the rounds that both share are not pulled for twice.

A path does not depend on its budget, so a path to another budget has the same beginning.
A later walk makes the removals of that beginning again, surgery and statistics from the
unpruned network on, since a kept network alone does not have the statistics that were
down-dated on the way to it.  That takes no pulls.  Where a state was kept, next to a kept
network, the chooser goes on as if it had never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .schedules import Budget


@dataclass
class Resume:
    """What a path keeps for later walks, beside its networks.

    Parameters
    ----------
    seeds : tuple of int
        All seeds of the fit.
    options : PathOptions
        How the path was walked.
    chooser : Policy or Criterion
        Who chose: parameters only.
    n_epochs : int
        Epochs of the training.
    states : dict of int to dict
        What the chooser knew after some of the steps.
    spread : ndarray of shape (n_features,)
        Standard deviation of each feature over the training rows.
    """

    seeds: tuple[int, ...]
    options: Any
    chooser: Any
    n_epochs: int
    states: dict[int, dict[str, Any]]
    spread: NDArray[np.float64]

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
    """An earlier walk, as a later one reads it.

    Parameters
    ----------
    loss : float
        Of the unpruned network on the pruning rows: another one means other rows.
    sizes : list of tuple of int
        Neurons of each hidden layer after each step.
    removed : list of ndarray of int
        Arms that went in each round; entry 0 is empty.
    facts : list of dict
        What each round recorded, and its seconds.
    states : dict of int to dict
        As in :class:`Resume`.
    """

    loss: float
    sizes: list[tuple[int, ...]]
    removed: list[NDArray[np.intp]]
    facts: list[dict[str, Any]]
    states: dict[int, dict[str, Any]]


class Replay:
    """A chooser that knows the first rounds already.

    It goes on by itself from the last kept state before the budget is reached.  What a
    chooser is told of the budget, when that is less than a step, is no obstacle: such a path
    has a single round, and starts at the beginning.

    Parameters
    ----------
    choose : PolicyChooser or CriterionChooser
        Started, and still at the beginning.
    known : Known
    budget : Budget
        Of the new walk.

    Attributes
    ----------
    n_replayed : int
        Rounds that are known.
    """

    def __init__(self, choose: Any, known: Known, budget: Budget):
        self.choose, self.known = choose, known
        starts = [k for k in known.states if not budget.reached(known.sizes[k])]
        self.n_replayed = max(starts, default=0)
        self.n_walked = 0

    def state(self) -> Any:
        """What was known when a round begins, where that was kept."""
        if self.n_walked < self.n_replayed:
            return self.known.states.get(self.n_walked)
        if self.n_walked == self.n_replayed and self.n_walked:
            self.choose.restore(self.known.states[self.n_walked])
        return self.choose.state()

    def order(self, *args: Any) -> NDArray[np.intp]:
        """Arms, safest first: of a known round only those that went."""
        self.n_walked += 1
        if self.n_walked <= self.n_replayed:
            return self.known.removed[self.n_walked]
        return self.choose.order(*args)

    def record(self, arms: NDArray[np.intp]) -> dict[str, Any]:
        """What the round spent and thought."""
        if self.n_walked <= self.n_replayed:
            return self.known.facts[self.n_walked]
        return self.choose.record(arms)

    def gone(self, arms: NDArray[np.intp]) -> None:
        """A state that is restored knows of the arms before it."""
        if self.n_walked > self.n_replayed:
            self.choose.gone(arms)
