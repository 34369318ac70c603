"""Posterior sampling: Thompson with Gaussian rewards of unknown mean and variance."""

from __future__ import annotations

import numpy as np

from .base import Arms, Floats, IndexPolicy


class Thompson(IndexPolicy):
    """Draw a mean from every arm's posterior and pull the highest draws.

    Rewards are Gaussian with unknown mean and variance under a normal-inverse-gamma
    prior, whose posterior of the mean is a Student t distribution: with n pulls of mean
    x and summed squared deviation S, ``kappa = prior_count + n``,
    ``m = (prior_count * prior_mean + n * x) / kappa``, ``alpha = prior_shape + n / 2``,
    ``beta = prior_scale + S / 2 + prior_count * n * (x - prior_mean)^2 / (2 * kappa)``,
    and the mean is ``m + sqrt(beta / (alpha * kappa)) * t(2 alpha)``.

    Parameters
    ----------
    prior_mean : float, default=0.5
        Expected reward before any pull; rewards are scaled so that the safer half of
        the neurons spans [0, 1].
    prior_count : float, default=0.01
        How many pulls the prior mean is worth.
    prior_shape : float, default=1.0
        Shape of the inverse-gamma prior of the variance: half as many pulls as the
        prior variance is worth.
    prior_scale : float, default=0.001
        Scale of the inverse-gamma prior; prior_scale / prior_shape is about the variance
        of a pull that is expected.

    References
    ----------
    J. Honda, A. Takemura, "Optimality of Thompson sampling for Gaussian bandits depends
    on priors", AISTATS 2014; K. Murphy, "Conjugate Bayesian analysis of the Gaussian
    distribution", 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Thompson
    >>> policy = Thompson().start(np.arange(3), rng=0)
    >>> for _ in range(20):
    ...     policy.update([0, 1, 2], [0.1, 0.9, 0.5])
    >>> policy.select(1)
    array([1])
    """

    def __init__(
        self,
        *,
        prior_mean: float = 0.5,
        prior_count: float = 0.01,
        prior_shape: float = 1.0,
        prior_scale: float = 0.001,
    ):
        self.prior_mean = prior_mean
        self.prior_count = prior_count
        self.prior_shape = prior_shape
        self.prior_scale = prior_scale

    def posterior(self, arms: Arms) -> tuple[Floats, Floats, Floats]:
        """Location, scale and degrees of freedom of each arm's Student t posterior."""
        n = self.counts_[arms]
        mean = np.where(n > 0, self.mean(arms), self.prior_mean)
        kappa = self.prior_count + n
        location = (self.prior_count * self.prior_mean + n * mean) / kappa
        alpha = self.prior_shape + n / 2
        shift = self.prior_count * n * (mean - self.prior_mean) ** 2 / kappa
        beta = self.prior_scale + (n * self.variance(arms) + shift) / 2
        return location, np.sqrt(beta / (alpha * kappa)), 2 * alpha

    def index(self, arms: Arms) -> Floats:
        """One posterior draw of the mean an arm, shape (n_arms,)."""
        location, scale, dof = self.posterior(arms)
        return location + scale * self.rng_.standard_t(dof)
