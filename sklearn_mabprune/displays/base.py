"""Helpers shared by all displays: lazy import of matplotlib, styles, axes, fitted results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from ..utils.optional import require

Ints = NDArray[np.intp]

#: The Okabe-Ito palette, safe for colour-blind readers, without its yellow, which is too light
#: for lines on a white background.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Line styles and markers vary together with the colours, so that greyscale prints stay readable.
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")

#: Measures of the size of a network: name -> (attribute of the pruning path, axis label).
SIZES = {
    "neurons": ("n_neurons", "hidden neurons"),
    "parameters": ("n_parameters", "parameters"),
    "macs": ("n_macs", "MACs per sample"),
}

LOSS_LABEL = "mean loss on pruning samples"


def pyplot(caller: str) -> Any:
    """Import and return ``matplotlib.pyplot``.

    Parameters
    ----------
    caller : str
        Name of the calling method, for the error message.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to install it.
    """
    return require("matplotlib.pyplot", "plot", caller)


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raise ValueError if the value of an option is not one of its choices."""
    if value not in tuple(choices):
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, choices))}.")


def pruned(estimator: Any) -> Any:
    """The fitted pruned estimator, also of a pipeline that ends in one or a search over one.

    Raises
    ------
    NotFittedError
        If no fitted pruned estimator is found.
    """
    found = estimator
    while not hasattr(found, "pruning_path_"):
        if hasattr(found, "best_estimator_"):
            found = found.best_estimator_
        elif hasattr(found, "steps"):
            found = found.steps[-1][1]
        else:
            raise NotFittedError(
                f"{type(found).__name__} has no pruning path: pass a fitted pruned estimator, a "
                "pipeline that ends in one, or a search over one that was fitted with refit=True."
            )
    return found


def chosen_step(estimator: Any) -> int:
    """Index of the step of the pruning path whose network is the fitted estimator's."""
    # Every round removes neurons, so the number of neurons identifies the step.
    n_neurons = sum(estimator.hidden_layer_sizes_)
    return int(np.flatnonzero(estimator.pruning_path_.n_neurons == n_neurons)[0])


def rounds_of_removal(removed: Sequence[Ints], n_neurons: int) -> Ints:
    """Round in which each neuron was removed, (n_neurons,); 0 for neurons that were kept."""
    rounds = np.zeros(n_neurons, dtype=np.intp)
    for number, arms in enumerate(removed):
        rounds[arms] = number
    return rounds


def grid_of_axes(
    ax: Any, shape: tuple[int, int], caller: str, figsize: tuple[float, float], **options: Any
) -> tuple[Any, NDArray[Any]]:
    """A figure and a grid of axes in it.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of Axes, or None
        None creates a figure.  A single Axes is subdivided into the grid.  An array of Axes is
        used as given, in row-major order.
    shape : tuple of int
        Number of rows and columns of the grid.
    caller : str
        Name of the calling method, for error messages.
    figsize : tuple of float
        Size of a new figure, in inches.
    **options
        Passed to ``subplots``.

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes of the given shape

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the number of axes does not match the shape, or a single Axes cannot be subdivided.
    """
    plt = pyplot(caller)
    if ax is None:
        return plt.subplots(*shape, figsize=figsize, squeeze=False, layout="constrained", **options)
    if isinstance(ax, plt.Axes):
        if shape == (1, 1):
            return ax.figure, np.array([[ax]])
        figure, spec = ax.figure, ax.get_subplotspec()
        if spec is None:
            raise ValueError(
                f"ax of {caller} was not created by subplots, so it cannot be subdivided: pass an "
                f"array of {shape[0]} x {shape[1]} axes instead."
            )
        ratios = {k: options.pop(k) for k in ("width_ratios", "height_ratios") if k in options}
        ax.set_axis_off()
        return figure, spec.subgridspec(*shape, **ratios).subplots(squeeze=False, **options)
    given = np.asarray(ax, dtype=object)
    if given.size != np.prod(shape):
        raise ValueError(
            f"ax has {given.size} axes, but {caller} needs {shape[0]} x {shape[1]}: pass as many, "
            "a single Axes, or None."
        )
    return given.flat[0].figure, given.reshape(shape)
