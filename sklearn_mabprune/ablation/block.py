"""How much the loss rises when units are ablated: many units at once, in chunks.

Ablating unit j of a group moves what its reader returns by a rank-1 term, so the samples run
through the network once, and only what is downstream of the reader runs again for each unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.graph import Graph
from .chunks import chunk_for
from .compensation import ZeroAblation
from .estimates import estimate
from .fast_paths import FastPaths
from .loss_models import passes
from .outputs import sample_losses


class Block:
    """One block of samples run through one network, ready to measure ablations on.

    Parameters
    ----------
    graph : Graph
        The network as it stands.
    samples : Samples
    values : mapping of int to Tensor of shape (n_units, n_samples)
        What it computes on them: values that groups are read as, and that readers return.
    ablations : list of ZeroAblation
        One for each group, frozen.
    chunk : int, optional
        Largest temporary, in numbers, but at least one sample of the widest layer.  It
        changes speed and memory, not the result.

    Attributes
    ----------
    base : Tensor of float64, shape (n_samples,)
        Loss of each sample as it is.
    weight : float
        Sum of the sample weights.
    mean_loss : float
        Weighted mean loss.

    Notes
    -----
    On top of temporaries come the block's own activations (its samples times the sum of the
    groups' sizes), and while a group is measured a matrix of the size of its `P`.
    """

    def __init__(
        self,
        graph: Graph,
        samples: Samples,
        values: Mapping[int, Tensor],
        ablations: Sequence[ZeroAblation],
        chunk: int | None = None,
    ):
        self.graph, self.samples, self.ablations = graph, samples, ablations
        self.chunk = chunk or chunk_for(self.graph.device)
        # Kept while the block is there, however large.
        self.values = values
        self.logits = self.values[self.graph.logits]
        with torch.inference_mode():
            self.base = sample_losses(graph, self.logits, samples.targets, samples.loss)
            weights = self.samples.weights
            # One transfer: on a GPU each makes the host wait.
            self.weight, total = torch.stack([weights.sum(), self.base @ weights]).cpu().tolist()
            self.mean_loss = total / self.weight
        self._paths: dict[int, FastPaths] = {}

    def loss_increase(self, number: int, units: Tensor) -> Tensor:
        """Rise of the mean loss when each of these units alone is ablated.

        Parameters
        ----------
        number : int
            Of the group.
        units : Tensor of int, shape (n_units,)
            Positions in the group as it stands.

        Returns
        -------
        Tensor of float64, shape (n_units,)
            Weighted mean over the block's samples of masked minus unmasked loss.
        """
        hidden = self.values[self.graph.groups[number].value]
        weights, ablation = self.samples.weights, self.ablations[number]
        if number not in self._paths:
            pre = self.values[self.graph.reader(self.graph.groups[number]).value]
            self._paths[number] = FastPaths(
                self.graph, self.samples, number, pre, self.base, self.chunk
            )
        paths = self._paths[number]
        n_samples = len(self.samples)
        at_once = max(1, self.chunk // max(len(hidden), paths.widest))
        with torch.inference_mode():
            if at_once >= n_samples:
                residual = ablation.residual(hidden, units)
                total = paths.losses(units, residual, None, ablation.sparse) @ weights
            else:
                total = weights.new_zeros(len(units))
                for first in range(0, n_samples, at_once):
                    part = slice(first, first + at_once)
                    residual = ablation.residual(hidden[:, part], units)
                    losses = paths.losses(units, residual, part, ablation.sparse)
                    total += losses @ weights[part]
            return total / self.weight - self.mean_loss

    def estimate(
        self,
        kind: str,
        generator: torch.Generator,
        parts: Sequence[slice | Tensor] = (slice(None),),
        units: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Estimated rises, (n_parts, n_units); see :func:`~.estimates.estimate`."""
        return estimate(self, kind, generator, parts, units)

    def passes(self, kind: str) -> int:
        """Backward passes that an estimate takes."""
        return passes(kind, self)
