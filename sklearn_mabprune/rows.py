"""The rows that pulls and statistics come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .chain import Chain
from .layers import LinearKind, run, run_across
from .losses import RowLoss
from .sparse_rows import SparseRows

# Of a trace, in numbers: wider networks run again instead.
_LARGEST = 2**25

Fold = tuple[Tensor | None, Tensor] | None


@dataclass
class Trace:
    """What a network computes on rows, kept from one round of a path to the next.

    Losses and statistics of all rows come from it; blocks of some rows run again, which is
    no slower than picking them out.

    Parameters
    ----------
    chain : Chain
    pre : list of Tensor of shape (width, n_rows), one a Linear
        Pre-activations, with the rows in columns.
    """

    chain: Chain
    pre: list[Tensor]

    def hidden(self) -> list[Tensor]:
        """Activations of each hidden layer, (width, n_rows)."""
        stages = self.chain.stages[:-1]
        return [run_across(stage.after, z) for stage, z in zip(stages, self.pre, strict=False)]

    def after(self, smaller: Chain, keep: list[Tensor | None], folds: list[Fold]) -> Trace:
        """Of the network without some neurons.

        What the first layer computes stays; the second's pre-activations move by as many
        terms as neurons went before it; only what is behind runs again.

        Parameters
        ----------
        smaller : Chain
        keep : list of Tensor of bool, shape (width,), or None, one a hidden layer
            None: all of them.
        folds : list
            What the kept neurons take over; see :func:`~sklearn_mabprune.surgery.cut`.
        """
        first, second = self.pre[:2]
        if keep[0] is not None:
            stay, gone = keep[0].nonzero()[:, 0], (~keep[0]).nonzero()[:, 0]
            activations = run_across(self.chain.stages[0].after, first)
            lost = activations.index_select(0, gone)
            if folds[0] is not None:
                slopes, constants = folds[0]
                lost = lost - constants.to(lost.dtype)[:, None]
                if slopes is not None:
                    lost -= slopes.T.to(lost.dtype) @ activations.index_select(0, stay)
            moves = LinearKind.columns(self.chain.stages[1].linear, gone)
            first, second = first.index_select(0, stay), second - moves @ lost
        if len(keep) > 1 and keep[1] is not None:
            second = second.index_select(0, keep[1].nonzero()[:, 0])
        pre = [first, second]
        for here, following in zip(smaller.stages[1:-1], smaller.stages[2:], strict=True):
            pre.append(LinearKind.across(following.linear, run_across(here.after, pre[-1])))
        return Trace(smaller, pre)


@dataclass
class Rows:
    """The rows that pulls and statistics come from, on the network's device.

    Parameters
    ----------
    x : Tensor or SparseRows of shape (n_rows, n_features)
    targets : Tensor of shape (n_rows,) or (n_rows, n_outputs)
        As the criterion wants them.
    weights : Tensor of shape (n_rows,), float64
    loss : RowLoss
    trace : Trace, optional
        Of the network as it stands, where a path keeps one.
    """

    x: Tensor | SparseRows
    targets: Tensor
    weights: Tensor
    loss: RowLoss
    trace: Trace | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.x)

    def at(self, index: Tensor | slice) -> Rows:
        """These rows only, in this order."""
        return Rows(self.x[index], self.targets[index], self.weights[index], self.loss)

    def keep_trace(self, chain: Chain) -> None:
        """Run the network on all rows, for blocks, statistics and losses to come."""
        if len(self) * sum(chain.hidden_sizes) <= _LARGEST:
            self.trace = self.traced(chain)

    def traced(self, chain: Chain) -> Trace:
        """What the network computes: the trace that is kept, or a new one."""
        if self.trace is not None and self.trace.chain is chain:
            return self.trace
        with torch.inference_mode():
            return Trace(chain, chain.activations_across(self.x)[1])

    def mean_loss(self, chain: Chain) -> float:
        """Weighted mean loss of a network on these rows."""
        with torch.inference_mode():
            outputs = self.traced(chain).pre[-1]
            losses = losses_across(chain, outputs, self.targets, self.loss)
            return float(losses @ self.weights / self.weights.sum())


def losses_across(chain: Chain, outputs: Tensor, targets: Tensor, loss: RowLoss) -> Tensor:
    """Losses in float64 of raw outputs that lie in columns.

    Parameters
    ----------
    chain : Chain
        Says what stands behind the last Linear.
    outputs : Tensor of shape (n_outputs, ..., n_rows)
    targets : Tensor of shape (n_rows,) or (n_rows, n_outputs)
    loss : RowLoss

    Returns
    -------
    Tensor of float64, shape (..., n_rows)
    """
    tail = chain.stages[-1].after
    if not tail and loss.knows_columns(targets):
        return loss.across(outputs, targets).double()
    flat = run(tail, outputs.flatten(1).T)
    repeated = targets.repeat(len(flat) // len(targets), *[1] * (targets.dim() - 1))
    return loss(flat, repeated).double().view(outputs.shape[1:])
