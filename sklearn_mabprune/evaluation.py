"""How much the loss rises when neurons are ablated: many neurons at once, in chunks.

Ablating neuron j of a layer moves the next pre-activations by a rank-1 term, so the rows
run through the network once, and only what stands behind the layer runs again for each
neuron.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .ablation import ZeroAblation, make_ablation
from .chain import Chain, run
from .layers import LinearKind
from .losses import RowLoss
from .sparse_rows import SparseRows

#: Largest temporary, in numbers: what fits a processor's cache, and what keeps a GPU busy.
CHUNK = {"cpu": 2**18, "cuda": 2**25}


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
    """

    x: Tensor | SparseRows
    targets: Tensor
    weights: Tensor
    loss: RowLoss

    def __len__(self) -> int:
        return len(self.x)

    def at(self, index: Tensor) -> Rows:
        """These rows only, in this order."""
        return Rows(self.x[index], self.targets[index], self.weights[index], self.loss)

    def mean_loss(self, chain: Chain) -> float:
        """Weighted mean loss of a network on these rows."""
        with torch.inference_mode():
            losses = self.loss(chain.forward(self.x), self.targets).double()
            return float(losses @ self.weights / self.weights.sum())


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
            self.hidden, self.pre = chain.activations(rows.x)
            outputs = run(chain.stages[-1].after, self.pre[-1])
            self.base = rows.loss(outputs, rows.targets).double()
            self.weight = float(rows.weights.sum())
            self.mean_loss = float(self.base @ rows.weights) / self.weight

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
        chain = self.chain
        n_rows = len(self.rows)
        here, *behind = (stage.linear.out_features for stage in chain.stages[layer:])
        rows_at_once = max(1, min(n_rows, self.chunk // max(here, *behind)))
        units_at_once = max(1, self.chunk // (max(behind) * rows_at_once))
        increase = torch.zeros(len(units), dtype=torch.float64, device=chain.device)
        with torch.inference_mode():
            for first in range(0, n_rows, rows_at_once):
                part = slice(first, first + rows_at_once)
                residual = self.ablations[layer].residual(self.hidden[layer][part], units)
                start = 0
                while start < len(units):
                    some = slice(start, start + units_at_once)
                    try:
                        increase[some] += self._increase(
                            layer, units[some], residual[:, some], part
                        )
                    except torch.OutOfMemoryError:  # pragma: no cuda cover
                        if units_at_once == 1:
                            raise
                        units_at_once = max(1, units_at_once // 2)
                        continue
                    start += units_at_once
        return increase / self.weight

    def _increase(self, layer: int, units: Tensor, residual: Tensor, part: slice) -> Tensor:
        """Weighted sum of the rise over some rows, for some units."""
        following = self.chain.stages[layer + 1].linear
        moved = LinearKind.enter(following, residual, units)
        masked = (self.pre[layer + 1][part] - moved).flatten(0, 1)
        outputs = self.chain.finish(masked, layer + 1)
        targets = self.rows.targets[part]
        repeated = targets.expand(len(units), *targets.shape).flatten(0, 1)
        losses = self.rows.loss(outputs, repeated).double().view(len(units), -1)
        return (losses - self.base[part]) @ self.rows.weights[part]

    def loss_increase_together(self, units: Sequence[Tensor | None]) -> float:
        """Rise of the mean loss when these neurons of all layers are ablated together.

        Parameters
        ----------
        units : sequence of Tensor of int or None, one a hidden layer
            Positions in each layer as it stands; None or empty: nothing of that layer.
        """
        chain = self.chain
        with torch.inference_mode():
            z = self.pre[0]
            for layer, which in enumerate(units):
                hidden = run(chain.stages[layer].after, z)
                following = chain.stages[layer + 1].linear
                z = following(hidden)
                if which is not None and len(which):
                    residual = self.ablations[layer].residual_together(hidden, which)
                    z = z - LinearKind.enter_together(following, residual, which)
            outputs = run(chain.stages[-1].after, z)
            losses = self.rows.loss(outputs, self.rows.targets).double()
            return float((losses - self.base) @ self.rows.weights) / self.weight


class LayerStatistics:
    """The ablations of all layers, kept up to date over a path.

    A removal down-dates its own layer.  Layers behind it become stale, since what they
    read has changed; a layer's statistics are made anew when it or what is before it has
    shrunk by `refresh` since they were made.

    Parameters
    ----------
    name : {"least_squares", "mean", "zero"}
    ridge : float
        Share of the mean variance of a layer's activations.
    refresh : float
        Share by which widths shrink before statistics are made anew.

    Attributes
    ----------
    n_factorisations : list of int
        How often each layer's statistics were made.
    """

    def __init__(self, name: str, ridge: float, refresh: float = 0.1):
        self.name = name
        self.ridge = ridge
        self.refresh = refresh
        self.ablations: list[ZeroAblation] = []
        self.n_factorisations: list[int] = []
        self._made_at: list[tuple[int, ...]] = []

    def update(self, chain: Chain, rows: Rows) -> list[ZeroAblation]:
        """Statistics for the network as it stands, made anew where they are stale."""
        sizes = chain.hidden_sizes
        if not self.ablations:
            # The list stays the same object: others hold it.
            self.n_factorisations[:] = [0] * len(sizes)
            self._made_at = [()] * len(sizes)
        stale = [layer for layer in range(len(sizes)) if self._is_stale(layer, sizes)]
        if stale:
            with torch.inference_mode():
                hidden, _ = chain.activations(rows.x)
                self.ablations = self.ablations or [None] * len(sizes)  # type: ignore[list-item]
                for layer in stale:
                    self.ablations[layer] = make_ablation(
                        self.name, hidden[layer], rows.weights, self.ridge
                    )
                    self.n_factorisations[layer] += 1
                    self._made_at[layer] = sizes
        return self.ablations

    def _is_stale(self, layer: int, sizes: tuple[int, ...]) -> bool:
        then = self._made_at[layer]
        if not then:
            return True
        return any(
            now < (1 - self.refresh) * before
            for now, before in zip(sizes[: layer + 1], then[: layer + 1], strict=True)
        )
