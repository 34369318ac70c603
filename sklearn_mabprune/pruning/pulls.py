"""Pulls: arms measured on blocks of samples that they share.

Each round permutes the pruning samples into blocks; an arm's i-th pull of the round uses block
i, so that arms are compared on common samples and no arm is measured twice on a sample.  After
all blocks an arm is exact for the network as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..ablation.activations import Activations
from ..ablation.block import Block
from ..ablation.compensation import ZeroAblation
from ..graph.units import UnitTable

# A fraction of the blocks, one of so many, tells finalists from others.
_SOME_BLOCKS = 4

# Loss increases are multiples of this, for losses up to 1: far above rounding errors of the
# sums, far below what matters to anybody.
_RESOLUTION = {torch.float64: 1e-10, torch.float32: 1e-7}
# Larger increases are as good as this one: policies square rewards, in units of 1e-6 at the least,
# and the ratio of two such units.
_LARGEST = 1e100


@dataclass(frozen=True)
class Pulled:
    """What pulls of some arms showed.

    Parameters
    ----------
    increase : ndarray of shape (n_arms,)
        Loss increase of each.
    weight : ndarray of shape (n_arms,)
        Sum of the sample weights of the block that each was measured on, 1 for an average block.
    exact : ndarray of bool, shape (n_arms,)
        Measured on every sample by now.
    """

    increase: NDArray[np.float64]
    weight: NDArray[np.float64]
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class Estimates:
    """Which arms are estimated before the first pull of a round.

    Parameters
    ----------
    kind : {"linear", "fisher"}
    arms : ndarray of int or None
        By increasing id; None: all live ones.
    finalists : int or None
        So many of them, the safest, are estimated on all samples; None: all.
    """

    kind: str
    arms: NDArray[np.intp] | None = None
    finalists: int | None = None


def _bounded(increase: NDArray[Any]) -> NDArray[np.float64]:
    """Rises of the loss that a policy can square; infinity less infinity is the largest."""
    found = np.asarray(increase, dtype=np.float64)
    return np.nan_to_num(found, nan=_LARGEST).clip(-_LARGEST, _LARGEST)


class RoundPulls:
    """The pulls of one round.

    Parameters
    ----------
    activations : Activations
        The network as it stands, on all pruning samples.
    table : UnitTable
        Which arm is which of its units.
    ablations : sequence of ZeroAblation
        Frozen for the round.
    block_size : int
        Samples of a block.
    rng : numpy.random.Generator
        Permutes the samples.
    chunk : int, optional
        Largest temporary, in numbers.
    estimates : Estimates, optional
        Units to estimate on every block before the first pull; pulls are corrected by them.

    Attributes
    ----------
    n_pulls : int
        Pulls made.
    n_evaluations : int
        (unit, sample) pairs evaluated.
    n_backward : int
        Samples times backward passes that estimates took.
    expected : ndarray of shape (n_ids,) or None
        Estimated loss increase of every arm, of finalists on all pruning samples, of others on
        some of the blocks; NaN where not estimated.
    """

    def __init__(
        self,
        activations: Activations,
        table: UnitTable,
        ablations: Sequence[ZeroAblation],
        block_size: int,
        rng: np.random.Generator,
        chunk: int | None = None,
        estimates: Estimates | None = None,
    ):
        self.activations, self.table, self.ablations = activations, table, ablations
        self.chunk, self.device = chunk, activations.graph.device
        weights = activations.samples.weights.cpu()
        self._weights = weights.numpy()
        # Samples without weight say nothing, and a block of them alone has no mean loss.
        counted = np.flatnonzero(self._weights > 0)
        n_blocks = -(-len(counted) // block_size)
        self._order = rng.permutation(counted) if n_blocks > 1 else counted
        self._parts = [slice(k * block_size, (k + 1) * block_size) for k in range(n_blocks)]
        self._mean_weight = float(weights.sum()) / n_blocks
        self._blocks: dict[int, Block] = {}
        self._done = np.zeros(len(table), dtype=np.intp)
        self.n_pulls = 0
        self.n_evaluations = 0
        self.n_backward = 0
        self.expected: NDArray[np.float64] | None = None
        if estimates is not None:
            arms = table.live_arms() if estimates.arms is None else estimates.arms
            if arms.size:
                self._estimate(estimates, arms, int(rng.integers(2**31)))

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
        groups, positions = self.table.group(arms), self.table.position(arms)
        measured = []
        for number in np.unique(self._done[arms]):
            block = self._block(int(number))
            for group in np.unique(groups):
                where = np.flatnonzero((self._done[arms] == number) & (groups == group))
                if where.size:
                    units = torch.as_tensor(positions[where], device=self.device)
                    measured.append((number, where, block.loss_increase(int(group), units)))
        # One transfer, however many blocks and groups: on a GPU each makes the host wait.
        found = torch.cat([values for _, _, values in measured]).cpu().numpy()
        start = 0
        for number, where, values in measured:
            block, stop = self._block(int(number)), start + len(values)
            here, start = found[start:stop], stop
            if self.expected is not None:
                # What this block's samples have of their own cancels.
                own = self.expected[arms[where]] - self._estimates[number, arms[where]]
                here = here + np.where(np.isfinite(own), own, 0.0)
            increase[where] = _bounded(self._round(here, block))
            weight[where] = block.weight / self._mean_weight
            self.n_evaluations += len(where) * len(block.samples)
        self._done[arms] += 1
        self.n_pulls += len(arms)
        return Pulled(increase, weight, self._done[arms] == self.n_blocks)

    def _estimate(self, estimates: Estimates, arms: NDArray[np.intp], seed: int) -> None:
        """Estimates of these arms on each block, and their means over the blocks they are from.

        Of many arms only the safest on some of the blocks are estimated on the others too.
        """
        generator = torch.Generator().manual_seed(seed)
        totals = np.array([self._weights[self._order[part]].sum() for part in self._parts])
        self._estimates = np.full((self.n_blocks, len(self.table)), np.nan)
        self.expected = np.full(len(self.table), np.nan)
        n_some, finalists = self.n_blocks // _SOME_BLOCKS, estimates.finalists
        if finalists is not None and n_some and len(arms) > finalists:
            some = self._block_of(self._order[: self._parts[n_some - 1].stop])
            parts = list(self._parts[:n_some])
            self._fill(some, estimates.kind, generator, parts, arms, totals[:n_some])
            order = np.argsort(self.expected[arms], kind="stable")
            arms = np.sort(arms[order[:finalists]])
        # In the order in which a path keeps what its network computes on them.
        whole = self.activations.block(self.ablations, self.chunk)
        if self.n_blocks == 1 and len(self._order) == len(self._weights):
            self._blocks[0] = whole
        everywhere = [
            torch.as_tensor(self._order[part], device=self.device) for part in self._parts
        ]
        self._fill(whole, estimates.kind, generator, everywhere, arms, totals)

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
        groups, positions = self.table.group(arms), self.table.position(arms)
        units = [
            torch.as_tensor(positions[groups == group], device=self.device)
            for group in range(len(self.table.sizes))
        ]
        found = _bounded(block.estimate(kind, generator, parts, units).cpu().numpy())
        assert self.expected is not None
        self._estimates[: len(parts), arms] = found
        self.expected[arms] = self._round(totals @ found / totals.sum(), block)
        self.n_backward += len(block.samples) * block.passes(kind)

    def _round(self, increase: NDArray[np.float64], block: Block) -> NDArray[np.float64]:
        """Loss increases rounded so that summation order cannot change the ranking.

        Units that change nothing come out as exact ties, and equal samples in another order, or
        in other chunks, choose the same units.
        """
        # A power of two: the loss itself has such digits, which must not come in with it.
        scale = np.exp2(np.ceil(np.log2(max(1.0, block.mean_loss))))
        unit = _RESOLUTION[self.activations.graph.dtype] * scale
        return np.round(increase / unit) * unit

    def _block(self, number: int) -> Block:
        """Samples run through the network once, when the block is first needed."""
        if number not in self._blocks:
            self._blocks[number] = self._block_of(self._order[self._parts[number]])
        return self._blocks[number]

    def _block_of(self, order: NDArray[np.intp]) -> Block:
        """A block of some of the pruning samples, in this order."""
        some = self.activations.at(torch.as_tensor(order, device=self.device))
        return some.block(self.ablations, self.chunk)
