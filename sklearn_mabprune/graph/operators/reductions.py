"""Operators that combine elements along dimensions: what they combine is one unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..labels import NOTHING
from .pointwise import pointwise
from .step import Step, no_unit, rule


@rule(
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d",
    "upsample_bicubic2d", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
)  # fmt: skip
def over_positions(step: Step) -> Any:
    """Channels stay by themselves; their positions are mixed."""
    label = step.given(0)
    name = step.operation.packet
    n_dims = 1 if "1d" in name or "linear1d" in name else 3 if "3d" in name else 2
    n_dims = label.dim() - 2 if name == "grid_sampler" else n_dims
    dims = range(label.dim() - n_dims, label.dim())
    first = step.labels.merge(label, dims, f"{step.what} mixes them")
    return _like(step.result, lambda part: first.expand(part.shape))


@rule(
    "mean", "sum", "amax", "amin", "max", "min", "prod", "std", "var", "std_mean", "var_mean",
    "logsumexp", "norm", "linalg_vector_norm", "median", "nanmean", "nansum", "any", "all",
    "argmax", "argmin", "aminmax", "mode", "count_nonzero",
)  # fmt: skip
def reduced(step: Step) -> Any:
    """Elements along the reduced dimensions are mixed."""
    label = step.given(0)
    if step.operation.packet in ("max", "min") and len(step.all_given()) > 1:
        return pointwise(step)
    place, name = (2, "dim") if step.operation.packet in _AFTER_ORDER else (1, "dim")
    dims = step.argument(place, name)
    if isinstance(dims, bool) or dims is None or dims == []:
        dims = range(label.dim())
    dims = [dims] if isinstance(dims, int) else list(dims)
    first = step.labels.merge(label, dims, f"{step.what} mixes them")
    without = first
    for dim in sorted((dim % max(label.dim(), 1) for dim in dims), reverse=True):
        without = without.squeeze(dim)

    def shaped(part: Tensor) -> Tensor:
        return first if part.dim() == label.dim() else without

    return _like(step.result, shaped)


#: Reductions whose first argument besides the value is an order.
_AFTER_ORDER = ("norm", "linalg_vector_norm")


@rule(
    "softmax", "log_softmax", "_softmax", "_log_softmax", "softmin", "cumsum", "cumprod", "cummax",
    "cummin", "sort", "argsort", "topk", "logcumsumexp", "_safe_softmax",
)  # fmt: skip
def along_a_dimension(step: Step) -> Any:
    """Elements along one dimension are mixed, and the dimension stays."""
    label = step.given(0)
    place = 2 if step.operation.packet == "topk" else 1
    default = 0 if step.operation.packet == "cumsum" else -1
    dim = step.argument(place, "dim", default)
    first = step.labels.merge(label, [dim], f"{step.what} mixes them")
    return _like(step.result, lambda part: first.expand(part.shape))


def _like(result: Any, shaped: Any) -> Any:
    """A label for each tensor of a result."""
    if isinstance(result, Tensor):
        return shaped(result)
    return [shaped(part) for part in result]


@rule("arange", "full", "ones", "scalar_tensor", "eye", "linspace", "empty", "rand", "new_ones",
      "new_full", "new_empty", "new_tensor")  # fmt: skip
def made(step: Step) -> Any:
    """New tensors have no units."""
    return no_unit(step.result)


@rule("zeros", "new_zeros")
def zeros(step: Step) -> Any:
    """Zeros, such as initial states, go with any unit."""
    return torch.full((1,) * step.result.dim(), NOTHING).expand(step.result.shape)


@rule("shape_as_tensor", "numel")
def counted(step: Step) -> Any:
    """Numbers have no units."""
    return torch.zeros_like(step.result) if isinstance(step.result, Tensor) else None
