"""Score and loss along one pruning path, against the size of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .base import (
    COLOURS,
    LOSS_LABEL,
    SIZES,
    check_choice,
    chosen_step,
    grid_of_axes,
    pruned,
    pyplot,
)


class PruningPathDisplay:
    """Score and loss along a pruning path, against the size of the network.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    size : array-like of shape (n_steps,)
        Size of the network after each round, the unpruned network first.
    score : array-like of shape (n_steps,)
        Validation score before fine-tuning.
    loss : array-like of shape (n_steps,)
        Mean loss on the pruning samples before fine-tuning.
    score_fine_tuned : array-like of shape (n_steps,)
        Validation score after fine-tuning; NaN for steps that were not fine-tuned.
    chosen : int
        Index of the step whose network is the estimator's.
    delivered_score : float
        Validation score of that network, after fine-tuning if there was any.
    size_name, score_name : str
        Names of size and score, for the axis labels.

    Attributes
    ----------
    axes_ : ndarray of Axes, shape (n_responses,)
        One Axes per response: score, loss.
    figure_ : Figure
        The figure that contains them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
    >>> from sklearn_mabprune.displays import PruningPathDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPNetClassifier(module__hidden_layer_sizes=(8,), max_epochs=5)
    >>> model = MABPrunedClassifier(net, tolerance=1, random_state=0).fit(X, y)
    >>> display = PruningPathDisplay.from_estimator(model)
    >>> [int(n) for n in display.size]
    [8, 7, 6, 5, 4]
    """

    def __init__(
        self,
        *,
        size: ArrayLike,
        score: ArrayLike,
        loss: ArrayLike,
        score_fine_tuned: ArrayLike,
        chosen: int,
        delivered_score: float,
        size_name: str = "hidden neurons",
        score_name: str = "score",
    ):
        self.size = np.asarray(size)
        self.score = np.asarray(score, dtype=float)
        self.loss = np.asarray(loss, dtype=float)
        self.score_fine_tuned = np.asarray(score_fine_tuned, dtype=float)
        self.chosen = chosen
        self.delivered_score = delivered_score
        self.size_name = size_name
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, x: str = "neurons", response: str = "both", ax: Any = None
    ) -> PruningPathDisplay:
        """Draw the pruning path of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted pruned estimator, a pipeline that ends in one, or a search over one.
        x : {"neurons", "parameters", "macs"}, default="neurons"
            Measure of the size: hidden neurons, parameters, or MACs per sample.
        response : {"both", "score", "loss"}, default="both"
            What to draw against the size.
        ax : Axes or array-like of Axes, optional
            Axes to draw into; see :meth:`plot`.

        Returns
        -------
        PruningPathDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator has no fitted pruning path.
        ValueError
            If `x` or `response` is not one of its choices, or `ax` does not fit.
        """
        pyplot(f"{cls.__name__}.from_estimator")
        check_choice("x", x, SIZES)
        model = pruned(estimator)
        path, report = model.pruning_path_, model.pruning_report_
        display = cls(
            size=getattr(path, SIZES[x][0]),
            score=path.score,
            loss=path.loss,
            score_fine_tuned=path.score_fine_tuned,
            chosen=chosen_step(model),
            delivered_score=report.after.score,
            size_name=SIZES[x][1],
            score_name=report.score_name,
        )
        return display.plot(ax, response=response)

    def plot(self, ax: Any = None, *, response: str = "both") -> PruningPathDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : Axes or array-like of Axes, optional
            None creates a figure.  With ``response="both"`` a single Axes is subdivided into
            two; with one response it is used as given.
        response : {"both", "score", "loss"}, default="both"
            What to draw against the size.

        Returns
        -------
        PruningPathDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `response` is not one of its choices, or `ax` does not fit.
        """
        check_choice("response", response, ("both", "score", "loss"))
        names = ("score", "loss") if response == "both" else (response,)
        self.figure_, axes = grid_of_axes(
            ax,
            (len(names), 1),
            f"{type(self).__name__}.plot",
            (7.0, 2.2 + 1.9 * len(names)),
            sharex=True,
        )
        self.axes_ = axes[:, 0]
        for name, one_ax in zip(names, self.axes_, strict=True):
            self._draw(one_ax, name)
        bottom = self.axes_[-1]
        bottom.set_xlabel(self.size_name)
        if not bottom.xaxis_inverted():
            bottom.invert_xaxis()  # pruning runs from left to right, from large to small
        return self

    def _draw(self, ax: Any, name: str) -> None:
        """Draw one response, "score" or "loss", into an Axes."""
        values = getattr(self, name)
        ax.axhline(values[0], color="0.45", linewidth=1, linestyle="--", label="unpruned")
        ax.axvline(self.size[self.chosen], color="0.45", linewidth=1, linestyle=":", label="chosen")
        ax.plot(
            self.size,
            values,
            color=COLOURS[0],
            drawstyle="steps-post",
            marker="." if len(values) < 60 else None,
            label="pruned, not fine-tuned",
        )
        if name == "loss":
            ax.set_ylabel(LOSS_LABEL)
            if 0 < 20 * values.min() < values.max():
                ax.set_yscale("log")
            return
        ax.set_ylabel(f"validation {self.score_name}")
        tuned = np.flatnonzero(np.isfinite(self.score_fine_tuned))
        others = tuned[tuned != self.chosen]
        if len(others):
            ax.plot(
                self.size[others],
                self.score_fine_tuned[others],
                linestyle="",
                marker="D",
                markerfacecolor="white",
                markeredgecolor=COLOURS[2],
                label="fine-tuned",
            )
        ax.plot(
            self.size[self.chosen],
            self.delivered_score,
            linestyle="",
            marker="o",
            markersize=9,
            markeredgecolor="black",
            color=COLOURS[1],
            label="delivered, fine-tuned" if self.chosen in tuned else "delivered",
        )
        ax.legend(loc="best", fontsize="small")
