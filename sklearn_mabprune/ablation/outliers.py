"""Samples whose activations are so large that they alone would decide compensation and losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# How many times the median a sample's largest activation may be. In float32 squares of more would
# leave no digit of the others in a Gram matrix.
_RATIO = 1e4


def is_usual(activations: Any) -> Tensor:
    """Whether each sample's hidden activations are of the order of most samples'.

    One wrong cell, such as a mark 1e12 of a missing value in features that are not scaled, makes
    a sample's activations so large that means and Gram matrices describe this sample alone.

    Parameters
    ----------
    activations : Activations
        With ``magnitudes()`` and ``at(index)``.

    Returns
    -------
    Tensor of bool, shape (n_samples,)
        All True if most samples are alike in no group, as where most activations are 0.
    """
    usual = torch.ones(len(activations.samples), dtype=torch.bool)
    for largest in activations.magnitudes():
        limit = _RATIO * largest.median()
        if limit > 0:
            usual &= (largest <= limit).cpu()
    return usual


def without_outliers(activations: Any) -> Any:
    """On the samples alone whose activations are of the order of most samples'."""
    usual = is_usual(activations)
    if bool(usual.all()):
        return activations
    index = usual.nonzero()[:, 0].to(activations.samples.weights.device)
    return activations.at(index)
