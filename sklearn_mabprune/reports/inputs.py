"""What a fit reports of the choice of its network's inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class InputsReport:
    """Which inputs a fit chose for its network, from trainings with both.

    Attributes
    ----------
    n_functions : int
        Functions of each feature in the input stage of the network; 0 without a stage.
    n_default, n_tried : int
        Those of the two networks that were compared.
    loss_default, loss_tried : float
        Validation losses of the two, in units of the net's criterion.
    error : float
        Standard error of their difference.
    n_samples : int
        Training samples of the comparison.
    seconds : float
        Time for both trainings, or for the one that was in vain: without a teacher, the other
        one is the initial training if it had all training samples, and counts as such.
    """

    n_functions: int
    n_default: int
    n_tried: int
    loss_default: float
    loss_tried: float
    error: float
    n_samples: int
    seconds: float

    def notes(self) -> list[str]:
        """A line of the report of a fit."""
        # Of one sample the difference has no error.
        error = f" (error of the difference {self.error:.2g})" * math.isfinite(self.error)
        return [
            f"inputs: {_named(self.n_functions)}; validation loss with "
            f"{_named(self.n_default)} {self.loss_default:.4g}, with {_named(self.n_tried)} "
            f"{self.loss_tried:.4g}{error}, {self.seconds:.2f} seconds"
        ]


def _named(n_functions: int) -> str:
    """What a network reads."""
    return f"{n_functions} functions of each feature" if n_functions else "features alone"
