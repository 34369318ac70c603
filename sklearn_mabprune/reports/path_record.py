"""The path of a fit as arrays, from the unpruned network to the smallest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import NotKeptError
from ..graph.compact import to_arrays
from ..pruning.path import Step
from ..pruning.replay import Resume
from ..utils.optional import frames
from ..utils.words import counted

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(repr=False)
class PruningPath:
    """The whole path from the unpruned network, entry 0, to the smallest.

    A pickle or a file has its outline alone unless the estimator has ``keep_path="always"``:
    `n_neurons`, `n_parameters`, `n_macs`, `layer_sizes` and `removed`.  Of a path that was loaded
    from one, the other attributes raise a :class:`NotKeptError`.

    Attributes
    ----------
    n_neurons, n_parameters, n_macs : ndarray of int, shape (n_steps,)
        Hidden neurons, parameters and MACs per sample.
    layer_sizes : list of tuple of int
        Neurons of each hidden layer.
    loss : ndarray of float, shape (n_steps,)
        Mean loss on the pruning samples (training samples), before fine-tuning.
    score : ndarray of float, shape (n_steps,)
        Validation score before fine-tuning.
    score_fine_tuned : ndarray of float, shape (n_steps,)
        Validation score after fine-tuning; NaN for steps that were not fine-tuned.
    n_pulls, n_evaluations, n_backward : ndarray of int, shape (n_steps,)
        Pulls, (neuron, sample) pairs evaluated in them, and samples times backward passes of
        estimates, in the round that led to this step.
    seconds : ndarray of float, shape (n_steps,)
        Duration of that round.
    removed : list of ndarray of int
        Arms removed in that round, safest first: neurons of the original network, numbered
        through its hidden layers.
    loss_increase : list of ndarray of float
        Estimated loss increase of each removed neuron; empty for criteria.
    standard_error : list of ndarray of float
        Standard errors of these estimates, from the variance of the pulls: 0 for neurons
        measured on all samples, NaN where unknown.
    reward_scale : ndarray of float, shape (n_steps, 2)
        Loss increases that correspond to a reward of 1 and of 0; NaN for criteria.
    confidence : ndarray of float, shape (n_steps,)
        Fraction of a round's removals that the policy expects to agree with measuring every
        neuron on all pruning samples; NaN for policies that do not estimate it.
    networks : dict of int to dict
        The networks that were kept, by step: layers, dtype, and weights as NumPy arrays.  Empty
        with ``keep_path="never"``.
    pulls_by_arm : ndarray of unsigned int, shape (n_steps, n_original_neurons)
        Pulls of each neuron of the original network in the round that led to this step.
    estimates : dict of int to ndarray of float32, shape (2, n_original_neurons)
        For the steps whose networks are kept (with ``keep_path="never"`` too): the estimated
        loss increase of every neuron that could have been removed in the round that led to
        this step, and its standard error.  NaN for neurons that had been removed before.  Empty
        for criteria.  After ``at_budget``, of the replayed rounds only those that both paths keep.
    resume : Resume or None
        State from which ``at_budget`` continues this path; None with ``keep_path="never"``, and
        in a path that was loaded from a file of ``save``.
    """

    n_neurons: Ints
    n_parameters: Ints
    n_macs: Ints
    layer_sizes: list[tuple[int, ...]]
    loss: Floats
    score: Floats
    score_fine_tuned: Floats
    n_pulls: Ints
    n_evaluations: Ints
    n_backward: Ints
    seconds: Floats
    removed: list[Ints]
    loss_increase: list[Floats]
    reward_scale: Floats
    confidence: Floats
    networks: dict[int, dict[str, Any]] = field(default_factory=dict)
    standard_error: list[Floats] = field(default_factory=list)
    pulls_by_arm: NDArray[np.unsignedinteger] = field(
        default_factory=lambda: np.empty((0, 0), dtype=np.uint8)
    )
    estimates: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    # Not a default, which the class would have where a path has none.
    resume: Resume | None = field(default_factory=lambda: None)

    @classmethod
    def of(cls, steps: list[Step], fine_tuned: dict[int, float], keep: bool) -> PruningPath:
        """Arrays of a walk's steps."""

        def column(name: str, kind: Any) -> Any:
            return np.array([getattr(step, name) for step in steps], dtype=kind)

        tuned = np.full(len(steps), np.nan)
        for step, score in fine_tuned.items():
            tuned[step] = score
        return cls(
            n_neurons=np.array([sum(step.sizes) for step in steps], dtype=np.intp),
            n_parameters=column("n_parameters", np.intp),
            n_macs=column("n_macs", np.intp),
            layer_sizes=[step.sizes for step in steps],
            loss=column("loss", float),
            score=column("score", float),
            score_fine_tuned=tuned,
            n_pulls=column("n_pulls", np.intp),
            n_evaluations=column("n_evaluations", np.intp),
            n_backward=column("n_backward", np.intp),
            seconds=column("seconds", float),
            removed=[step.removed for step in steps],
            loss_increase=[step.loss_increase for step in steps],
            standard_error=[step.standard_error for step in steps],
            reward_scale=column("reward_scale", float),
            confidence=column("confidence", float),
            networks={
                number: to_arrays(step.graph)
                for number, step in enumerate(steps)
                if keep and step.graph is not None
            },
            pulls_by_arm=_pulls_by_arm(steps),
            estimates={
                number: step.estimates
                for number, step in enumerate(steps)
                if step.estimates is not None
            },
        )

    def __len__(self) -> int:
        return len(self.n_neurons)

    def __repr__(self) -> str:
        n = self.n_neurons
        return f"<{type(self).__name__} of {counted(len(self), 'step')}, {n[0]} to {n[-1]} neurons>"

    def __getattr__(self, name: str) -> Any:
        if name in self.__dataclass_fields__ and "n_neurons" in vars(self):
            raise NotKeptError.of(f"pruning_path_.{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def step_of(self, sizes: tuple[int, ...]) -> int:
        """The step whose network has so many neurons in each hidden layer."""
        return self.layer_sizes.index(sizes)

    def ranking(self, step: int) -> list[Ints]:
        """For each hidden layer 1 for neurons left at a step, 2 for those removed last, etc."""
        original = self.layer_sizes[0]
        ranking = np.ones(sum(original), dtype=np.intp)
        removed = [arm for arms in self.removed[: step + 1] for arm in arms]
        ranking[removed] = np.arange(len(removed) + 1, 1, -1)
        return np.split(ranking, np.cumsum(original)[:-1])

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each step and a column for each number of it.

        Returns
        -------
        pandas.DataFrame
            Index ``step``; columns are the attributes with one value per step, and
            ``layer_sizes``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = (
            "n_neurons", "n_parameters", "n_macs", "layer_sizes", "loss", "score",
            "score_fine_tuned", "n_pulls", "n_evaluations", "n_backward", "seconds",
        )  # fmt: skip
        frame = frames("PruningPath.to_frame").DataFrame({k: getattr(self, k) for k in columns})
        return frame.rename_axis("step")


def _pulls_by_arm(steps: list[Step]) -> NDArray[np.unsignedinteger]:
    """Pulls by step and arm, in the smallest unsigned type that holds them."""
    none = np.zeros(sum(steps[0].sizes), dtype=np.intp)
    rows = [none if step.pulls_by_arm is None else step.pulls_by_arm for step in steps]
    table = np.stack(rows)
    return table.astype(np.min_scalar_type(int(table.max())))
