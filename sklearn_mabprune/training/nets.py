"""Multilayer perceptrons as skorch nets that size themselves from the data."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import ValidSplit
from torch import Tensor, nn

from ..data.losses import SEVERAL_LABELS, output_nonlinearity
from ..utils.compat import Interval, StrOptions
from ..utils.validation import check_values
from .auto_size import SelfSizing

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}


class MLP(nn.Sequential):
    """Linear, BatchNorm, activation and Dropout for each hidden layer, then a Linear.

    Parameters
    ----------
    n_features, n_outputs : int
        Usually set by the net, from the data.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Neurons of each hidden layer.
    activation : str, default="relu"
        One of relu, tanh, sigmoid, gelu, silu, elu, leaky_relu, identity.
    dropout : float, default=0.0
        Share of neurons silenced in training.
    batch_norm : bool, default=False
        Normalise pre-activations over the batch.
    random_state : int, optional
        Seeds the weights through a generator of the module's own; None: torch's global one.
    dtype : str, default="float32"
        Of the weights.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune.training.nets import MLP
    >>> MLP(4, 3, hidden_layer_sizes=(8,), random_state=0)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    _parameter_constraints = {
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
    }

    def __init__(
        self,
        n_features: int = 1,
        n_outputs: int = 1,
        hidden_layer_sizes: tuple[int, ...] = (128, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        random_state: int | None = None,
        dtype: str = "float32",
    ):
        values = {"activation": activation, "dropout": dropout, "batch_norm": batch_norm}
        check_values("MLP", self._parameter_constraints, values)
        given = np.atleast_1d(hidden_layer_sizes)
        sizes = [int(size) for size in given]
        if not sizes or given.dtype.kind not in "iu" or min(sizes) < 1:
            raise ValueError(
                f"hidden_layer_sizes={hidden_layer_sizes!r} must name at least one hidden layer, "
                "each size an integer of at least 1."
            )
        options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
        layers: list[nn.Module] = []
        width = n_features
        for size in sizes:
            layers.append(nn.utils.skip_init(nn.Linear, width, size, **options))
            if batch_norm:
                layers.append(nn.BatchNorm1d(size, **options))
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        layers.append(nn.utils.skip_init(nn.Linear, width, n_outputs, **options))
        super().__init__(*layers)
        self._initialise(random_state)

    def __getitem__(self, index: Any) -> Any:
        """A layer, or a part of the network: torch would build that from layers alone."""
        if isinstance(index, slice):
            return nn.Sequential(*list(self)[index])
        return super().__getitem__(index)

    def _initialise(self, random_state: int | None) -> None:
        """Torch's own initialisation of Linear, drawn from one generator."""
        generator = None
        if random_state is not None:
            generator = torch.Generator().manual_seed(random_state)
        for layer in self:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for parameter in (layer.weight, layer.bias):
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)


_NET_PARAMETERS = """
    Parameters
    ----------
    module : class, default=MLP
        Built from ``module__hidden_layer_sizes=(128, 64)``, ``module__activation="relu"``,
        ``module__dropout=0.0``, ``module__batch_norm=False``; see :class:`MLP`.
    criterion : class
        Loss of torch.
    optimizer : class, default=torch.optim.Adam
        Takes ``optimizer__...`` parameters.
    lr : float, default=0.001
        Learning rate.
    max_epochs : int, default=200
        Passes over the training rows at most.
    batch_size : int, default=200
        Rows a step; -1: all.
    early_stopping : bool, default=True
        Stop after `patience` epochs without a lower validation loss, and keep the best
        weights.
    patience : int, default=20
        Epochs without a lower validation loss that end the training.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto": float64 for float64 input of at most 2,000 rows and 2,000 features on
        a CPU.
    random_state : int or None, default=None
        Seeds weights and batch order through generators of the net's own.
    device : str, default="cpu"
        Where the network and the rows are, "cuda" for a GPU.
    verbose : int, default=0
        1 prints a line an epoch.
    **kwargs
        Everything else that skorch's nets take.
"""


