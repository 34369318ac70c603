"""What all displays share: matplotlib when something is drawn, colours, fitted results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

Ints = NDArray[np.intp]

#: Okabe and Ito's colours, which colour-blind readers can tell apart; without the yellow,
#: which is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: Lines and markers go with the colours, for print in grey.
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")

#: What the size of a network may be measured in: attribute of the path, name of the axis.
SIZES = {
    "neurons": ("n_neurons", "hidden neurons"),
    "parameters": ("n_parameters", "parameters"),
    "macs": ("n_macs", "multiply-adds a row"),
}


def pyplot(caller: str) -> Any:
    """matplotlib.pyplot, imported now.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to install it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which is not installed: "
            'pip install "sklearn-mabprune[plot]"'
        ) from error
    return plt


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Refuse a value that is not one of the choices."""
    if value not in tuple(choices):
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, choices))}.")


def pruned(estimator: Any) -> Any:
    """The fitted pruned estimator itself, or inside a pipeline or a search.

    Raises
    ------
    NotFittedError
        If there is no fitted pruning path.
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
    """Which step of its path an estimator delivers: every step has fewer neurons."""
    left = sum(estimator.hidden_layer_sizes_)
    return int(np.flatnonzero(estimator.pruning_path_.n_neurons == left)[0])


def rounds_of_removal(removed: Sequence[Ints], n_neurons: int) -> Ints:
    """The round in which each neuron went; 0 for those that did not."""
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
        None makes a figure.  A single Axes is the space in which a grid is made; several
        are used as they are, in reading order.
    shape : tuple of int
        Rows and columns.
    caller : str
        For error messages.
    figsize : tuple of float
        Of a new figure, in inches.
    **options
        Passed to ``subplots``.

    Returns
    -------
    Figure, ndarray of Axes of that shape
    """
    plt = pyplot(caller)
    if ax is None:
        return plt.subplots(*shape, figsize=figsize, squeeze=False, layout="constrained", **options)
    if isinstance(ax, plt.Axes):
        if shape == (1, 1):
            return ax.figure, np.array([[ax]])
        figure, place = ax.figure, ax.get_subplotspec()
        if place is None:
            raise ValueError(f"ax of {caller} has no place in a grid: pass {shape} axes instead.")
        ratios = {k: options.pop(k) for k in ("width_ratios", "height_ratios") if k in options}
        ax.set_axis_off()
        return figure, place.subgridspec(*shape, **ratios).subplots(squeeze=False, **options)
    given = np.asarray(ax, dtype=object)
    if given.size != np.prod(shape):
        raise ValueError(f"ax has {given.size} axes, {caller} needs {shape[0]} x {shape[1]}.")
    return given.flat[0].figure, given.reshape(shape)
