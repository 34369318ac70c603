"""Multi-head attention that may have fewer heads than its width asks for, and other widths."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PrunedMultiheadAttention(nn.Module):
    """``nn.MultiheadAttention`` with any number of heads, each as wide as before.

    Its parameters have the same names, and it is called with the same arguments, but for nested
    tensors.  In ``nn.MultiheadAttention`` heads share out `embed_dim`, which is also the width of
    outputs; here `num_heads` times `head_dim` and outputs may have other widths.

    Parameters
    ----------
    attention : nn.MultiheadAttention
        Whose parameters it takes, not copies of them.

    Attributes
    ----------
    num_heads, head_dim : int
        How many heads are left, and how wide each is.
    embed_dim, kdim, vdim : int
        How wide queries, keys and values are that it is given.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_mabprune.graph.attention import PrunedMultiheadAttention
    >>> attention, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.ones(3, 5, 8)
    >>> same = PrunedMultiheadAttention(attention).eval()
    >>> torch.allclose(same(x, x, x)[0], attention(x, x, x)[0], atol=1e-6)
    True
    """

    #: False: torch's encoder layer calls `forward`, in place of computing with the weights itself.
    _qkv_same_embed_dim = False
    in_proj_weight: Any
    in_proj_bias: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    bias_k: Any
    bias_v: Any

    def __init__(self, attention: Any):
        super().__init__()
        self.embed_dim, self.num_heads = attention.embed_dim, attention.num_heads
        self.kdim, self.vdim = attention.kdim, attention.vdim
        self.head_dim, self.dropout = attention.head_dim, attention.dropout
        self.batch_first, self.add_zero_attn = attention.batch_first, attention.add_zero_attn
        for name in _PARAMETERS:
            self.register_parameter(name, getattr(attention, name))
        self.out_proj = attention.out_proj
        self.train(attention.training)

    def count_inputs(self) -> None:
        """Widths of inputs, anew from its weights."""
        one = self.in_proj_weight
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        self.embed_dim, self.kdim, self.vdim = (
            (weight if one is None else one).shape[1] for weight in weights
        )

    def extra_repr(self) -> str:
        """Width of queries, heads and the width of a head."""
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, head_dim={self.head_dim}, "
            f"batch_first={self.batch_first}"
        )

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Outputs and, if asked for, weights; arguments as of ``nn.MultiheadAttention``."""
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal=True is a hint about attn_mask: pass that, too.")
        projected = self._projected(query, key, value)
        batched, first = query.dim() == 3, self.batch_first
        if not batched:
            projected = [part[None] for part in projected]
        elif not first:
            projected = [part.transpose(0, 1) for part in projected]
        q, k, v = self._with_biases(*projected)
        q, k, v = (
            part.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2) for part in (q, k, v)
        )
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = _with_mask(q @ k.transpose(2, 3) / math.sqrt(self.head_dim), mask)
            weights = F.dropout(scores.softmax(-1), dropout)
            heads = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            # Of booleans, True is a key that is looked at.
            looked_at = ~mask if mask is not None and mask.dtype == torch.bool else mask
            heads = F.scaled_dot_product_attention(q, k, v, looked_at, dropout)
        outputs = self.out_proj(heads.transpose(1, 2).flatten(2))
        if not batched:
            return outputs[0], weights if weights is None else weights[0]
        return outputs if first else outputs.transpose(0, 1), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Queries, keys and values of all heads, side by side."""
        biases: Any = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        if self.in_proj_weight is None:
            weights: list[Any] = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        elif query is key and key is value:
            return list(F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1))
        else:
            weights = list(self.in_proj_weight.chunk(3))
        return [F.linear(*args) for args in zip((query, key, value), weights, biases, strict=True)]

    def _with_biases(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With the key and value that are learned, and the ones of zero, if there are any."""
        if self.bias_k is not None:
            k = torch.cat([k, self.bias_k.expand(len(k), 1, -1)], 1)
            v = torch.cat([v, self.bias_v.expand(len(v), 1, -1)], 1)
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        return q, k, v

    def _mask(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """Where keys are left out, or what is added to scores.

        Its shape is (n_samples or 1, n_heads or 1, n_queries or 1, n_keys).
        """
        mask = None
        if attn_mask is not None:
            per_head = attn_mask.dim() == 3
            mask = (
                attn_mask.unflatten(0, (-1, self.num_heads)) if per_head else attn_mask[None, None]
            )
        if key_padding_mask is not None:
            padding = key_padding_mask.reshape(-1, 1, 1, key_padding_mask.shape[-1])
            mask = padding if mask is None else _both(mask, padding, q.dtype)
        if mask is None:
            return None
        mask = mask if mask.dtype == torch.bool else mask.to(q.dtype)
        return F.pad(mask, (0, k.shape[2] - mask.shape[3]))


def _both(one: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    """Two masks at once."""
    if one.dtype == other.dtype == torch.bool:
        return one | other
    if other.dtype == torch.bool:
        one, other = other, one
    if one.dtype == torch.bool:
        one = torch.zeros_like(one, dtype=dtype).masked_fill(one, -math.inf)
    return one + other


def _with_mask(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    return scores.masked_fill(mask, -math.inf) if mask.dtype == torch.bool else scores + mask


_PARAMETERS = (
    "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias",
    "bias_k", "bias_v",
)  # fmt: skip


def with_prunable_attention(module: nn.Module, names: Any = None) -> nn.Module:
    """A module in which ``nn.MultiheadAttention`` may have fewer heads and be narrower, in place.

    Parameters
    ----------
    module : nn.Module
    names : collection of str, optional
        Names of modules; all that are exactly of that class when not given.

    Returns
    -------
    nn.Module
        The module, or what takes its place.
    """
    made: dict[nn.Module, nn.Module] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        if type(part) is nn.MultiheadAttention and (names is None or name in names):
            made.setdefault(part, PrunedMultiheadAttention(part))
    for parent in list(module.modules()) if made else []:
        for name, child in list(parent.named_children()):
            if child in made:
                setattr(parent, name, made[child])
    return made.get(module, module)


def without_nested_tensors(module: nn.Module) -> nn.Module:
    """A module whose encoders compute padded samples as they do in training, changed in place.

    In evaluation ``nn.TransformerEncoder`` packs samples without their padding, which only
    ``nn.MultiheadAttention`` takes, and returns zeros for it.
    """
    for part in module.modules():
        if isinstance(part, nn.TransformerEncoder):
            part.use_nested_tensor = False
    return module
