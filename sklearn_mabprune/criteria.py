"""Criteria: scores that need no pull, under the same parameter as policies.

A criterion gives every neuron of a layer an importance, from weights alone or from
activations.  They run through the same rounds and the same surgery as policies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerView:
    """What a criterion may look at: one hidden layer of the network as it stands.

    Parameters
    ----------
    incoming : ndarray of shape (n_neurons, n_inputs)
    bias : ndarray of shape (n_neurons,)
        Zeros where the layer has none.
    outgoing : ndarray of shape (n_outputs, n_neurons)
        Weights of the next layer.
    """

    incoming: Floats
    bias: Floats
    outgoing: Floats


class Criterion(BaseEstimator):
    """Base of all criteria.  A subclass needs :meth:`importance`."""

    needs_pulls = False

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Importance of each neuron of a layer, low = prune first.

        Parameters
        ----------
        layer : LayerView
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_neurons,)
        """
        raise NotImplementedError(f"{type(self).__name__} does not score neurons.")


class Magnitude(Criterion):
    """Norm of each neuron's incoming weights: small ones go first.

    Parameters
    ----------
    order : {1, 2}, default=2
        Of the norm.

    References
    ----------
    H. Li et al., "Pruning filters for efficient ConvNets", ICLR 2017, arXiv 1608.08710.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.criteria import LayerView, Magnitude
    >>> layer = LayerView(np.array([[3.0, 4.0], [1.0, 0.0]]), np.zeros(2), np.ones((1, 2)))
    >>> Magnitude().importance(layer, np.random.default_rng(0))
    array([5., 1.])
    """

    def __init__(self, *, order: int = 2):
        self.order = order

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Norm of the incoming weights, without the bias."""
        return np.linalg.norm(layer.incoming, ord=self.order, axis=1)


class Random(Criterion):
    """Any neuron may go: what every other way of choosing has to beat.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.criteria import LayerView, Random
    >>> layer = LayerView(np.ones((2, 2)), np.zeros(2), np.ones((1, 2)))
    >>> Random().importance(layer, np.random.default_rng(0)).shape
    (2,)
    """

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Uniform draws."""
        return rng.random(len(layer.bias))


#: Every criterion by the name that ``policy=`` takes.
CRITERIA: dict[str, type[Criterion]] = {"magnitude": Magnitude, "random": Random}
