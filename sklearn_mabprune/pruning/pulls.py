"""Pulls: arms measured on blocks of rows that they share.

Each round permutes the pruning rows into blocks; an arm's i-th pull of the round uses
block i, so that arms are compared on common rows and no arm sees a row twice.  After all
blocks an arm is exact for the network as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..ablation.block import Block, Rows
from ..ablation.compensation import ZeroAblation
from ..ablation.estimates import estimate, passes
from ..graph.graph import Chain
from ..graph.units import NeuronTable

# Loss increases count in multiples of this, for losses up to 1: far above rounding errors
# of the sums, far below what matters to anybody.
# A share of the blocks, one of so many, tells finalists from others.
_SOME_BLOCKS = 4

_RESOLUTION = {torch.float64: 1e-10, torch.float32: 1e-7}


@dataclass(frozen=True)
class Pulled:
    """What pulls of some arms showed.

    Parameters
    ----------
    increase : ndarray of shape (n_arms,)
        Loss increase of each.
    weight : ndarray of shape (n_arms,)
        Total row weight of the block behind each, 1 for an average block.
    exact : ndarray of bool, shape (n_arms,)
        Measured on every row by now.
    """

    increase: NDArray[np.float64]
    weight: NDArray[np.float64]
    exact: NDArray[np.bool_]


class RoundPulls:
    """The pulls of one round.

    Parameters
    ----------
    chain : Chain
        The network as it stands.
    table : NeuronTable
        Which arm is which of its neurons.
    rows : Rows
        All pruning rows.
    ablations : list of ZeroAblation
        Frozen for the round.
    block_rows : int
        Rows a block.
    rng : numpy.random.Generator
        Permutes the rows.
    chunk : int, optional
        Largest temporary, in numbers.
    control_variate : {"linear", "fisher"} or None, default=None
        Estimate neurons on every block before the first pull, and correct pulls by it.
    to_estimate : ndarray of int, optional
        Arms to estimate, by increasing id; all live ones when not given.
    finalists : int, optional
        How many of them, the safest, are estimated on all rows; all when not given.

    Attributes
    ----------
    n_pulls : int
        Pulls made.
    n_evaluations : int
        (neuron, row) pairs evaluated.
    n_backward : int
        Rows times backward passes that estimates took.
    expected : ndarray of shape (n_ids,) or None
        Estimated loss increase of every arm, of finalists on all pruning rows, of others on
        some of the blocks; NaN where not estimated.
    """

    def __init__(
        self,
        chain: Chain,
        table: NeuronTable,
        rows: Rows,
        ablations: list[ZeroAblation],
        block_rows: int,
        rng: np.random.Generator,
        chunk: int | None = None,
        control_variate: str | None = None,
        to_estimate: NDArray[np.intp] | None = None,
        finalists: int | None = None,
    ):
        self.chain, self.table, self.rows, self.ablations = chain, table, rows, ablations
        self.chunk = chunk
        # Rows without weight say nothing, and a block of them alone has no mean loss.
        counted = np.flatnonzero(rows.weights.cpu().numpy() > 0)
        n_blocks = -(-len(counted) // block_rows)
        self._order = rng.permutation(counted) if n_blocks > 1 else counted
        self._parts = [slice(k * block_rows, (k + 1) * block_rows) for k in range(n_blocks)]
        self._mean_weight = float(rows.weights.sum()) / n_blocks
        self._blocks: dict[int, Block] = {}
        self._done = np.zeros(len(table), dtype=np.intp)
        self.n_pulls = 0
        self.n_evaluations = 0
        self.n_backward = 0
        self.expected: NDArray[np.float64] | None = None
        if control_variate is not None:
            arms = table.live_arms() if to_estimate is None else to_estimate
            if arms.size:
                self._estimate(control_variate, arms, finalists, int(rng.integers(2**31)))

    @property
    def n_blocks(self) -> int:
        """Pulls after which an arm is exact."""
        return len(self._parts)

    @property
    def corrected(self) -> NDArray[np.bool_]:
        """Arm ids with an estimate on every block, (n_ids,)."""
        if self.expected is None:
            return np.zeros(len(self.table), dtype=bool)
        return np.isfinite(self._estimates).all(axis=0)

    @property
    def by_arm(self) -> NDArray[np.intp]:
        """Pulls of every arm id so far, (n_ids,)."""
        return self._done

    def pull(self, arms: NDArray[np.intp]) -> Pulled:
        """Measure each of these distinct live arms on its next block."""
        if (self._done[arms] >= self.n_blocks).any():
            raise ValueError("An arm that is exact was pulled again.")
        increase = np.empty(len(arms))
        weight = np.empty(len(arms))
        layers, positions = self.table.layer(arms), self.table.position(arms)
        for number in np.unique(self._done[arms]):
            block = self._block(int(number))
            for layer in np.unique(layers):
                where = np.flatnonzero((self._done[arms] == number) & (layers == layer))
                if where.size:
                    units = torch.as_tensor(positions[where], device=self.chain.device)
                    found = block.loss_increase(int(layer), units)
                    measured = found.cpu().numpy()
                    if self.expected is not None:
                        # What this block's rows have of their own cancels.
                        own = self.expected[arms[where]] - self._estimates[number, arms[where]]
                        measured = measured + np.where(np.isfinite(own), own, 0.0)
                    increase[where] = self._round(measured, block)
                    weight[where] = block.weight / self._mean_weight
                    self.n_evaluations += len(where) * len(block.rows)
        self._done[arms] += 1
        self.n_pulls += len(arms)
        return Pulled(increase, weight, self._done[arms] == self.n_blocks)

    def _estimate(
        self, kind: str, arms: NDArray[np.intp], finalists: int | None, seed: int
    ) -> None:
        """Estimates of these arms, a row a block, and their mean over the rows they are from.

        Of many arms only the safest on some of the blocks are estimated on the others too.
        """
        generator = torch.Generator().manual_seed(seed)
        weights = self.rows.weights.cpu().numpy()
        totals = np.array([weights[self._order[part]].sum() for part in self._parts])
        self._estimates = np.full((self.n_blocks, len(self.table)), np.nan)
        self.expected = np.full(len(self.table), np.nan)
        n_some = self.n_blocks // _SOME_BLOCKS
        if finalists is not None and n_some and len(arms) > finalists:
            n_rows = self._parts[n_some - 1].stop
            some = Block(self.chain, self._rows(self._order[:n_rows]), self.ablations, self.chunk)
            self._fill(some, kind, generator, list(self._parts[:n_some]), arms, totals[:n_some])
            order = np.argsort(self.expected[arms], kind="stable")
            arms = np.sort(arms[order[:finalists]])
        # In the order in which a path keeps what its network computes on them.
        whole = Block(self.chain, self.rows, self.ablations, self.chunk)
        parts = [torch.as_tensor(self._order[part]) for part in self._parts]
        self._fill(whole, kind, generator, parts, arms, totals)

    def _fill(
        self,
        block: Block,
        kind: str,
        generator: torch.Generator,
        parts: Sequence[slice | torch.Tensor],
        arms: NDArray[np.intp],
        totals: NDArray[np.float64],
    ) -> None:
        """Estimates of these arms on the first blocks, which are parts of one large block."""
        layers, positions = self.table.layer(arms), self.table.position(arms)
        units = [
            torch.as_tensor(positions[layers == layer], device=self.chain.device)
            for layer in range(len(self.table.sizes))
        ]
        found = estimate(block, kind, generator, parts, units).cpu().numpy()
        assert self.expected is not None
        self._estimates[: len(parts), arms] = found
        self.expected[arms] = self._round(totals @ found / totals.sum(), block)
        self.n_backward += len(block.rows) * passes(kind, block)

    def _round(self, increase: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Loss increases without the digits that the order of a sum decides.

        Neurons that change nothing (dead units) come out as exact ties, and equal rows in
        another order, or in other chunks, choose the same neurons.
        """
        # A power of two: the loss itself has such digits, which must not come in with it.
        scale = np.exp2(np.ceil(np.log2(max(1.0, block.mean_loss))))
        unit = _RESOLUTION[self.chain.dtype] * scale
        return np.round(increase / unit) * unit

    def _block(self, number: int) -> Block:
        """Rows run through the network once, when the block is first needed."""
        if number not in self._blocks:
            rows = self._rows(self._order[self._parts[number]])
            self._blocks[number] = Block(self.chain, rows, self.ablations, self.chunk)
        return self._blocks[number]

    def _rows(self, order: NDArray[np.intp]) -> Rows:
        """Some of the pruning rows, in this order."""
        return self.rows.at(torch.as_tensor(order, device=self.chain.device))
