"""The rule of each operator; one that is in no file pins what enters it."""

from __future__ import annotations

from typing import Any

from . import movement, norms, pointwise, products, recurrent, reductions, weighted
from .counting import COUNTS
from .step import RULES, Step

#: Files with rules, in the order in which docs list them.
FILES = (weighted, recurrent, products, pointwise, movement, reductions, norms)


def labelled(step: Step) -> Any:
    """The label of what an operation returns; MACs that do not follow from a weight are counted."""
    n_known = len(step.found.positions)
    label = _label(step)
    count = COUNTS.get(step.operation.packet)
    if count is not None and len(step.found.positions) == n_known:
        step.note_macs(label, count(step) / step.found.n_samples)
    return label


def _label(step: Step) -> Any:
    known = RULES.get(step.operation.packet)
    if known is not None:
        return known(step)
    if pointwise.is_pointwise(step):
        return pointwise.pointwise(step)
    return step.pin_all(f"{step.what} is not known to keep units apart")
