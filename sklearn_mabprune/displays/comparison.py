"""Pruning paths of several estimators in one plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .base import (
    COLOURS,
    LINES,
    LOSS_LABEL,
    MARKERS,
    SIZES,
    check_choice,
    chosen_step,
    grid_of_axes,
    pruned,
    pyplot,
)

# Measures of the cost of pruning, accumulated over rounds: name -> (attribute of the pruning
# path, axis label).
_COSTS = {
    "pulls": ("n_pulls", "cumulative pulls"),
    "evaluations": ("n_evaluations", "cumulative (neuron, sample) pairs evaluated"),
    "seconds": ("seconds", "cumulative pruning time (s)"),
}


class PolicyComparisonDisplay:
    """Pruning paths of several fitted estimators in one plot.

    Create it with :meth:`from_estimators`.  A large marker is the score of the network that an
    estimator delivers, after fine-tuning if there was any.

    Parameters
    ----------
    xs : list of array-like of shape (n_steps,)
        Sizes of the network, or cumulative costs, after each round; one array per estimator.
    responses : list of array-like of shape (n_steps,)
        Scores or losses before fine-tuning; one array per estimator.
    chosen : list of int
        Index of the step whose network each estimator delivers.
    delivered : list of float or None
        Score of the network that each estimator delivers; None if the response is a loss.
    labels : list of str
        Names of the estimators, for the legend.
    x_name, response_name : str
        Axis labels.
    shrinking : bool
        Whether x decreases along the path, as sizes do; the x-axis is then inverted.

    Attributes
    ----------
    ax_ : Axes
        The Axes of the plot.
    figure_ : Figure
        The figure that contains it.
    lines_ : list of Line2D
        One line per estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
    >>> from sklearn_mabprune.displays import PolicyComparisonDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPNetClassifier(module__hidden_layer_sizes=(8,), max_epochs=5)
    >>> models = [
    ...     MABPrunedClassifier(net, policy=policy, tolerance=1, random_state=0).fit(X, y)
    ...     for policy in ("ucb1", "random")
    ... ]
    >>> PolicyComparisonDisplay.from_estimators(models).labels
    ['UCB1', 'Random']
    """

    def __init__(
        self,
        *,
        xs: Sequence[ArrayLike],
        responses: Sequence[ArrayLike],
        chosen: Sequence[int],
        delivered: Sequence[float] | None,
        labels: Sequence[str],
        x_name: str = "hidden neurons",
        response_name: str = "score",
        shrinking: bool = True,
    ):
        self.xs = [np.asarray(values) for values in xs]
        self.responses = [np.asarray(values, dtype=float) for values in responses]
        self.chosen = list(chosen)
        self.delivered = None if delivered is None else list(delivered)
        self.labels = list(labels)
        self.x_name = x_name
        self.response_name = response_name
        self.shrinking = shrinking

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any] | Sequence[Any],
        *,
        x: str = "neurons",
        response: str = "score",
        ax: Any = None,
    ) -> PolicyComparisonDisplay:
        """Draw the pruning paths of fitted estimators.

        Parameters
        ----------
        estimators : dict of str to estimator, or sequence of estimators
            Fitted pruned estimators, pipelines that end in one, or searches over one.  The
            keys of a dict are the labels; in a sequence, the names of the policies are.
        x : {"neurons", "parameters", "macs", "pulls", "evaluations", "seconds"}, \
                default="neurons"
            Size of the network (hidden neurons, parameters, MACs per sample), or cumulative
            cost of pruning: pulls, (neuron, sample) pairs evaluated in pulls, seconds.
        response : {"score", "loss"}, default="score"
            Validation score, or mean loss on the pruning samples; both before fine-tuning.
        ax : Axes, optional
            Axes to draw into; None creates a figure.

        Returns
        -------
        PolicyComparisonDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If one of the estimators has no fitted pruning path.
        ValueError
            If `estimators` is empty, if the estimators have different validation scores, or if
            `x` or `response` is not one of its choices.
        """
        pyplot(f"{cls.__name__}.from_estimators")
        check_choice("x", x, (*SIZES, *_COSTS))
        check_choice("response", response, ("score", "loss"))
        named = isinstance(estimators, Mapping)
        models = [pruned(each) for each in (estimators.values() if named else estimators)]  # type: ignore[union-attr]
        if not models:
            raise ValueError("estimators is empty: pass at least one fitted estimator.")
        scores = sorted({model.pruning_report_.score_name for model in models})
        if response == "score" and len(scores) > 1:
            raise ValueError(
                f"The estimators have different validation scores ({', '.join(scores)}), which "
                "cannot share an axis. Pass estimators with the same score, or response='loss'."
            )
        attribute, x_name = (SIZES | _COSTS)[x]
        xs = [getattr(model.pruning_path_, attribute) for model in models]
        display = cls(
            xs=[np.cumsum(each) if x in _COSTS else each for each in xs],
            responses=[getattr(model.pruning_path_, response) for model in models],
            chosen=[chosen_step(model) for model in models],
            delivered=(
                [model.pruning_report_.after.score for model in models]
                if response == "score"
                else None
            ),
            labels=list(estimators) if named else _policy_names(models),
            x_name=x_name,
            response_name=f"validation {scores[0]}" if response == "score" else LOSS_LABEL,
            shrinking=x in SIZES,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> PolicyComparisonDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : Axes, optional
            Axes to draw into; None creates a figure.

        Returns
        -------
        PolicyComparisonDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is an array of more than one Axes.
        """
        self.figure_, axes = grid_of_axes(ax, (1, 1), f"{type(self).__name__}.plot", (8.0, 4.5))
        self.ax_ = axes[0, 0]
        self.lines_ = []
        for k, (x, values) in enumerate(zip(self.xs, self.responses, strict=True)):
            style = {"color": COLOURS[k % len(COLOURS)]}
            marker = MARKERS[k % len(MARKERS)]
            self.lines_ += self.ax_.plot(
                x,
                values,
                drawstyle="steps-post",
                linestyle=LINES[k % len(LINES)],
                marker=marker,
                markersize=4,
                markevery=(len(x) // 20 * k // len(self.xs), max(1, len(x) // 8)),
                label=self.labels[k],
                **style,
            )
            if self.delivered is not None:
                self.ax_.plot(
                    x[self.chosen[k]],
                    self.delivered[k],
                    linestyle="",
                    marker=marker,
                    markersize=9,
                    markeredgecolor="black",
                    **style,
                )
        self.ax_.set(xlabel=self.x_name, ylabel=self.response_name)
        if self.shrinking and not self.ax_.xaxis_inverted():
            self.ax_.invert_xaxis()
        ends = [float(x[-1]) for x in self.xs if not self.shrinking and x[-1] > 0]
        if ends and max(ends) > 5 * min(ends):
            # On a linear axis the cheap policies would all lie on the left edge.
            self.ax_.set_xscale("symlog", linthresh=10 ** np.floor(np.log10(min(ends) / 10)))
        note = None if self.delivered is None else "large marker: delivered"
        self.ax_.legend(loc="best", fontsize="small", title=note, title_fontsize="small")
        return self


def _policy_names(models: Sequence[Any]) -> list[str]:
    """Class names of the models' policies, numbered where the same name occurs repeatedly."""
    names = [type(model.policy_).__name__ for model in models]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: k + 1].count(name)})"
        for k, name in enumerate(names)
    ]
