"""Results that Ctrl-C has not cut short: benchmarks end where an estimator keeps what it has."""

from __future__ import annotations

from typing import Any

from sklearn_mabprune.pruning.path import Walk, pruning_path


def whole_path(*args: Any, **options: Any) -> Walk:
    """A pruning path to its end; Ctrl-C is raised, as a path cut short is no result."""
    walk = pruning_path(*args, **options)
    if walk.interrupted:
        raise KeyboardInterrupt
    return walk


def whole_fit(model: Any) -> Any:
    """A fitted estimator; Ctrl-C is raised if it has cut the fit short."""
    report = getattr(model, "pruning_report_", None)
    if report is not None and report.interrupted:
        raise KeyboardInterrupt
    return model
