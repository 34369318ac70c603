"""The estimator inside a search over budgets: a copy, or a message that says what to pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet

from ..utils.randomness import draw_seeds
from .base import BaseMABPruned


def copy_of(given: Any, wanted: type[BaseMABPruned], search: Any, random_state: Any) -> Any:
    """A clone of the estimator that a search was given, or of the default one.

    Parameters
    ----------
    given : estimator or None
    wanted : type
        The class that it must be of.
    search : estimator
        The search itself, for the message.
    random_state : int, RandomState or None
        Takes the place of the estimator's own unless None.

    Returns
    -------
    estimator
        With ``pruning_budget=0``.

    Raises
    ------
    TypeError
        If the estimator is not of the class.
    """
    given = wanted() if given is None else given
    if not isinstance(given, wanted):
        raise TypeError(
            f"estimator must be a {wanted.__name__} or None, got {_called(given)}. "
            f"{_what_to_pass(given, wanted.__name__, type(search).__name__)}"
        )
    model: Any = clone(given).set_params(pruning_budget=0)
    state = given.random_state if random_state is None else random_state
    # A clone would always start from the same state, but a second fit must differ.
    is_state = isinstance(state, np.random.RandomState)
    return model.set_params(random_state=draw_seeds(state, 1)[0] if is_state else state)


def _what_to_pass(given: Any, wanted: str, search: str) -> str:
    """The part of the error message that says what to pass instead."""
    if isinstance(given, type):
        return f"Pass an object: {search}({wanted}(...))."
    if isinstance(given, (FrozenEstimator, NeuralNet)):
        frozen = isinstance(given, FrozenEstimator)
        return f"Wrap it: {wanted}({'FrozenEstimator(net)' if frozen else 'net'})."
    if isinstance(given, BaseMABPruned):
        return f"Use {type(given).__name__}CV."
    return f"Pass a {wanted}; steps before it belong in a pipeline around this estimator."


def _called(given: Any) -> str:
    """Name of an object's class, or of a class, for error messages."""
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
