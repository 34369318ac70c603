"""Multilayer perceptrons as skorch nets that size themselves from the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import ValidSplit
from torch import Tensor, nn

from ..data.losses import SEVERAL_LABELS, has_other_units, output_nonlinearity
from ..data.targets import mean_and_scale
from ..graph.kinds.registry import kind_of, layers_of
from ..utils.compat import uncompiled
from ..utils.docstrings import documented_by
from .auto_size import SelfSizing
from .mlp import MLP
from .net_inputs import read_features

_ENTRIES = {
    "module": """module : class, default=MLP
    Built from ``module__hidden_layer_sizes=(128, 64)``, (256, 128) for more than ten outputs,
    ``module__activation="relu"``, ``module__dropout=0.0`` (0.1 behind an input stage, see
    `inputs`), ``module__batch_norm=False``; see :class:`MLP`.""",
    "optimizer": """optimizer : class, default=torch.optim.Adam
    Optimizer of torch; parameters of it are passed as ``optimizer__...``.""",
    "lr": """lr : float or "auto", default="auto"
    Learning rate. "auto": .003 with an input stage (see `inputs`), .001 without.""",
    "max_epochs": """max_epochs : int, default=200
    Largest number of passes over the training samples.""",
    "batch_size": """batch_size : int, default=200
    Samples per step; -1: all.""",
    "early_stopping": """early_stopping : bool, default=True
    Stop after `patience` epochs without a lower validation loss, and keep the best
    weights.""",
    "patience": """patience : int, default=20
    Epochs without a lower validation loss that end the training.""",
    "inputs": """inputs : {"auto", "piecewise_linear"} or None, default="auto"
    Input stage of :class:`MLP`, part of the network. "piecewise_linear": features are scaled
    by median and interquartile range and bounded smoothly, and beside each of them stand
    `n_functions` learned piecewise-linear functions of it; see
    :class:`PiecewiseLinearEmbedding`. "auto": that, from 1,000 training samples on and from 50
    for each feature with more than two values, for at most 256 features, or where `n_functions`
    is a number; with ``n_functions="auto"`` validation samples may decide otherwise. None: the
    features as they are. Sparse features, and those with two values, are read as they are.""",
    "n_functions": """n_functions : int or "auto", default="auto"
    Functions of each feature with more than two values in an input stage. A number asks for
    that stage, of any number of samples; a warning says so where there is none. "auto": 3. In
    the fit of :class:`MABPrunedClassifier` and :class:`MABPrunedRegressor`, a network with 8 is
    trained as well, from 300 training samples on and from 25 for each such feature; it is taken
    if its validation loss is lower by more than half a standard error.""",
    "dtype": """dtype : {"auto", "float32", "float64"}, default="auto"
    Precision. "auto": float64 for float64 input of at most 2,000 samples and 2,000 features
    on a CPU.""",
    "random_state": """random_state : int or None, default=None
    Seeds the weights and the order of the batches, through the net's own generators.""",
    "device": """device : str, default="cpu"
    Device of the network and the samples, "cuda" for a GPU.""",
    "verbose": """verbose : int, default=0
    1 prints a line per epoch.""",
    "kwargs": """**kwargs
    All other parameters of skorch's nets.""",
}