class MLPNetClassifier(SelfSizing, NeuralNetClassifier):
    __doc__ = f"""Multilayer perceptron classifier that sizes itself from the data.

    A skorch ``NeuralNetClassifier``: targets are class indices from 0, or an indicator matrix
    of several labels a row, of which each gets an output, and ``BCEWithLogitsLoss`` takes
    the place of ``CrossEntropyLoss``.
    {_NET_PARAMETERS}
    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn_mabprune import MLPNetClassifier
    >>> X, y = make_classification(random_state=0)
    >>> net = MLPNetClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict_proba(X).shape
    (100, 2)
    """

    def __init__(
        self,
        module: Any = MLP,
        *args: Any,
        criterion: Any = nn.CrossEntropyLoss,
        train_split: Any = ValidSplit(10, stratified=True),  # noqa: B008 - never changed
        **kwargs: Any,
    ):
        super().__init__(module, *args, criterion=criterion, train_split=train_split, **kwargs)

    def _targets(self, y: Any) -> Any:
        """Of several labels a row as numbers, for a loss between them and probabilities."""
        return np.asarray(y, dtype=np.float64) if _several(y) else y

    def _count_outputs(self, y: Any) -> int:
        return int(y.shape[1]) if _several(y) else int(np.max(np.asarray(y))) + 1

    def size_from(self, X: Any, y: Any = None) -> None:
        """Read sizes, precision, and whether a row has several labels off the data."""
        super().size_from(X, y)
        self.multilabel_ = _several(y)

    def initialize_criterion(self) -> Any:
        """As in skorch; several labels a row need a loss for each."""
        super().initialize_criterion()
        if getattr(self, "multilabel_", False) and isinstance(self.criterion_, nn.CrossEntropyLoss):
            self.criterion_: nn.Module = nn.BCEWithLogitsLoss(reduction="none")
        return self

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """As in skorch; several labels a row have no strata."""
        split = self.train_split
        if not (_several(y) and isinstance(split, ValidSplit) and split.stratified):
            return super().get_split_datasets(X, y, **fit_params)
        dataset = self.get_dataset(X, y)
        return ValidSplit(split.cv, random_state=split.random_state)(dataset, y)

    def _get_predict_nonlinearity(self) -> Any:
        if self.predict_nonlinearity == "auto" and isinstance(self.criterion_, SEVERAL_LABELS):
            return output_nonlinearity(self)
        return super()._get_predict_nonlinearity()

    def predict(self, X: Any) -> np.ndarray:
        """Class indices, (n_rows,), or an indicator matrix, (n_rows, n_labels)."""
        if isinstance(self.criterion_, SEVERAL_LABELS):
            return (self.predict_proba(X) > 0.5).astype(np.int64)
        return super().predict(X)


def _several(y: Any) -> bool:
    """Whether a row has several labels."""
    return getattr(y, "ndim", 1) == 2 and y.shape[1] > 1


class MLPNetRegressor(SelfSizing, NeuralNetRegressor):
    __doc__ = f"""Multilayer perceptron regressor that sizes itself from the data.

    A skorch ``NeuralNetRegressor``.  Targets are standardised inside (weighted mean and
    standard deviation of each output), predictions are in original units.
    {_NET_PARAMETERS}
    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        What the targets are standardised with.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_mabprune import MLPNetRegressor
    >>> X, y = make_regression(random_state=0)
    >>> net = MLPNetRegressor(max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict(X).shape
    (100, 1)
    """

    def __init__(
        self,
        module: Any = MLP,
        *args: Any,
        criterion: Any = nn.MSELoss,
        train_split: Any = ValidSplit(10),  # noqa: B008 - never changed
        **kwargs: Any,
    ):
        super().__init__(module, *args, criterion=criterion, train_split=train_split, **kwargs)

    def _targets(self, y: Any) -> Any:
        """(n, n_outputs): a flat y against an (n, 1) output would broadcast in the loss."""
        if y is None:
            return None
        y = np.asarray(y).reshape(len(y), -1)
        # Standardised, integers would be rounded.
        return y if y.dtype.kind == "f" else y.astype(np.float64)

    def _count_outputs(self, y: Any) -> int:
        return int(self._targets(y).shape[1])

    def size_from(self, X: Any, y: Any = None) -> None:
        """Read sizes, precision, and the targets' mean and scale off the data."""
        super().size_from(X, y)
        targets = self._targets(y).astype(np.float64)
        weights = X.get("sample_weight") if isinstance(X, dict) else None
        self.target_mean_ = np.average(targets, axis=0, weights=weights)
        variance = np.average((targets - self.target_mean_) ** 2, axis=0, weights=weights)
        # A constant target (up to rounding) is centred only.
        tiny = 10 * np.finfo(float).eps * np.abs(self.target_mean_)
        self.target_scale_ = np.where(np.sqrt(variance) > tiny, np.sqrt(variance), 1.0)

    def initialize_module(self) -> Any:
        """As in skorch; mean and scale of the targets go with the weights into files."""
        super().initialize_module()
        if not hasattr(self, "target_mean_"):
            linears = [m for m in self.module_.modules() if isinstance(m, nn.Linear)]
            n_outputs = linears[-1].out_features if linears else 1
            self.target_mean_, self.target_scale_ = np.zeros(n_outputs), np.ones(n_outputs)
        for name in ("target_mean", "target_scale"):
            self.module_.register_buffer(name, torch.tensor(getattr(self, f"{name}_")))
        return self

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """As in skorch; predictions are in the units of the net that was saved."""
        super().load_params(*args, **kwargs)
        for name in ("target_mean", "target_scale"):
            setattr(self, f"{name}_", getattr(self.module_, name).cpu().numpy().copy())

    def standardise(self, y_true: Tensor) -> Tensor:
        """Targets in the units that the module is trained in."""
        mean = torch.as_tensor(self.target_mean_, device=y_true.device)
        scale = torch.as_tensor(self.target_scale_, device=y_true.device)
        return ((y_true - mean) / scale).to(y_true.dtype)

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Mean over rows of weight times loss, in standardised units."""
        return super().get_loss(y_pred, self.standardise(y_true), X, training)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions in original units, shape (n_rows, n_outputs)."""
        return super().predict(X) * self.target_scale_ + self.target_mean_
