"""The rule of each operator; one that is in no file pins what enters it."""

from __future__ import annotations

from typing import Any

from . import movement, norms, pointwise, reductions, weighted
from .step import RULES, Step

#: Files with rules, in the order in which docs list them.
FILES = (weighted, pointwise, movement, reductions, norms)


def labelled(step: Step) -> Any:
    """The label of what an operation returns."""
    known = RULES.get(step.operation.packet)
    if known is not None:
        return known(step)
    if pointwise.is_pointwise(step):
        return pointwise.pointwise(step)
    return step.pin_all(f"{step.what} is not known to keep units apart")
