"""Fitted attributes, set and deleted all at once: Ctrl-C finds all of them or none."""

from __future__ import annotations

from typing import Any


def fitted_attributes(estimator: Any) -> dict[str, Any]:
    """Fitted attributes of an estimator, by name."""
    return {name: value for name, value in vars(estimator).items() if _is_fitted(name)}


def forget(estimator: Any) -> None:
    """Delete all fitted attributes, in one assignment."""
    estimator.__dict__ = _parameters(estimator)


def unfitted(estimator: Any) -> Any:
    """A twin with the same parameters, on which a fit may set attributes one by one."""
    twin = object.__new__(type(estimator))
    vars(twin).update(_parameters(estimator))
    return twin


def _parameters(estimator: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(estimator).items() if not _is_fitted(name)}


def _is_fitted(name: str) -> bool:
    """Whether a name is that of a fitted attribute, by scikit-learn's convention."""
    return name.endswith("_") and not name.startswith("_")
