"""Round of removal, estimated loss increase and pulls of each hidden neuron."""

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

# Half length of the error bars, in standard errors.
_DEVIATIONS = 2.0

_X_LABELS = {"removal": "neuron, in order of removal", "index": "neuron, in original order"}


class NeuronMapDisplay:
    """Round of removal, estimated loss increase and pulls of each hidden neuron.

    Create it with :meth:`from_estimator`.  There is one row of plots per hidden layer: on the
    left the estimated loss increase from removing each neuron, on the right the pulls of each
    neuron, if there were any.  For criteria, which estimate no loss increase, the left plot
    shows the round of each removal instead.

    The estimate of a removed neuron is from the round that removed it, the estimate of a kept
    neuron from the last round before the estimator's network; estimates therefore refer to
    networks of different sizes.  Error bars extend two standard errors to either side.  The
    standard error is the standard deviation of the neuron's pulls divided by the square root
    of their effective number; the variance of a neuron with few pulls is shrunk towards that
    of the other neurons, and older rounds have lower weights.  The bars cover the sampling
    error of blocks of samples; they do not cover the bias of estimates that are older than the
    network, nor that of policies that stop pulling a neuron once its reward looks low.
    Filled markers without a bar are neurons measured on all pruning samples, whose value is
    exact.  Hollow markers are estimates with an unknown standard error: from backward passes
    alone (``control_variate``), without a pull in that round, or from a round that pulled no
    neuron twice.

    Parameters
    ----------
    removed_in : list of array-like of int, shape (n_neurons_of_layer,)
        Round in which each neuron was removed, counted from 1; 0 for kept neurons.  One array
        per hidden layer.
    ranking : list of array-like of int, shape (n_neurons_of_layer,)
        Rank of each neuron: 1 for kept neurons, 2 for those removed last, and so on.
    pulls : list of array-like of int, shape (n_neurons_of_layer,)
        Pulls of each neuron, summed over the rounds that led to the estimator's network.
    loss_increase : list of array-like of float, shape (n_neurons_of_layer,)
        Estimated loss increase from removing each neuron; NaN where there is no estimate.
    standard_error : list of array-like of float, shape (n_neurons_of_layer,)
        Standard errors of these estimates: 0 for exact values, NaN where unknown.
    names : list of str, optional
        Names of the hidden layers, or of the groups of a module that is no chain.

    Attributes
    ----------
    axes_ : ndarray of Axes, shape (n_layers, 2), or (n_layers, 1) without pulls
        The axes of loss increases and pulls, one row per hidden layer.
    figure_ : Figure
        The figure that contains them.

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
        names: Sequence[str] | None = None,
    ):
        self.removed_in = [np.asarray(layer) for layer in removed_in]
        self.ranking = [np.asarray(layer) for layer in ranking]
        self.pulls = [np.asarray(layer) for layer in pulls]
        self.loss_increase = [np.asarray(layer, dtype=float) for layer in loss_increase]
        self.standard_error = [np.asarray(layer, dtype=float) for layer in standard_error]
        self.names = names or [f"layer {k + 1}" for k in range(len(self.removed_in))]

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
            Order of the neurons on the x-axis; see :meth:`plot`.
        ax : Axes or array-like of Axes, optional
            Axes to draw into; see :meth:`plot`.

        Returns
        -------
        NeuronMapDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator has no fitted pruning path.
        ValueError
            If `order` is not one of its choices, or `ax` does not fit.
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
            names=model.pruning_report_.groups or None,
        )
        return display.plot(ax, order=order)

    def plot(self, ax: Any = None, *, order: str = "removal") -> NeuronMapDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : Axes or array-like of Axes, optional
            None creates a figure.  A single Axes is subdivided.  An array is used as given: two
            axes per hidden layer, for loss increases and pulls, or one without pulls.
        order : {"removal", "index"}, default="removal"
            Order of the neurons on the x-axis.  "removal": in the order of their removal,
            followed by the kept neurons in increasing order of loss increase.  "index": as
            numbered in the original network.

        Returns
        -------
        NeuronMapDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `order` is not one of its choices, or `ax` does not fit.
        """
        check_choice("order", order, tuple(_X_LABELS))
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
            positions = self._positions(number, order)
            self._draw_values(axes[0], number, positions, scale, estimated)
            if pulled:
                self._draw_pulls(axes[1], number, positions, scale)
                axes[1].yaxis.set_major_locator(plt.MaxNLocator(integer=True))
            axes[0].set_ylabel(self.names[number])
            for each in axes:
                each.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
                _mark_kept(each, self.removed_in[number], order)
        for each in self.axes_[-1]:
            each.set_xlabel(_X_LABELS[order])
        titles = [self._title() if estimated else "round of removal", "pulls"]
        for each, title in zip(self.axes_[0], titles, strict=False):
            each.set_title(title, loc="left", fontsize="small")
        if estimated:
            self._scale_loss_increases()
        if (pulled or estimated) and last:
            bar = self.figure_.colorbar(scale, ax=list(self.axes_.flat), label="removed in round")
            bar.locator = plt.MaxNLocator(integer=True, nbins=6)
            bar.update_ticks()
        return self

    def _positions(self, number: int, order: str) -> Ints:
        """Position of each neuron of a layer on the x-axis, counted from 1."""
        positions = np.empty(len(self.ranking[number]), dtype=np.intp)
        sequence = np.arange(len(positions))
        if order == "removal":
            sequence = np.lexsort((self.loss_increase[number], -self.ranking[number]))
        positions[sequence] = np.arange(1, len(positions) + 1)
        return positions

    def _title(self) -> str:
        """Title of the loss increases, with a note on hollow markers if there are any."""
        unknown = any(
            (np.isfinite(value) & np.isnan(error)).any()
            for value, error in zip(self.loss_increase, self.standard_error, strict=True)
        )
        return "loss increase ± 2 SE" + unknown * " (hollow: SE unknown)"

    def _draw_values(
        self, ax: Any, number: int, positions: Ints, scale: Any, estimated: bool
    ) -> None:
        """Draw loss increases with error bars, or rounds of removal if nothing was estimated."""
        rounds, error = self.removed_in[number], self.standard_error[number]
        removed = rounds > 0
        area = float(np.clip(3000.0 / len(positions), 4.0, 36.0))
        if not estimated:
            ax.scatter(
                positions[removed], rounds[removed], area, color=scale.to_rgba(rounds[removed])
            )
            return
        values = self.loss_increase[number]
        bars = _DEVIATIONS * np.nan_to_num(error)
        drawn = (bars > 0) & np.isfinite(values)
        ax.errorbar(
            positions[drawn],
            values[drawn],
            bars[drawn],
            fmt="none",
            ecolor="0.55",
            elinewidth=0.4 + area / 40,
        )
        ax.axhline(0.0, color="0.3", linewidth=0.8)
        edges = scale.to_rgba(rounds)
        # An unknown standard error must not look like that of an exact value.
        faces = np.where(np.isnan(error)[:, None], 1.0, edges)
        ax.scatter(
            positions[removed],
            values[removed],
            area,
            color=faces[removed],
            edgecolor=edges[removed],
            linewidth=area / 30,
            zorder=3,
        )
        kept = np.array(pyplot("").matplotlib.colors.to_rgba(COLOURS[1]))
        hollow = np.isnan(error[~removed])
        ax.scatter(
            positions[~removed],
            values[~removed],
            area,
            marker="D",
            color=np.where(hollow[:, None], 1.0, kept),
            edgecolor=[kept if each else (0.0, 0.0, 0.0, 1.0) for each in hollow],
            linewidth=np.where(hollow, area / 30, area / 60),
            zorder=3,
        )

    def _scale_loss_increases(self) -> None:
        """Set the limits of the y-axes, and a symlog scale if loss increases differ widely."""
        values = np.concatenate(self.loss_increase)
        bars = _DEVIATIONS * np.nan_to_num(np.concatenate(self.standard_error))
        magnitudes = np.abs(values[np.isfinite(values) & (values != 0)])
        if len(magnitudes) and magnitudes.max() > 30 * np.median(magnitudes):
            # A power of ten, so that no tick lies between it and 0.
            threshold = 10.0 ** np.ceil(np.log10(np.median(magnitudes)))
            for ax in self.axes_[:, 0]:
                ax.set_yscale("symlog", linthresh=threshold, linscale=1.5)
        # matplotlib's margins ignore the size of markers and the symlog scale.
        scale = self.axes_[0, 0].yaxis.get_transform()
        ends = scale.transform([min(0, np.nanmin(values - bars)), max(0, np.nanmax(values + bars))])
        margin = 0.08 * (np.ptp(ends) or 1.0)
        limits = scale.inverted().transform([ends[0] - margin, ends[1] + margin])
        for ax in self.axes_[:, 0]:
            ax.set_ylim(limits)

    def _draw_pulls(self, ax: Any, number: int, positions: Ints, scale: Any) -> None:
        """Draw the pulls of a layer as bars in the colours of the rounds of removal."""
        removed = self.removed_in[number] > 0
        colours = scale.to_rgba(self.removed_in[number])
        colours[~removed] = pyplot("").matplotlib.colors.to_rgba(COLOURS[1])
        width = 0.9 if len(positions) < 100 else 1.0
        ax.bar(positions, self.pulls[number], width=width, color=colours)


def _mark_kept(ax: Any, removed_in: Ints, order: str) -> None:
    """Write the number of kept neurons above the plot; by removal, draw a line before them."""
    n, n_removed = len(removed_in), int((removed_in > 0).sum())
    ax.set_xlim(0.5 - 0.01 * n, n + 0.5 + 0.01 * n)
    if n_removed == n:
        return
    if order == "removal":
        ax.axvline(n_removed + 0.5, color="0.3", linestyle=":", linewidth=1)
    ax.annotate(
        f"kept: {n - n_removed}",
        (1.0, 1.0),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize="small",
        color=COLOURS[1],
    )
