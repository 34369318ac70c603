"""Heat map of the pulls of each neuron in each round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..utils.words import counted
from .base import COLOURS, chosen_step, grid_of_axes, pruned, pyplot, rounds_of_removal


class PullsDisplay:
    """Heat map of the pulls of each neuron in each round.

    Create it with :meth:`from_estimator`.  Each row of the heat map is a neuron, grouped by
    hidden layer and sorted by the round of its removal; each column is a round.  White cells:
    the neuron had been removed before.  A dotted line, "delivered", follows the last
    round that led to the estimator's network, if the path goes on after it.

    Parameters
    ----------
    pulls : array-like of int, shape (n_rounds, n_neurons)
        Pulls of each neuron of the original network in each round.
    removed_in : array-like of int, shape (n_neurons,)
        Round in which each neuron was removed, counted from 1; 0 for neurons that were kept.
    layer_sizes : sequence of int
        Number of neurons of each hidden layer of the original network.
    chosen : int
        Number of rounds that led to the estimator's network.

    Attributes
    ----------
    ax_ : Axes
        The Axes of the heat map.
    figure_ : Figure
        The figure that contains it.
    image_ : AxesImage
        The heat map.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
    >>> from sklearn_mabprune.displays import PullsDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPNetClassifier(module__hidden_layer_sizes=(8, 4), max_epochs=5)
    >>> model = MABPrunedClassifier(net, tolerance=1, random_state=0).fit(X, y)
    >>> display = PullsDisplay.from_estimator(model)
    >>> bool(display.pulls.sum() == model.n_pulls_)
    True
    """

    def __init__(
        self,
        *,
        pulls: ArrayLike,
        removed_in: ArrayLike,
        layer_sizes: Sequence[int],
        chosen: int,
    ):
        self.pulls = np.asarray(pulls)
        self.removed_in = np.asarray(removed_in)
        self.layer_sizes = tuple(layer_sizes)
        self.chosen = chosen

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, cumulative: bool = False, ax: Any = None
    ) -> PullsDisplay:
        """Draw the pulls of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted pruned estimator, a pipeline that ends in one, or a search over one.
        cumulative : bool, default=False
            Whether to draw cumulative pulls in place of the pulls of each round.
        ax : Axes, optional
            Axes to draw into; None creates a figure.

        Returns
        -------
        PullsDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator has no fitted pruning path.
        ValueError
            If there were no pulls: criteria rank neurons without pulls, and with
            ``pruning_budget=0`` there are no rounds.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        model = pruned(estimator)
        path = model.pruning_path_
        if not path.pulls_by_arm.any():
            raise ValueError(
                f"There are no pulls to draw (policy {type(model.policy_).__name__}, "
                f"{counted(len(path) - 1, 'round')}). NeuronMapDisplay shows when each neuron "
                "was removed."
            )
        display = cls(
            pulls=path.pulls_by_arm[1:],
            removed_in=rounds_of_removal(path.removed, path.pulls_by_arm.shape[1]),
            layer_sizes=path.layer_sizes[0],
            chosen=chosen_step(model),
        )
        return display.plot(ax, cumulative=cumulative)

    def plot(self, ax: Any = None, *, cumulative: bool = False) -> PullsDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : Axes, optional
            Axes to draw into; None creates a figure.
        cumulative : bool, default=False
            Whether to draw the cumulative pulls up to the end of each round in place of the
            pulls of each round.

        Returns
        -------
        PullsDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is an array of more than one Axes.
        """
        caller = f"{type(self).__name__}.plot"
        plt = pyplot(caller)
        self.figure_, axes = grid_of_axes(ax, (1, 1), caller, (8.0, 5.0))
        self.ax_ = axes[0, 0]
        n_rounds, n_neurons = self.pulls.shape
        last = np.where(self.removed_in > 0, self.removed_in, n_rounds + 1)
        layers = np.repeat(np.arange(len(self.layer_sizes)), self.layer_sizes)
        rows = np.lexsort((last, layers))
        values = np.cumsum(self.pulls, axis=0, dtype=np.intp) if cumulative else self.pulls
        removed = np.arange(1, n_rounds + 1)[:, None] > last
        shown = np.ma.masked_array(values, removed).T[rows]
        self.image_ = self.ax_.imshow(
            shown,
            aspect="auto",
            cmap="cividis",
            # Matplotlib would blur the ends of rounds where cells are few pixels high.
            interpolation="nearest",
            extent=(0.5, n_rounds + 0.5, n_neurons, 0),
            vmin=0,
        )
        ends = np.cumsum(self.layer_sizes)
        for end in ends[:-1]:
            self.ax_.axhline(end, color=COLOURS[1], linewidth=1.5)
        if self.chosen < n_rounds:
            self.ax_.axvline(self.chosen + 0.5, color=COLOURS[1], linestyle=":", linewidth=1.5)
            self.ax_.annotate(
                "delivered",
                (self.chosen + 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize="small",
                color=COLOURS[1],
            )
        self.ax_.set_yticks(
            ends - np.asarray(self.layer_sizes) / 2,
            [f"layer {k + 1} ({size})" for k, size in enumerate(self.layer_sizes)],
        )
        self.ax_.tick_params(axis="y", length=0)
        self.ax_.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
        self.ax_.set(xlabel="round", ylabel="hidden neurons, first removed on top")
        bar = self.figure_.colorbar(
            self.image_, ax=self.ax_, label="cumulative pulls" if cumulative else "pulls per round"
        )
        bar.locator = plt.MaxNLocator(integer=True)
        bar.update_ticks()
        return self
