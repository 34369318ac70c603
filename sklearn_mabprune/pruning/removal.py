"""Units removed from a network together, and what was known of the network brought up to date."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..graph.units import UnitTable


def remove_together(
    activations: Any, table: UnitTable, arms: NDArray[np.intp], ablations: Any
) -> Any:
    """The network without these live units, on the same samples.

    Parameters
    ----------
    activations : Activations
        Of the network as it stands; left as they are.
    table : UnitTable
        With the arms still live.
    arms : ndarray of int
        Units to remove.
    ablations : object
        Of the statistics of these activations: they say what the units' readers take over, and
        are brought up to date.
    """
    groups, positions = table.group(arms), table.position(arms)
    units: list[torch.Tensor | None] = []
    for number in range(len(table.sizes)):
        gone = np.sort(positions[groups == number])
        device = activations.graph.device
        units.append(torch.as_tensor(gone, device=device) if gone.size else None)
    return activations.without(units, ablations)
