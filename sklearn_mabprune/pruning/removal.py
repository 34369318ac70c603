"""Units removed from a network together, and what was known of the network brought up to date."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..ablation.activations import Activations
from ..ablation.compensation import ZeroAblation, kept
from ..graph.kinds.base import Fold
from ..graph.surgery import cut
from ..graph.units import UnitTable


def remove_together(
    activations: Activations,
    table: UnitTable,
    arms: NDArray[np.intp],
    ablations: Sequence[ZeroAblation],
) -> Activations:
    """The network without these live units, on the same samples.

    Parameters
    ----------
    activations : Activations
        Of the network as it stands; left as they are.
    table : UnitTable
        With the arms still live.
    arms : ndarray of int
        Units to remove.
    ablations : sequence of ZeroAblation, one for each group
        They say what the units' readers take over, and are brought up to date.
    """
    graph = activations.graph
    groups, positions = table.group(arms), table.position(arms)
    keep: list[torch.Tensor | None] = []
    folds: list[Fold] = []
    for number, group in enumerate(graph.groups):
        units = np.sort(positions[groups == number])
        if units.size == 0:
            keep.append(None)
            folds.append(None)
            continue
        gone = torch.as_tensor(units, device=graph.device)
        keep.append(kept(gone, group.size))
        folds.append(ablations[number].fold(gone))
        ablations[number].remove(gone)
    return activations.after(cut(graph, keep, folds), keep, folds)
