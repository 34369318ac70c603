"""The layers downstream of a group, run again for many ablated units at once.

A *point* is a unit and a sample.  What the group's reader returns is the sample's own value,
moved by a rank-1 term; only the layers downstream run again, in the feature-major layout:
the last layer and the loss, which are narrow, are several times faster that way round.  Where
the reader is the output layer that is all: the logits themselves are moved.

Four ways to go through the points, with the same result:

- all of them, many units at a time;
- only points where the unit's ablated part is not zero, half of them behind a ReLU: the others
  change nothing;
- those points in one compiled loop, where Numba is installed and a narrow output layer follows;
- sample by sample where two wide layers follow, without those units of the next group that are
  zero on that sample whichever unit is ablated.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.graph import Graph
from ..utils.scratch import scratch
from . import fused
from .chunks import in_chunks
from .outputs import sample_losses

# Points are gathered where they are at most this fraction of all.
_SPARSE = 0.8
# MACs of a sample from which on it is worth going through by itself.
_WIDE = 2**23
# And units: with fewer, picking out weights takes longer than what they save.
_MANY = 64
# So much smaller than other chunks are those of logits, whose losses are a temporary as large:
# fresh memory of a megabyte costs more than what is done with it.
_SMALL = 4


class FastPaths:
    """Losses of the points of one group, the fastest way that the network allows.

    Parameters
    ----------
    graph : Graph
    samples : Samples
    number : int
        Of the group.
    pre : Tensor of shape (n_outputs, n_samples)
        What the group's reader returns.
    base : Tensor of float64, shape (n_samples,)
        Loss of each sample as it is.
    chunk : int
        Largest temporary, in numbers.

    Attributes
    ----------
    widest : int
        Most units of a layer downstream.
    """

    def __init__(
        self, graph: Graph, samples: Samples, number: int, pre: Tensor, base: Tensor, chunk: int
    ):
        self.graph, self.samples, self.base, self.chunk = graph, samples, base, chunk
        self.reader = graph.reader(graph.groups[number])
        self.widest = max([*graph.sizes[number + 1 :], graph.n_outputs])
        # The reader is the output layer.
        self.last = self.reader.value == graph.logits
        # With a sample's numbers side by side where they are many.
        self.pre = pre[:, None] if self.last else pre.T.contiguous()
        # Of two classes only the difference counts.
        loss, targets = self.samples.loss, self.samples.targets
        self.two = self.last and not graph.has_tail and loss.has_two(graph.n_outputs, targets)
        if self.two:
            self.pre = pre[0] - pre[1]
            self.signs = loss.signs(targets, pre.dtype)
        # Counting on a GPU would wait for it.
        self.host = graph.device.type == "cpu"
        self.relu = False
        if not self.last:
            following = graph.groups[number + 1]
            carriers = [graph.nodes[k].kind for k in following.carriers]
            self.relu = [kind.rectifies for kind in carriers if not kind.silent] == [True]
            self.beyond = graph.reader(following)

    def losses(self, units: Tensor, residual: Tensor, part: slice | None, sparse: bool) -> Tensor:
        """Loss of each sample when each unit alone is ablated.

        Parameters
        ----------
        units : Tensor of int, shape (n_units,)
            Positions in the group.
        residual : Tensor of shape (n_units, n_samples)
            Ablated part of each unit's activation.
        part : slice or None
            Which of the block's samples these are; None: all.
        sparse : bool
            Whether `residual` may be zero in many places.

        Returns
        -------
        Tensor of float64, shape (n_units, n_samples)
        """
        columns = self.reader.kind.columns(self.reader.layer, units)
        targets, base, pre = self.signs if self.two else self.samples.targets, self.base, self.pre
        if part is not None:
            targets, base = targets[part], base[part]
            pre = pre[..., part] if self.last else pre[part]
        if self.last:
            return self._moved(columns, residual, pre, targets)
        sparse = sparse and self.host
        n_units, beyond = len(residual), self.beyond
        fusible = self.host and self.relu and beyond.value == self.graph.logits
        if fusible and fused.pays(n_units, len(base), beyond.layer):
            return self._compiled(columns, residual, pre, targets, base)
        macs = n_units * pre.shape[1] * beyond.kind.n_outputs(beyond.layer)
        if self.host and self.relu and n_units >= _MANY and macs >= _WIDE:
            return self._by_sample(columns, residual, pre, targets, base, sparse)
        if sparse:
            active = residual != 0
            if int(active.sum()) <= _SPARSE * active.numel():
                return self._pairs(columns, residual, pre, targets, base, active)
        return self._all(columns, residual, pre, targets)

    def _moved(self, columns: Tensor, residual: Tensor, pre: Tensor, targets: Tensor) -> Tensor:
        """The logits themselves move."""
        columns = (columns[0] - columns[1] if self.two else columns)[..., None]

        def some(columns: Tensor, residual: Tensor) -> Tensor:
            z = torch.addcmul(pre, columns, residual, value=-1)
            if self.two:
                return self.samples.loss.of_two(z, targets).double()
            return self._losses(z, targets)

        at_once = self.chunk // (_SMALL * self.widest * residual.shape[1])
        if residual.shape[0] <= at_once:
            return some(columns, residual)
        losses = _empty(residual)

        def put(which: slice) -> None:
            losses[which] = some(columns[..., which, :], residual[which])

        in_chunks(put, residual.shape[0], at_once)
        return losses

    def _all(self, columns: Tensor, residual: Tensor, pre: Tensor, targets: Tensor) -> Tensor:
        """Every point, some units at a time."""
        losses = _empty(residual)
        moves = columns.T.contiguous()

        def some(which: slice) -> None:
            part = residual[which, :, None]
            z = scratch("points", (*part.shape[:2], pre.shape[1]), pre)
            torch.addcmul(pre, part, moves[which, None], value=-1, out=z)
            logits = self._logits(z.flatten(0, 1).T, self.reader.value)
            losses[which] = self._losses(logits.view(-1, *part.shape[:2]), targets)

        in_chunks(some, residual.shape[0], self.chunk // (self.widest * residual.shape[1]))
        return losses

    def _pairs(
        self,
        columns: Tensor,
        residual: Tensor,
        pre: Tensor,
        targets: Tensor,
        base: Tensor,
        active: Tensor,
    ) -> Tensor:
        """Only points whose ablated part is not zero."""
        losses = base.repeat(residual.shape[0], 1)
        pairs = _where(active.view(-1))
        unit = torch.from_numpy(pairs.numpy() // active.shape[1])
        sample = pairs - unit * active.shape[1]
        part = residual.reshape(-1).index_select(0, pairs)[:, None]
        moves = columns.T.contiguous()

        def some(which: slice) -> None:
            here, width = sample[which], pre.shape[1]
            z = scratch("points", (len(here), width), pre)
            move = scratch("moves", (len(here), width), pre)
            torch.index_select(pre, 0, here, out=z)
            torch.index_select(moves, 0, unit[which], out=move)
            z.addcmul_(part[which], move, value=-1)
            logits = self._logits(z.T, self.reader.value)
            found = self._losses(logits, targets.index_select(0, here))
            losses.view(-1).scatter_(0, pairs[which], found)

        # Two buffers share the cache.
        in_chunks(some, len(pairs), self.chunk // (2 * self.widest))
        return losses

    def _compiled(
        self, columns: Tensor, residual: Tensor, pre: Tensor, targets: Tensor, base: Tensor
    ) -> Tensor:
        """Those pairs again, in one pass."""
        losses = base.repeat(residual.shape[0], 1)
        moves, beyond = columns.T.contiguous(), self.beyond.layer

        def some(which: slice) -> None:
            part, there = residual[which], losses[which]
            found, where = fused.outputs(pre, moves[which], part, beyond)
            if len(where) == part.numel():
                there.copy_(self._losses(found.view(-1, *part.shape), targets))
            elif len(where):
                wanted = targets.index_select(0, where % part.shape[1])
                there.view(-1).scatter_(0, where, self._losses(found, wanted))

        at_once = self.chunk // (_SMALL * beyond.out_features * len(base))
        in_chunks(some, residual.shape[0], at_once)
        return losses

    def _by_sample(
        self,
        columns: Tensor,
        residual: Tensor,
        pre: Tensor,
        targets: Tensor,
        base: Tensor,
        sparse: bool,
    ) -> Tensor:
        """Sample by sample, without units of the next group that are zero throughout."""
        losses = base.repeat(residual.shape[0], 1)
        beyond = self.beyond.layer
        weight = beyond.weight.T.contiguous()
        for sample in range(len(base)):

            def some(which: slice, sample: int = sample) -> None:
                part, moves = residual[which, sample], columns[:, which]
                z = scratch("points", moves.shape, pre)
                torch.addcmul(pre[sample, :, None], moves, part, value=-1, out=z).relu_()
                speaking = _where(z.amax(1))
                z = z.index_select(0, speaking)
                there = losses[which, sample]
                if sparse:
                    active = _where(part)
                    z = z.index_select(1, active)
                z = weight.index_select(0, speaking).T @ z
                if beyond.bias is not None:
                    z += beyond.bias[:, None]
                wanted = targets[sample].expand(z.shape[1], *targets.shape[1:])
                found = self._losses(self._logits(z, self.beyond.value), wanted)
                if sparse:
                    there[active] = found
                else:
                    there.copy_(found)

            in_chunks(some, columns.shape[1], self.chunk // self.widest)
        return losses

    def _logits(self, z: Tensor, value: int) -> Tensor:
        """What the output layer returns, from a value upstream that may be overwritten."""
        known, wanted = {value: z}, [self.graph.logits]
        return self.graph.run(known, wanted, feature_major=True, overwrite=True)[wanted[0]]

    def _losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        return sample_losses(self.graph, logits, targets, self.samples.loss)


def _where(values: Tensor) -> Tensor:
    """Positions that are not zero; NumPy finds them ten times faster than torch."""
    return torch.from_numpy(np.flatnonzero(values.numpy()))


def _empty(residual: Tensor) -> Tensor:
    return torch.empty(residual.shape, dtype=torch.float64, device=residual.device)