@documented_by(_ENTRIES)
class MLPNetClassifier(SelfSizing, NeuralNetClassifier):
    """Multilayer perceptron classifier that sizes itself from the data.

    A skorch ``NeuralNetClassifier``: targets are class indices from 0, or a multilabel indicator
    matrix, for which the network has an output for each label, and ``BCEWithLogitsLoss`` in place
    of ``CrossEntropyLoss``.

    Parameters
    ----------
    {module}
    criterion : class, default=torch.nn.CrossEntropyLoss
        Loss of torch.
    {optimizer}
    {lr}
    {max_epochs}
    {batch_size}
    {early_stopping}
    {patience}
    {inputs}
    {n_functions}
    {dtype}
    {random_state}
    {device}
    {verbose}
    {kwargs}

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
        """Multilabel targets as floats, as the loss takes them; checked class indices."""
        if _is_multilabel(y):
            return np.asarray(y, dtype=np.float64)
        n_classes = getattr(self, "module__n_outputs", getattr(self, "n_outputs_", None))
        if n_classes is not None and y is not None:
            self._check_indices(y, n_classes)
        return y.astype(np.int64) if str(getattr(y, "dtype", "")) == "bool" else y

    def _count_outputs(self, y: Any) -> int:
        if _is_multilabel(y):
            return int(y.shape[1])
        if self.classes is not None:
            return len(self.classes)
        self._check_indices(y)
        return int(np.max(np.asarray(y))) + 1

    def _check_indices(self, y: Any, n_classes: int | None = None) -> None:
        """Refuse targets that are not class indices from 0 to `n_classes` - 1.

        Raises
        ------
        ValueError
            It names the first of the other values.
        """
        values, name = np.asarray(y), type(self).__name__
        if values.dtype.kind not in "iub":
            raise ValueError(
                f"y of {name} must contain class indices, integers from 0, but contains "
                f"{values.ravel()[:1].tolist()[0]!r} (dtype {values.dtype}). Encode classes with "
                "sklearn.preprocessing.LabelEncoder; MABPrunedClassifier does it itself."
            )
        bad = values[(values < 0) | (values >= (n_classes or np.inf))]
        if bad.size:
            count = f", and the net has {n_classes} outputs" if n_classes else ""
            raise ValueError(
                f"y contains the class index {bad[0]}{count}. Class indices count from 0; to train "
                f"on some of the classes first, name all of them: {name}(classes=[0, 1, 2])."
            )

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        """Go on training; the first call sizes the net from `classes`, if given, or from y."""
        if classes is None or self.initialized_ or self.classes is not None:
            return super().partial_fit(X, y, classes, **fit_params)
        X = read_features(self, X, fitting=True)
        self.size_from(X, y)
        self._warn()
        self.n_outputs_ = max(self.n_outputs_, len(classes))
        self.initialize()
        return super().partial_fit(X, y, classes, **fit_params)

    def size_from(self, X: Any, y: Any = None) -> None:
        """Set sizes, precision, and whether targets are multilabel from the data."""
        super().size_from(X, y)
        self.multilabel_ = _is_multilabel(y)

    def initialize_criterion(self) -> Any:
        """As in skorch; multilabel targets need a loss for each label."""
        super().initialize_criterion()
        if getattr(self, "multilabel_", False) and isinstance(self.criterion_, nn.CrossEntropyLoss):
            self.criterion_: nn.Module = nn.BCEWithLogitsLoss(reduction="none")
        return self

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """As in skorch; multilabel targets cannot be stratified."""
        split = self.train_split
        if not (_is_multilabel(y) and isinstance(split, ValidSplit) and split.stratified):
            return super().get_split_datasets(X, y, **fit_params)
        dataset = self.get_dataset(X, y)
        return ValidSplit(split.cv, random_state=split.random_state)(dataset, y)

    def _get_predict_nonlinearity(self) -> Any:
        if self.predict_nonlinearity == "auto" and isinstance(self.criterion_, SEVERAL_LABELS):
            return output_nonlinearity(self)
        return super()._get_predict_nonlinearity()

    def predict(self, X: Any) -> np.ndarray:
        """Class indices, (n_samples,), or an indicator matrix, (n_samples, n_labels)."""
        if isinstance(self.criterion_, SEVERAL_LABELS):
            return (self.predict_proba(X) > 0.5).astype(np.int64)
        return super().predict(X)


def _is_multilabel(y: Any) -> bool:
    """Whether targets are a multilabel indicator matrix."""
    return getattr(y, "ndim", 1) == 2 and y.shape[1] > 1


@documented_by(_ENTRIES)
class MLPNetRegressor(SelfSizing, NeuralNetRegressor):
    """Multilayer perceptron regressor that sizes itself from the data.

    A skorch ``NeuralNetRegressor``.  Targets are standardised inside (weighted mean and
    standard deviation of each output), predictions are in original units.

    Parameters
    ----------
    {module}
    criterion : class, default=torch.nn.MSELoss
        Loss of torch, on standardised targets.
    {optimizer}
    {lr}
    {max_epochs}
    {batch_size}
    {early_stopping}
    {patience}
    {inputs}
    {n_functions}
    {dtype}
    {random_state}
    {device}
    {verbose}
    {kwargs}

    Attributes
    ----------
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the training targets.

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
        """Targets as (n_samples, n_outputs): a flat y would broadcast against (n, 1) outputs."""
        if y is None:
            return None
        y = np.asarray(y).reshape(len(y), -1)
        # Standardised, integers would be rounded.
        return y if y.dtype.kind == "f" else y.astype(np.float64)

    def _count_outputs(self, y: Any) -> int:
        return int(self._targets(y).shape[1])

    def size_from(self, X: Any, y: Any = None) -> None:
        """Set sizes, precision, and the targets' mean and scale from the data."""
        super().size_from(X, y)
        targets = self._targets(y).astype(np.float64)
        weights = X.get("sample_weight") if isinstance(X, dict) else None
        self.target_mean_, self.target_scale_ = mean_and_scale(targets, weights)

    def initialize_module(self) -> Any:
        """As in skorch; mean and scale of the targets are saved with the weights."""
        super().initialize_module()
        if not hasattr(self, "target_mean_"):
            producing = layers_of(self.module_, "produces")
            n_outputs = kind_of(producing[-1]).n_outputs(producing[-1]) if producing else 1
            self.target_mean_, self.target_scale_ = np.zeros(n_outputs), np.ones(n_outputs)
        for name in ("target_mean", "target_scale"):
            self.module_.register_buffer(name, torch.tensor(getattr(self, f"{name}_")))
        return self

    def initialize_criterion(self) -> Any:
        """As in skorch; refuses losses for which targets must not be standardised.

        Raises
        ------
        ValueError
            If the criterion reads outputs in other units than targets, such as PoissonNLLLoss.
        """
        super().initialize_criterion()
        criterion = uncompiled(self.criterion_)
        if has_other_units(criterion):
            name = type(criterion).__name__
            hint = ", predict_nonlinearity=torch.exp" * isinstance(criterion, nn.PoissonNLLLoss)
            raise ValueError(
                f"criterion={name} of {type(self).__name__} reads outputs in other units than y, "
                "and this net standardises y. Use MSELoss, L1Loss, SmoothL1Loss or HuberLoss; or "
                f"your module in a skorch net: NeuralNetRegressor(module, criterion=nn.{name}"
                f"{hint})."
            )
        return self

    def load_params(self, *args: Any, **kwargs: Any) -> None:
        """As in skorch; predictions are in the units of the saved net."""
        super().load_params(*args, **kwargs)
        for name in ("target_mean", "target_scale"):
            setattr(self, f"{name}_", getattr(self.module_, name).cpu().numpy().copy())

    def standardise(self, y_true: Tensor) -> Tensor:
        """Standardised targets in float64, to be rounded to the module's precision afterwards.

        Rounded before, targets far from zero would lose what distinguishes them.
        """
        mean = torch.as_tensor(self.target_mean_, device=y_true.device)
        scale = torch.as_tensor(self.target_scale_, device=y_true.device)
        return (y_true.to(mean.dtype) - mean) / scale

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Mean over samples of weight times loss, in standardised units."""
        return super().get_loss(y_pred, self.standardise(y_true).to(y_pred.dtype), X, training)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions in original units, (n_samples, n_outputs)."""
        return super().predict(X) * self.target_scale_ + self.target_mean_
