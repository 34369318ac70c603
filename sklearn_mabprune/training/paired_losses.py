"""Validation losses of two trained nets, and by how much the difference is uncertain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.samples import Data
from ..data.splitting import units_of_samples
from ..utils.compat import uncompiled
from .conversion import samples_of
from .fine_tuning import validation_losses

# Standard errors of the difference by which a net has to be behind another one.
_MARGIN = 0.5


@dataclass(frozen=True)
class PairedLosses:
    """Validation losses of two nets, on the same samples.

    Parameters
    ----------
    default, tried : float
        Weighted mean losses.
    error : float
        Standard error of their difference, which is paired; NaN for one sample.  Copies of a
        sample, and the samples of a group, are one.
    """

    default: float
    tried: float
    error: float

    @property
    def pays(self) -> bool:
        """Whether the default is behind by more than half a standard error."""
        return self.default - self.tried > _MARGIN * self.error


def paired_losses(default: Any, tried: Any, validation: Data) -> PairedLosses:
    """Losses of two trained nets on validation samples.

    Parameters
    ----------
    default, tried : skorch net
    validation : Data

    Returns
    -------
    PairedLosses
    """
    first, second = (
        validation_losses(uncompiled(net.module_), samples_of(net, validation))
        for net in (default, tried)
    )
    weights = samples_of(default, validation).weights
    weights = weights / weights.sum()
    apart, whole = first - second, weights
    units = torch.as_tensor(_units(validation), device=apart.device)
    if int(units.max()) + 1 < len(units):
        apart, weights = (
            torch.zeros_like(apart).index_add_(0, units, each) for each in (weights * apart, whole)
        )
        apart, weights = (each[weights > 0] for each in (apart / weights, weights))
    # The standard error of a weighted mean; with equal weights the usual one.
    spread = float(weights.square() @ (apart - apart @ weights).square())
    left = 1 - float(weights.square().sum())
    error = math.sqrt(spread / left) if len(apart) > 1 else math.nan
    return PairedLosses(float(first @ whole), float(second @ whole), error)


def _units(validation: Data) -> NDArray[np.intp]:
    """The group of each sample, or the samples of which it is a copy."""
    if validation.groups is None:
        return units_of_samples(validation.x, validation.y)
    return np.unique(validation.groups, return_inverse=True)[1]
