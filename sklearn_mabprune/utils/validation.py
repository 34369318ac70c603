"""Validation of hyper-parameters against the constraints that a class declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .compat import validate_parameter_constraints


def check_parameters(owner: Any) -> None:
    """Refuse an object's hyper-parameters if they do not satisfy its declared constraints.

    Parameters
    ----------
    owner : object
        Its class attribute ``_parameter_constraints`` maps names of parameters to lists of
        constraints, as in scikit-learn's estimators.  Take :class:`~.compat.Interval` for
        numbers: it refuses booleans.

    Raises
    ------
    InvalidParameterError
        A ValueError and TypeError that names the parameter, the class, what is allowed and
        the value.

    Examples
    --------
    >>> from sklearn_mabprune.policies import EpsilonGreedy
    >>> from sklearn_mabprune.utils.validation import check_parameters
    >>> check_parameters(EpsilonGreedy(epsilon=0.5))
    >>> check_parameters(EpsilonGreedy(epsilon=True))
    Traceback (most recent call last):
        ...
    sklearn.utils._param_validation.InvalidParameterError: The 'epsilon' parameter of \
EpsilonGreedy must be a float in the range [0.0, 1.0]. Got True instead.
    """
    constraints = owner._parameter_constraints
    values = {name: getattr(owner, name) for name in constraints}
    check_values(type(owner).__name__, constraints, values)


def check_values(owner: str, constraints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse arguments of a class that does not keep them as attributes.

    Parameters
    ----------
    owner : str
        Name of the class, for the message.
    constraints : dict
        Lists of constraints by name, as for :func:`check_parameters`.
    values : dict
        Values by name.

    Raises
    ------
    InvalidParameterError
        As for :func:`check_parameters`.
    """
    validate_parameter_constraints(constraints, values, caller_name=owner)
