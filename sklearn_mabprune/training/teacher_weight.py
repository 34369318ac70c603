"""How much a network should listen to a teacher, from samples that neither has seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .teacher_targets import Floats, Targets

# Fraction of the teacher's labels in the targets of training samples, where it is worth anything.
_WEIGHT = 0.5
# Fraction of the teacher in the best mixture of both below which it is worth nothing.
_LEAST = 0.2
# Fraction of the teacher in labels that are averaged with those of networks, at least.
_LEAST_SHARE = 0.5
# Mixtures that are compared.
_SHARES = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class Comparison:
    """A teacher beside a network that was trained without it, on samples that neither has seen.

    Parameters
    ----------
    teacher_loss, network_loss : float
        Log-loss, or root mean squared error.
    teacher_score, network_score : float
        Accuracy, or R2.
    share : float in [0, 1]
        Fraction of the teacher in the mixture of both predictions that has the lowest loss; NaN
        where it is not known, and the teacher is then trusted.
    n_compared : int
        Number of samples.
    """

    teacher_loss: float
    network_loss: float
    teacher_score: float
    network_score: float
    share: float
    n_compared: int

    @property
    def weight(self) -> float:
        """Weight of the teacher in training: 0 if the network is better without it."""
        return 0.0 if self.share < _LEAST else _WEIGHT

    @property
    def part(self) -> float:
        """Fraction of the teacher in labels that are averaged with those of networks."""
        return max(self.share, _LEAST_SHARE)


#: Where nothing can be compared.
UNKNOWN = Comparison(np.nan, np.nan, np.nan, np.nan, np.nan, 0)


def compare(
    targets: Targets,
    teacher: Floats,
    network: Floats | None,
    y: NDArray[np.generic],
    weights: Floats | None,
) -> Comparison:
    """Compare predictions for the same samples.

    Parameters
    ----------
    targets : Targets
    teacher, network : ndarray of shape (n_samples, n_outputs)
        Soft labels; those of a network may be missing.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets as a net wants them.
    weights : ndarray of shape (n_samples,) or None

    Returns
    -------
    Comparison
    """

    def loss(labels: Floats) -> float:
        return float(np.average(targets.losses(labels, y), weights=weights))

    found = loss(teacher), targets.score(teacher, y, weights)
    if network is None:
        return Comparison(targets.shown(found[0]), np.nan, found[1], np.nan, np.nan, len(y))
    losses = [loss(share * teacher + (1 - share) * network) for share in _SHARES]
    return Comparison(
        targets.shown(found[0]),
        targets.shown(losses[0]),
        found[1],
        targets.score(network, y, weights),
        float(_SHARES[int(np.argmin(losses))]),
        len(y),
    )
