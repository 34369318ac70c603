"""What stands behind a hidden layer, run again for many ablated neurons at once.

A *point* is a neuron and a row.  Its pre-activations are the row's, moved by a rank-1 term;
only the layers behind run again.  Points lie in columns, (width, n_points): the last layer
and the loss, which are narrow, are several times faster that way round.  Behind the last
hidden layer that is all: the outputs themselves are moved.

Four ways to go through the points, with the same result:

- all of them, many neurons at a time;
- only pairs of a neuron and a row where the neuron's ablated part is not zero, half of them
  behind a ReLU: the others change nothing;
- those pairs in one compiled loop, where Numba is installed and a narrow output layer follows;
- row by row where two wide layers follow, without those neurons of the next layer that are
  silent on that row whichever neuron is ablated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..data.rows import Rows, losses_across
from ..graph.graph import Chain
from ..graph.kinds.registry import BETWEEN, LinearKind
from ..utils.scratch import scratch
from . import fused

# Pairs are gathered where they are at most this share of all.
_SPARSE = 0.8
# Multiply-adds of a row from which on it is worth going through by itself.
_WIDE = 2**23
# And neurons: with fewer, picking out weights takes longer than what they save.
_MANY = 64
# So much smaller than other chunks are those of outputs, whose losses are a temporary as large:
# fresh memory of a megabyte costs more than what is done with it.
_SMALL = 4
_SILENT = (nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Identity)


class Suffix:
    """The layers behind one hidden layer, and rows to run through them.

    Parameters
    ----------
    chain : Chain
    layer : int
        The hidden layer, from 0.
    rows : Rows
    pre : Tensor of shape (width, n_rows)
        Pre-activations of the next layer.
    base : Tensor of float64, shape (n_rows,)
        Loss of each row as it is.
    chunk : int
        Largest temporary, in numbers.
    """

    def __init__(self, chain: Chain, layer: int, rows: Rows, pre: Tensor, base: Tensor, chunk: int):
        self.chain, self.rows, self.base, self.chunk = chain, rows, base, chunk
        self.stages = chain.stages[layer + 1 :]
        self.following = self.stages[0].linear
        self.widest = max(stage.linear.out_features for stage in self.stages)
        self.last = len(self.stages) == 1
        # With a row's numbers side by side where they are many.
        self.pre = pre[:, None] if self.last else pre.T.contiguous()
        # Of two classes only the difference counts.
        self.two = self.last and not self.stages[-1].after
        self.two = self.two and rows.loss.has_two(chain.n_outputs, rows.targets)
        if self.two:
            self.pre = pre[0] - pre[1]
            self.signs = rows.loss.signs(rows.targets, pre.dtype)
        # Counting on a GPU would wait for it.
        self.host = chain.device.type == "cpu"
        active = [type(layer) for layer in self.stages[0].after if not isinstance(layer, _SILENT)]
        self.relu = active == [nn.ReLU]

    def losses(self, units: Tensor, residual: Tensor, part: slice | None, sparse: bool) -> Tensor:
        """Loss of each row when each neuron alone is ablated.

        Parameters
        ----------
        units : Tensor of int, shape (n_units,)
            Positions in the layer.
        residual : Tensor of shape (n_units, n_rows)
            Ablated part of each unit's activation.
        part : slice or None
            Which rows these are; None: all.
        sparse : bool
            Whether `residual` may be zero in many places.

        Returns
        -------
        Tensor of float64, shape (n_units, n_rows)
        """
        columns = LinearKind.columns(self.following, units)
        targets, base, pre = self.signs if self.two else self.rows.targets, self.base, self.pre
        if part is not None:
            targets, base = targets[part], base[part]
            pre = pre[..., part] if self.last else pre[part]
        if self.last:
            return self._moved(columns, residual, pre, targets)
        sparse = sparse and self.host
        n_units = residual.shape[0]
        beyond = self.stages[1].linear
        fusible = self.host and self.relu and len(self.stages) == 2
        if fusible and fused.pays(n_units, len(base), beyond):
            return self._compiled(columns, residual, pre, targets, base)
        macs = n_units * pre.shape[1] * beyond.out_features
        if self.host and self.relu and n_units >= _MANY and macs >= _WIDE:
            return self._by_row(columns, residual, pre, targets, base, sparse)
        if sparse:
            active = residual != 0
            if int(active.sum()) <= _SPARSE * active.numel():
                return self._pairs(columns, residual, pre, targets, base, active)
        return self._all(columns, residual, pre, targets)

    def _moved(self, columns: Tensor, residual: Tensor, pre: Tensor, targets: Tensor) -> Tensor:
        """Behind the last hidden layer the outputs themselves move."""
        columns = (columns[0] - columns[1] if self.two else columns)[..., None]

        def some(columns: Tensor, residual: Tensor) -> Tensor:
            z = torch.addcmul(pre, columns, residual, value=-1)
            if self.two:
                return self.rows.loss.of_two(z, targets).double()
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
        """Every point, some neurons at a time."""
        losses = _empty(residual)
        moves = columns.T.contiguous()

        def some(which: slice) -> None:
            part = residual[which, :, None]
            z = scratch("points", (*part.shape[:2], pre.shape[1]), pre)
            torch.addcmul(pre, part, moves[which, None], value=-1, out=z)
            outputs = self._outputs(z.flatten(0, 1).T, 0)
            losses[which] = self._losses(outputs.view(-1, *part.shape[:2]), targets)

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
        row = pairs - unit * active.shape[1]
        part = residual.reshape(-1).index_select(0, pairs)[:, None]
        moves = columns.T.contiguous()

        def some(which: slice) -> None:
            here, width = row[which], pre.shape[1]
            z = scratch("points", (len(here), width), pre)
            move = scratch("moves", (len(here), width), pre)
            torch.index_select(pre, 0, here, out=z)
            torch.index_select(moves, 0, unit[which], out=move)
            z.addcmul_(part[which], move, value=-1)
            found = self._losses(self._outputs(z.T, 0), targets.index_select(0, here))
            losses.view(-1).scatter_(0, pairs[which], found)

        # Two buffers share the cache.
        in_chunks(some, len(pairs), self.chunk // (2 * self.widest))
        return losses

    def _compiled(
        self, columns: Tensor, residual: Tensor, pre: Tensor, targets: Tensor, base: Tensor
    ) -> Tensor:
        """Those pairs again, in one pass."""
        losses = base.repeat(residual.shape[0], 1)
        moves, beyond = columns.T.contiguous(), self.stages[1].linear

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

    def _by_row(
        self,
        columns: Tensor,
        residual: Tensor,
        pre: Tensor,
        targets: Tensor,
        base: Tensor,
        sparse: bool,
    ) -> Tensor:
        """Row by row, without neurons of the next layer that are silent throughout."""
        losses = base.repeat(residual.shape[0], 1)
        beyond = self.stages[1].linear
        weight = beyond.weight.T.contiguous()
        for row in range(len(base)):

            def some(which: slice, row: int = row) -> None:
                part, moves = residual[which, row], columns[:, which]
                z = scratch("points", moves.shape, pre)
                torch.addcmul(pre[row, :, None], moves, part, value=-1, out=z).relu_()
                speaking = _where(z.amax(1))
                z = z.index_select(0, speaking)
                there = losses[which, row]
                if sparse:
                    active = _where(part)
                    z = z.index_select(1, active)
                z = weight.index_select(0, speaking).T @ z
                if beyond.bias is not None:
                    z += beyond.bias[:, None]
                wanted = targets[row].expand(z.shape[1], *targets.shape[1:])
                found = self._losses(self._outputs(z, 1), wanted)
                if sparse:
                    there[active] = found
                else:
                    there.copy_(found)

            in_chunks(some, columns.shape[1], self.chunk // self.widest)
        return losses

    def _outputs(self, z: Tensor, stage: int) -> Tensor:
        """Raw outputs from pre-activations in columns, which may be overwritten."""
        for here, following in zip(self.stages[stage:-1], self.stages[stage + 1 :], strict=True):
            for layer in here.after:
                in_place = type(layer) is nn.ReLU
                z = z.relu_() if in_place else BETWEEN[type(layer)].across(layer, z)
            z = LinearKind.across(following.linear, z)
        return z

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return losses_across(self.chain, outputs, targets, self.rows.loss)


def in_chunks(run: Callable[[slice], None], total: int, at_once: int) -> None:
    """Call for parts of a range, smaller ones when memory does not suffice."""
    at_once = max(1, min(at_once, total))
    start = 0
    while start < total:
        try:
            run(slice(start, start + at_once))
        except torch.OutOfMemoryError:  # pragma: no cuda cover
            if at_once == 1:
                raise
            at_once = max(1, at_once // 2)
            continue
        start += at_once


def _where(values: Tensor) -> Tensor:
    """Positions that are not zero; NumPy finds them ten times faster than torch."""
    return torch.from_numpy(np.flatnonzero(values.numpy()))


def _empty(residual: Tensor) -> Tensor:
    return torch.empty(residual.shape, dtype=torch.float64, device=residual.device)
