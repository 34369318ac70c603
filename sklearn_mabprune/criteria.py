"""Pruning criteria: importance scores of units that need no pulls.

A criterion scores every unit of a layer, from weights alone or from activations and gradients.
The estimators take it in place of a policy (``policy=``), with the same rounds and removals.
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
    """Input of a criterion: one hidden layer of the current network.

    Parameters
    ----------
    incoming : ndarray of shape (n_units, n_inputs)
        Weights of the layer.
    bias : ndarray of shape (n_units,)
        Bias of the layer; zeros if it has none.
    outgoing : ndarray of shape (n_outputs, n_units)
        Weights of the next layer.
    row_weights : ndarray of shape (n_samples,)
        Weights of the pruning samples, summing to 1.
    activations : ndarray of shape (n_samples, n_units) or None
        Inputs of the next layer, for the pruning samples.  None, like the fields below,
        unless the criterion names the field in ``needs``.
    gradients : ndarray of shape (n_samples, n_units) or None
        Gradient of each sample's loss with respect to its activations.
    residual_variance : ndarray of shape (n_units,) or None
        Residual variance of each unit given the others of the layer: 1 / P_jj, with P the
        inverse of the covariance of the activations plus the ridge.
    """

    incoming: Floats
    bias: Floats
    outgoing: Floats
    row_weights: Floats
    activations: Any = None
    gradients: Any = None
    residual_variance: Any = None


class Criterion(BaseEstimator):
    """Base class of criteria.  A subclass needs :meth:`importance`.

    ``needs`` names the optional fields of :class:`LayerView` that the criterion reads;
    ``_parameter_constraints`` declares allowed types and values of hyper-parameters, as in
    scikit-learn's estimators, and is checked before the training.
    """

    needs_pulls = False
    needs: frozenset[str] = frozenset()
    _parameter_constraints: dict[str, Any] = {}

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Importance of each unit of a layer, low = prune first.

        Parameters
        ----------
        layer : LayerView
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_units,)
        """
        raise NotImplementedError(f"{type(self).__name__} must implement importance(layer, rng).")


class Random(Criterion):
    """Random scores: the baseline of all criteria and policies.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.criteria import LayerView, Random
    >>> layer = LayerView(np.ones((2, 2)), np.zeros(2), np.ones((1, 2)), np.ones(1))
    >>> Random().importance(layer, np.random.default_rng(0)).shape
    (2,)
    """

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Random importance of each unit, uniform in [0, 1)."""
        return rng.random(len(layer.bias))


class Magnitude(Criterion):
    """Norm of the weights of each unit; small ones are pruned first.

    Weights of different layers differ in scale: compare within layers (``scope="layer"``).

    Parameters
    ----------
    order : {1, 2}, default=2
        Order of the norm.
    side : {"incoming", "outgoing"}, default="incoming"
        Which weights; biases are not included.

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
        """Norm of the incoming or outgoing weights of each unit."""
        if self.side == "outgoing":
            return np.linalg.norm(layer.outgoing, ord=self.order, axis=0)
        return np.linalg.norm(layer.incoming, ord=self.order, axis=1)


class PathNorm(Criterion):
    """Norm of incoming weights and bias, times the norm of outgoing weights.

    The only criterion on weights that is invariant when a ReLU unit is rescaled: incoming
    weights times c, outgoing weights divided by c.

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
        """Product of the norms of incoming and outgoing weights of each unit."""
        incoming = np.sqrt((layer.incoming**2).sum(axis=1) + layer.bias**2)
        return incoming * np.linalg.norm(layer.outgoing, axis=0)


class ActivationVariation(Criterion):
    """Variance of the activation of each unit: a nearly constant unit acts as a bias.

    Parameters
    ----------
    outgoing : bool, default=False
        Multiply by the squared norm of the outgoing weights, which gives the variance of the
        next layer's input due to the unit.

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
        """Weighted variance of each unit over the pruning samples."""
        mean = layer.row_weights @ layer.activations
        variance = layer.row_weights @ (layer.activations - mean) ** 2
        return variance * (layer.outgoing**2).sum(axis=0) if self.outgoing else variance


class APoZ(Criterion):
    """Average percentage of zeros: units inactive for most samples are pruned first.

    For ReLU; smooth activations are never exactly zero, so that all units tie.

    References
    ----------
    H. Hu et al., "Network trimming: a data-driven neuron pruning approach towards
    efficient deep architectures", 2016, arXiv 1607.03250.
    """

    needs = frozenset({"activations"})

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Weighted fraction of samples for which each unit is not zero."""
        return layer.row_weights @ (layer.activations != 0)


class Taylor(Criterion):
    """First-order Taylor estimate of the loss change without the unit: ``|mean(a * dL/da)|``.

    References
    ----------
    P. Molchanov et al., "Pruning convolutional neural networks for resource efficient
    inference", ICLR 2017, arXiv 1611.06440.
    """

    needs = frozenset({"activations", "gradients"})

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Absolute weighted mean of activation times gradient, for each unit."""
        return np.abs(layer.row_weights @ (layer.activations * layer.gradients))


class Reconstruction(Criterion):
    """Squared error of the next layer's input after least-squares compensation.

    ``||v||^2 / P_jj``, with the outgoing weights v: the Optimal Brain Surgeon's saliency of a
    whole unit.

    References
    ----------
    B. Hassibi, D. Stork, "Second order derivatives for network pruning: Optimal Brain
    Surgeon", NIPS 1992.
    """

    needs = frozenset({"activations", "residual_variance"})

    def importance(self, layer: LayerView, rng: np.random.Generator) -> Floats:
        """Squared norm of the outgoing weights times the residual variance of each unit."""
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
