"""The mean over those members of an ensemble that stay."""

from __future__ import annotations

from torch import Tensor


def member_mean(value: Tensor, kept: Tensor, dim: int, keepdim: bool) -> Tensor:
    """The mean along a dimension over the members that are kept, with weights of 1 or 0."""
    shape = [1] * value.dim()
    shape[dim] = len(kept)
    return (value * kept.view(shape)).sum(dim, keepdim=keepdim) / kept.sum()
