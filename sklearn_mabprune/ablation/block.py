"""How much the loss rises when neurons are ablated: many neurons at once, in chunks.

Ablating neuron j of a layer moves the next pre-activations by a rank-1 term, so the rows
run through the network once, and only what stands behind the layer runs again for each
neuron.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.rows import Rows, losses_across
from ..graph.graph import Chain
from ..graph.kinds.registry import LinearKind, run_across
from .compensation import ZeroAblation, make_ablation
from .fast_paths import Suffix

#: Largest temporary, in numbers: what fits a processor's cache, and what keeps a GPU busy.
CHUNK = {"cpu": 2**19, "cuda": 2**25}


class Block:
    """One block of rows run through one network, ready to measure ablations on.

    Parameters
    ----------
    chain : Chain
        The network as it stands.
    rows : Rows
        Of the block.
    ablations : list of ZeroAblation
        One a hidden layer, frozen.
    chunk : int, optional
        Largest temporary, in numbers, but at least one row of the widest layer.  It
        changes speed and memory, not the result.

    Attributes
    ----------
    hidden, behind : list of Tensor of shape (n_rows, width)
        Activations of every hidden layer, pre-activations of the Linear behind each.

    Notes
    -----
    On top of temporaries come the block's own activations (its rows times the sum of the
    layers' widths), and while a layer is measured a matrix of the size of its `P`.
    """

    def __init__(
        self, chain: Chain, rows: Rows, ablations: Sequence[ZeroAblation], chunk: int | None = None
    ):
        self.chain = chain
        self.rows = rows
        self.ablations = ablations
        self.chunk = chunk or CHUNK.get(chain.device.type, CHUNK["cuda"])
        with torch.inference_mode():
            trace = rows.traced(chain)
            self._hidden, self._behind = trace.hidden, trace.behind
            self.base = losses_across(chain, self._behind[-1], rows.targets, rows.loss)
            self.weight = float(rows.weights.sum())
            self.mean_loss = float(self.base @ rows.weights) / self.weight
        self._suffixes: dict[int, Suffix] = {}

    @property
    def across(self) -> tuple[list[Tensor], list[Tensor]]:
        """:attr:`hidden` and :attr:`behind` with the rows in columns, each (width, n_rows)."""
        return self._hidden, self._behind

    @property
    def hidden(self) -> list[Tensor]:
        """Activations of each hidden layer, (n_rows, width)."""
        return [activations.T for activations in self._hidden]

    @property
    def behind(self) -> list[Tensor]:
        """Pre-activations of the Linear behind each hidden layer, (n_rows, width)."""
        return [z.T for z in self._behind]

    def loss_increase(self, layer: int, units: Tensor) -> Tensor:
        """Rise of the mean loss when each of these neurons alone is ablated.

        Parameters
        ----------
        layer : int
            Hidden layer, from 0.
        units : Tensor of int, shape (n_units,)
            Positions in the layer as it stands.

        Returns
        -------
        Tensor of float64, shape (n_units,)
            Weighted mean over the block's rows of masked minus unmasked loss.
        """
        rows, hidden = self.rows, self._hidden[layer]
        if layer not in self._suffixes:
            self._suffixes[layer] = Suffix(
                self.chain, layer, rows, self._behind[layer], self.base, self.chunk
            )
        suffix, ablation = self._suffixes[layer], self.ablations[layer]
        n_rows = len(rows)
        at_once = max(1, self.chunk // max(hidden.shape[0], suffix.widest))
        with torch.inference_mode():
            if at_once >= n_rows:
                residual = ablation.residual_across(hidden, units)
                total = suffix.losses(units, residual, None, ablation.sparse) @ rows.weights
            else:
                total = rows.weights.new_zeros(len(units))
                for first in range(0, n_rows, at_once):
                    part = slice(first, first + at_once)
                    residual = ablation.residual_across(hidden[:, part], units)
                    losses = suffix.losses(units, residual, part, ablation.sparse)
                    total += losses @ rows.weights[part]
            return total / self.weight - self.mean_loss

    def loss_increase_together(self, units: Sequence[Tensor | None]) -> float:
        """Rise of the mean loss when these neurons of all layers are ablated together.

        Parameters
        ----------
        units : sequence of Tensor of int or None, one a hidden layer
            Positions in each layer as it stands; None or empty: nothing of that layer.
        """
        chain = self.chain
        with torch.inference_mode():
            z = self._hidden[0]
            for layer, which in enumerate(units):
                hidden = run_across(chain.stages[layer].after, z) if layer else z
                following = chain.stages[layer + 1].linear
                z = LinearKind.across(following, hidden)
                if which is not None and len(which):
                    residual = self.ablations[layer].residual_together(hidden.T, which)
                    z = z - LinearKind.enter_together(following, residual, which).T
            losses = losses_across(chain, z, self.rows.targets, self.rows.loss)
            return float((losses - self.base) @ self.rows.weights) / self.weight


class LayerStatistics:
    """The ablations of all layers, kept up to date over a path.

    A removal down-dates its own layer.  Layers behind it become stale, since what they
    read has changed; a layer's statistics are made anew when another share `refresh` of the
    neurons before it is gone: five times over a whole path, by default.  What the first
    layer reads never changes.

    Parameters
    ----------
    name : {"least_squares", "mean", "zero"}
    ridge : float
        Share of the mean variance of a layer's activations.
    refresh : float
        Share of the original neurons in the layers before one.

    Attributes
    ----------
    n_factorisations : list of int
        How often each layer's statistics were made.
    """

    def __init__(self, name: str, ridge: float, refresh: float = 0.2):
        self.name = name
        self.ridge = ridge
        self.refresh = refresh
        self.ablations: list[ZeroAblation] = []
        self.n_factorisations: list[int] = []
        self._original: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._made_at: NDArray[np.intp] = self._original

    def update(self, chain: Chain, rows: Rows) -> list[ZeroAblation]:
        """Statistics for the network as it stands, made anew where they are stale."""
        sizes = chain.hidden_sizes
        # The first layer reads the features: nothing before it can go.
        left = np.cumsum([1, *sizes[:-1]])
        left[1:] -= 1
        if not self.ablations:
            # The list stays the same object: others hold it.
            self.n_factorisations[:] = [0] * len(left)
            self._original = left
            self._made_at = np.full(len(left), -1)
            self.ablations = [None] * len(left)  # type: ignore[list-item]
        # The tiny amount keeps .8 of 20 neurons from being less than 16.
        periods = np.floor((1 - left / self._original) / self.refresh + 1e-9).astype(np.intp)
        stale = np.flatnonzero(periods > self._made_at)
        if stale.size:
            with torch.inference_mode():
                hidden = rows.traced(chain).hidden
                for layer in stale:
                    self.ablations[layer] = make_ablation(
                        self.name, hidden[layer].T, rows.weights, self.ridge
                    )
                    self.n_factorisations[layer] += 1
                    self._made_at[layer] = periods[layer]
        return self.ablations
