"""Criteria: scores that need no pull, under the same parameter as policies.

A criterion gives every neuron of a layer an importance, from weights alone or from
activations.  They run through the same rounds and the same surgery as policies.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .utils.compat import Interval, StrOptions

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
    row_weights : ndarray of shape (n_rows,)
        Of the pruning rows, summing to 1.
    activations : ndarray of shape (n_rows, n_neurons) or None
        What the next layer reads, on the pruning rows.  This and what follows is there
        for criteria that name it in ``needs``.
    gradients : ndarray of shape (n_rows, n_neurons) or None
        Of each row's loss with respect to its activations.
    residual_variance : ndarray of shape (n_neurons,) or None
        1 / P_jj, with P the inverse of the ridged covariance of the activations.
    """

    incoming: Floats
    bias: Floats
    outgoing: Floats
    row_weights: Floats
    activations: Any = None
    gradients: Any = None
    residual_variance: Any = None


class Criterion(BaseEstimator):
    """Base of all criteria.  A subclass needs :meth:`importance`.

    ``needs`` names the optional parts of a :class:`LayerView` that it looks at;
    ``_parameter_constraints`` declares what every hyper-parameter may be, as in scikit-learn's
    estimators, and is checked before anything is trained.
    """

    needs_pulls = False
    needs: frozenset[str] = frozenset()
    _parameter_constraints: dict[str, Any] = {}

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


class Random(Criterion):
    """Any neuron may go: what every other way of choosing has to beat.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.criteria import LayerView, Random
    >>> layer = LayerView(np.ones((2, 2)), np.zeros(2), np.ones((1, 2)), np.ones(1))
    >>> Random().importance(layer, np.random.default_rng(0)).shape
    (2,)
    """

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Uniform draws."""
        return rng.random(len(layer.bias))


class Magnitude(Criterion):
    """Norm of each neuron's weights: small ones go first.

    Weights of different layers differ in size: compare within layers (``scope="layer"``).

    Parameters
    ----------
    order : {1, 2}, default=2
        Of the norm.
    side : {"incoming", "outgoing"}, default="incoming"
        Which weights, biases apart.

    References
    ----------
    H. Li et al., "Pruning filters for efficient ConvNets", ICLR 2017, arXiv 1608.08710.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.criteria import LayerView, Magnitude
    >>> layer = LayerView(
    ...     np.array([[3.0, 4.0], [1.0, 0.0]]), np.zeros(2), np.ones((1, 2)), np.ones(1)
    ... )
    >>> Magnitude().importance(layer, np.random.default_rng(0))
    array([5., 1.])
    """

    _parameter_constraints = {
        "order": [Interval(Integral, 1, 2, closed="both")],
        "side": [StrOptions({"incoming", "outgoing"})],
    }

    def __init__(self, *, order: int = 2, side: str = "incoming"):
        self.order = order
        self.side = side

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Norm of the weights on one side."""
        if self.side == "outgoing":
            return np.linalg.norm(layer.outgoing, ord=self.order, axis=0)
        return np.linalg.norm(layer.incoming, ord=self.order, axis=1)


class PathNorm(Criterion):
    """Norm of incoming weights and bias, times the norm of outgoing weights.

    The only criterion on weights that stays the same when a ReLU neuron is rescaled:
    incoming times c, outgoing divided by c.

    References
    ----------
    B. Neyshabur, R. Salakhutdinov, N. Srebro, "Path-SGD: path-normalized optimization in
    deep neural networks", NIPS 2015, arXiv 1506.02617.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.criteria import LayerView, PathNorm
    >>> layer = LayerView(
    ...     np.array([[3.0], [0.0]]), np.array([4.0, 1.0]), 2 * np.ones((1, 2)), np.ones(1)
    ... )
    >>> PathNorm().importance(layer, np.random.default_rng(0))
    array([10.,  2.])
    """

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Product of both norms."""
        incoming = np.sqrt((layer.incoming**2).sum(axis=1) + layer.bias**2)
        return incoming * np.linalg.norm(layer.outgoing, axis=0)


class ActivationVariation(Criterion):
    """Variance of each neuron's activation: a neuron that hardly varies is a bias.

    Parameters
    ----------
    outgoing : bool, default=False
        Multiply by the squared norm of the outgoing weights: how much the next layer's
        input varies because of the neuron.

    References
    ----------
    J. Sietsma, R. Dow, "Creating artificial neural networks that generalize", Neural
    Networks 4, 1991.
    """

    needs = frozenset({"activations"})
    _parameter_constraints = {"outgoing": ["boolean"]}

    def __init__(self, *, outgoing: bool = False):
        self.outgoing = outgoing

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Weighted variance over the pruning rows."""
        mean = layer.row_weights @ layer.activations
        variance = layer.row_weights @ (layer.activations - mean) ** 2
        return variance * (layer.outgoing**2).sum(axis=0) if self.outgoing else variance


class APoZ(Criterion):
    """Average percentage of zeros: neurons that are silent on most rows go first.

    Made for ReLU; smooth activations are never exactly zero, and all neurons tie.

    References
    ----------
    H. Hu et al., "Network trimming: a data-driven neuron pruning approach towards
    efficient deep architectures", 2016, arXiv 1607.03250.
    """

    needs = frozenset({"activations"})

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Weighted share of rows on which the neuron is not zero."""
        return layer.row_weights @ (layer.activations != 0)


class Taylor(Criterion):
    """First-order estimate of the loss without the neuron: ``|mean(a * dL/da)|``.

    References
    ----------
    P. Molchanov et al., "Pruning convolutional neural networks for resource efficient
    inference", ICLR 2017, arXiv 1611.06440.
    """

    needs = frozenset({"activations", "gradients"})

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Absolute weighted mean of activation times gradient."""
        return np.abs(layer.row_weights @ (layer.activations * layer.gradients))


class Reconstruction(Criterion):
    """Error in the next layer's input after the rest of the layer has taken over.

    ``||v||^2 / P_jj``: the Optimal Brain Surgeon's saliency for a whole neuron, whose
    weights v into the next layer are set free of it.

    References
    ----------
    B. Hassibi, D. Stork, "Second order derivatives for network pruning: Optimal Brain
    Surgeon", NIPS 1992.
    """

    needs = frozenset({"activations", "residual_variance"})

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Squared outgoing norm times the residual variance."""
        return (layer.outgoing**2).sum(axis=0) * layer.residual_variance


#: Every criterion by the name that ``policy=`` takes.
CRITERIA: dict[str, type[Criterion]] = {
    "random": Random,
    "magnitude": Magnitude,
    "path_norm": PathNorm,
    "activation_variation": ActivationVariation,
    "apoz": APoZ,
    "taylor": Taylor,
    "reconstruction": Reconstruction,
}
