"""What became of every neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import (
    COLOURS,
    check_choice,
    chosen_step,
    grid_of_axes,
    pruned,
    pyplot,
    rounds_of_removal,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

# Bars reach so many standard errors from the estimate.
_DEVIATIONS = 2.0


class NeuronMapDisplay:
    """Every hidden neuron: kept or removed in which round, its pulls, its loss increase.

    Use :meth:`from_estimator` to make one.  Each hidden layer has a row: on the left the
    estimated loss increase from removing each neuron, on the right its pulls, if there were
    any.  Where nothing was estimated (criteria), the round of each removal is drawn.

    The estimate of a removed neuron is that of the round that removed it, the estimate of a
    kept one that of the last round before the delivered network; so they are about networks
    of different sizes.  Bars are two standard errors long on either side: the spread of a
    neuron's pulls over the root of their effective number, where a neuron with few pulls
    takes part of its spread from the others, and older rounds count less.  They hold nearly
    all of what blocks of rows differ by; they do not hold what is due to estimates that are
    older than the network, or to policies that stop pulling a neuron when it looks bad.
    Filled markers without a bar are neurons measured on all pruning rows: for those the value
    is exact.  Hollow markers are estimates whose error is not known: from backward passes
    alone (``control_variate``), without a pull in that round, or from the pulls of a round
    that pulled no neuron twice.

    Parameters
    ----------
    removed_in : list of array-like of int, shape (n_neurons_of_layer,)
        For each hidden layer, the round in which each neuron went, from 1; 0 for kept ones.
    ranking : list of array-like of int, shape (n_neurons_of_layer,)
        1 for kept neurons, 2 for those removed last, and so on.
    pulls : list of array-like of int, shape (n_neurons_of_layer,)
        Pulls of each neuron until the delivered network.
    loss_increase : list of array-like of float, shape (n_neurons_of_layer,)
        Estimated loss increase from removing each neuron; NaN where there is none.
    standard_error : list of array-like of float, shape (n_neurons_of_layer,)
        Of these estimates: 0 where they are exact, NaN where it is not known.

    Attributes
    ----------
    axes_ : ndarray of Axes, shape (n_layers, 2), or (n_layers, 1) for criteria
    figure_ : Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
    >>> from sklearn_mabprune.displays import NeuronMapDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPNetClassifier(module__hidden_layer_sizes=(8, 4), max_epochs=5)
    >>> model = MABPrunedClassifier(net, tolerance=1, random_state=0).fit(X, y)
    >>> display = NeuronMapDisplay.from_estimator(model)
    >>> [len(layer) for layer in display.removed_in], display.axes_.shape
    ([8, 4], (2, 2))
    """

    def __init__(
        self,
        *,
        removed_in: Sequence[ArrayLike],
        ranking: Sequence[ArrayLike],
        pulls: Sequence[ArrayLike],
        loss_increase: Sequence[ArrayLike],
        standard_error: Sequence[ArrayLike],
    ):
        self.removed_in = [np.asarray(layer) for layer in removed_in]
        self.ranking = [np.asarray(layer) for layer in ranking]
        self.pulls = [np.asarray(layer) for layer in pulls]
        self.loss_increase = [np.asarray(layer, dtype=float) for layer in loss_increase]
        self.standard_error = [np.asarray(layer, dtype=float) for layer in standard_error]

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, order: str = "removal", ax: Any = None
    ) -> NeuronMapDisplay:
        """Draw the neurons of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted pruned estimator, a pipeline that ends in one, or a search over one.
        order : {"removal", "index"}, default="removal"
            See :meth:`plot`.
        ax : Axes or array-like of Axes, optional
            See :meth:`plot`.

        Returns
        -------
        NeuronMapDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If there is no fitted pruning path.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        model = pruned(estimator)
        path, chosen = model.pruning_path_, chosen_step(model)
        bounds = np.cumsum(path.layer_sizes[0])[:-1]
        estimates = np.full((2, sum(path.layer_sizes[0])), np.nan)
        if chosen in path.estimates:
            estimates = path.estimates[chosen].astype(float)
        for step in range(1, chosen + 1):
            if len(path.loss_increase[step]):
                arms = path.removed[step]
                estimates[:, arms] = path.loss_increase[step], path.standard_error[step]
        parts = (
            rounds_of_removal(path.removed[: chosen + 1], estimates.shape[1]),
            path.pulls_by_arm[: chosen + 1].sum(axis=0, dtype=np.intp),
            *estimates,
        )
        removed_in, pulls, increase, error = (np.split(part, bounds) for part in parts)
        display = cls(
            removed_in=removed_in,
            ranking=model.neuron_ranking_,
            pulls=pulls,
            loss_increase=increase,
            standard_error=error,
        )
        return display.plot(ax, order=order)

    def plot(self, ax: Any = None, *, order: str = "removal") -> NeuronMapDisplay:
        """Draw it.

        Parameters
        ----------
        ax : Axes or array-like of Axes, optional
            None makes a figure.  A single Axes is divided; several are used as they are:
            for each hidden layer one for the loss increase and one for the pulls, or one in
            all where nothing was pulled.
        order : {"removal", "index"}, default="removal"
            Neurons in the order in which they went, the kept ones last and among each other
            by loss increase; or as they are numbered in the original network.

        Returns
        -------
        NeuronMapDisplay
            Itself.
        """
        check_choice("order", order, ("removal", "index"))
        caller = f"{type(self).__name__}.plot"
        plt = pyplot(caller)
        pulled = any(layer.any() for layer in self.pulls)
        estimated = any(np.isfinite(layer).any() for layer in self.loss_increase)
        n_layers = len(self.removed_in)
        self.figure_, self.axes_ = grid_of_axes(
            ax, (n_layers, 1 + pulled), caller, (10.0, 1.2 + 1.9 * n_layers), sharey="col"
        )
        last = max(int(layer.max()) for layer in self.removed_in)
        colours = plt.matplotlib.colors.LinearSegmentedColormap.from_list(
            "rounds", plt.colormaps["cividis"](np.linspace(0.0, 0.9, 64))
        )
        scale = plt.matplotlib.cm.ScalarMappable(plt.Normalize(1, max(2, last)), colours)
        for number, axes in enumerate(self.axes_):
            places = self._places(number, order)
            self._draw_values(axes[0], number, places, scale, estimated)
            if pulled:
                self._draw_pulls(axes[1], number, places, scale)
                axes[1].yaxis.set_major_locator(plt.MaxNLocator(integer=True))
            axes[0].set_ylabel(f"layer {number + 1}")
            for one in axes:
                one.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
                _mark_kept(one, self.removed_in[number], order)
        for one in self.axes_[-1]:
            one.set_xlabel(f"neurons by {order}")
        titles = [self._title() if estimated else "round", "pulls"]
        for one, title in zip(self.axes_[0], titles, strict=False):
            one.set_title(title, loc="left", fontsize="small")
        if estimated:
            self._stretch()
        if (pulled or estimated) and last:
            bar = self.figure_.colorbar(scale, ax=list(self.axes_.flat), label="removed in round")
            bar.locator = plt.MaxNLocator(integer=True, nbins=6)
            bar.update_ticks()
        return self

    def _places(self, number: int, order: str) -> Ints:
        """Place of each neuron of a layer on the axis, from 1."""
        places = np.empty(len(self.ranking[number]), dtype=np.intp)
        sequence = np.arange(len(places))
        if order == "removal":
            sequence = np.lexsort((self.loss_increase[number], -self.ranking[number]))
        places[sequence] = np.arange(1, len(places) + 1)
        return places

    def _title(self) -> str:
        """Of the loss increases; says what hollow markers are, where there are any."""
        guessed = any(
            (np.isfinite(value) & np.isnan(error)).any()
            for value, error in zip(self.loss_increase, self.standard_error, strict=True)
        )
        return "loss increase ± 2 SE" + guessed * " (hollow: estimate only)"

    def _draw_values(self, ax: Any, number: int, places: Ints, scale: Any, estimated: bool) -> None:
        """Loss increases with bars; the rounds of removal where nothing was estimated."""
        rounds, error = self.removed_in[number], self.standard_error[number]
        gone = rounds > 0
        area = float(np.clip(3000.0 / len(places), 4.0, 36.0))
        if not estimated:
            ax.scatter(places[gone], rounds[gone], area, color=scale.to_rgba(rounds[gone]))
            return
        values = self.loss_increase[number]
        bars = _DEVIATIONS * np.nan_to_num(error)
        drawn = (bars > 0) & np.isfinite(values)
        ax.errorbar(
            places[drawn],
            values[drawn],
            bars[drawn],
            fmt="none",
            ecolor="0.55",
            elinewidth=0.4 + area / 40,
        )
        ax.axhline(0.0, color="0.3", linewidth=0.8)
        edges = scale.to_rgba(rounds)
        # Nothing was measured that an error could come from: not to be taken for exact.
        faces = np.where(np.isnan(error)[:, None], 1.0, edges)
        ax.scatter(
            places[gone],
            values[gone],
            area,
            color=faces[gone],
            edgecolor=edges[gone],
            linewidth=area / 30,
            zorder=3,
        )
        kept = np.array(pyplot("").matplotlib.colors.to_rgba(COLOURS[1]))
        hollow = np.isnan(error[~gone])
        ax.scatter(
            places[~gone],
            values[~gone],
            area,
            marker="D",
            color=np.where(hollow[:, None], 1.0, kept),
            edgecolor=[kept if each else (0.0, 0.0, 0.0, 1.0) for each in hollow],
            linewidth=np.where(hollow, area / 30, area / 60),
            zorder=3,
        )

    def _stretch(self) -> None:
        """A scale on which safe neurons do not vanish beside important ones, with room around."""
        values = np.concatenate(self.loss_increase)
        bars = _DEVIATIONS * np.nan_to_num(np.concatenate(self.standard_error))
        sizes = np.abs(values[np.isfinite(values) & (values != 0)])
        if len(sizes) and sizes.max() > 30 * np.median(sizes):
            # A power of ten, so that no tick comes to lie between it and 0.
            straight = 10.0 ** np.ceil(np.log10(np.median(sizes)))
            for ax in self.axes_[:, 0]:
                ax.set_yscale("symlog", linthresh=straight, linscale=1.5)
        # matplotlib's own margins know the middle of a marker only, and no stretched scale.
        scale = self.axes_[0, 0].yaxis.get_transform()
        ends = scale.transform([min(0, np.nanmin(values - bars)), max(0, np.nanmax(values + bars))])
        room = 0.08 * (np.ptp(ends) or 1.0)
        limits = scale.inverted().transform([ends[0] - room, ends[1] + room])
        for ax in self.axes_[:, 0]:
            ax.set_ylim(limits)

    def _draw_pulls(self, ax: Any, number: int, places: Ints, scale: Any) -> None:
        gone = self.removed_in[number] > 0
        colours = scale.to_rgba(self.removed_in[number])
        colours[~gone] = pyplot("").matplotlib.colors.to_rgba(COLOURS[1])
        ax.bar(places, self.pulls[number], width=0.9 if len(places) < 100 else 1.0, color=colours)


def _mark_kept(ax: Any, removed_in: Ints, order: str) -> None:
    """A line before the kept neurons, and a word above them."""
    n, n_gone = len(removed_in), int((removed_in > 0).sum())
    ax.set_xlim(0.5 - 0.01 * n, n + 0.5 + 0.01 * n)
    if n_gone == n:
        return
    if order == "removal":
        ax.axvline(n_gone + 0.5, color="0.3", linestyle=":", linewidth=1)
    ax.annotate(
        f"kept: {n - n_gone}",
        (1.0, 1.0),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize="small",
        color=COLOURS[1],
    )
