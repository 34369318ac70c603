"""The rows that pulls and statistics come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..graph.graph import Chain
from ..graph.kinds.registry import LinearKind, run, run_across
from .losses import RowLoss
from .sparse import SparseRows

# Of a trace, in numbers: wider networks run again instead.
_LARGEST = 2**26

Fold = tuple[Tensor | None, Tensor] | None


@dataclass
class Trace:
    """What a network computes on rows, kept from one round of a path to the next.

    Losses, statistics and blocks come from it.

    Parameters
    ----------
    chain : Chain
    hidden : list of Tensor of shape (width, n_rows), one a hidden layer
        Activations, with the rows in columns.
    behind : list of Tensor of shape (width, n_rows), one a hidden layer
        Pre-activations of the Linear behind each; the last ones are the raw outputs.
    """

    chain: Chain
    hidden: list[Tensor]
    behind: list[Tensor]

    @property
    def outputs(self) -> Tensor:
        """Raw outputs, (n_rows, n_outputs)."""
        return self.behind[-1].T

    @classmethod
    def of(cls, chain: Chain, x: Tensor | SparseRows) -> Trace:
        """Run all rows through the network."""
        hidden, pre = chain.activations_across(x)
        return cls(chain, hidden, pre[1:])

    def at(self, index: Tensor | slice) -> Trace:
        """Of these rows only, in this order: a tenth of the time of running them again."""
        hidden, behind = (
            [z[:, index] if isinstance(index, slice) else z.index_select(1, index) for z in every]
            for every in (self.hidden, self.behind)
        )
        return Trace(self.chain, hidden, behind)

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
            What the kept neurons take over; see :func:`~sklearn_mabprune.graph.surgery.cut`.
        """
        first, second = self.hidden[0], self.behind[0]
        moves = self.chain.stages[1].linear.weight
        if len(keep) > 1 and keep[1] is not None:
            there = keep[1].nonzero()[:, 0]
            second, moves = second.index_select(0, there), moves.index_select(0, there)
        if keep[0] is not None:
            stay, gone = keep[0].nonzero()[:, 0], (~keep[0]).nonzero()[:, 0]
            lost, remaining = first.index_select(0, gone), first.index_select(0, stay)
            if folds[0] is not None:
                slopes, constants = folds[0]
                lost -= constants.to(lost.dtype)[:, None]
                if slopes is not None:
                    lost.addmm_(slopes.T.to(lost.dtype), remaining, alpha=-1)
            first = remaining
            second = torch.addmm(second, moves.index_select(1, gone), lost, alpha=-1)
        hidden, behind = [first], [second]
        for here, following in zip(smaller.stages[1:-1], smaller.stages[2:], strict=True):
            hidden.append(run_across(here.after, behind[-1]))
            behind.append(LinearKind.across(following.linear, hidden[-1]))
        return Trace(smaller, hidden, behind)


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
        trace = None if self.trace is None else self.trace.at(index)
        return Rows(self.x[index], self.targets[index], self.weights[index], self.loss, trace)

    def keep_trace(self, chain: Chain) -> None:
        """Run the network on all rows, for blocks, statistics and losses to come."""
        if len(self) * sum(chain.hidden_sizes) <= _LARGEST:
            self.trace = self.traced(chain)

    def traced(self, chain: Chain) -> Trace:
        """What the network computes: the trace that is kept, or a new one."""
        if self.trace is not None and self.trace.chain is chain:
            return self.trace
        with torch.inference_mode():
            return Trace.of(chain, self.x)

    def mean_loss(self, chain: Chain) -> float:
        """Weighted mean loss of a network on these rows."""
        with torch.inference_mode():
            outputs = self.traced(chain).behind[-1]
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
