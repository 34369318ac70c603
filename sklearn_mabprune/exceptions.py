"""Warnings and errors that the package defines."""

from __future__ import annotations


class PruningWarning(UserWarning):
    """Warning that a fit deviates from what was requested; it says how, why and what to do.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn_mabprune import MABPrunedRegressor, PruningWarning
    >>> X, y = np.eye(3), np.arange(3.0)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", PruningWarning)
    ...     model = MABPrunedRegressor(random_state=0).fit(X, y)
    >>> print(caught[0].message)  # doctest: +ELLIPSIS
    X has only 3 distinct samples, too few to hold out validation samples ...
    """


class UnsupportedModuleError(ValueError):
    """The network cannot be pruned or exported; the message names the layer.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skorch import NeuralNetClassifier
    >>> from torch import nn
    >>> from sklearn_mabprune import MABPrunedClassifier, UnsupportedModuleError
    >>> X, y = load_iris(return_X_y=True)
    >>> module = nn.Sequential(nn.Linear(4, 3))
    >>> net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, verbose=0)
    >>> try:
    ...     MABPrunedClassifier(net).fit(X, y)
    ... except UnsupportedModuleError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    The network has ...
    """


class ModelFileError(ValueError):
    """A file cannot be loaded as an estimator; the message says why and what to do.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn_mabprune import ModelFileError, load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     _ = open(path, "w").close()
    ...     try:
    ...         load(path)
    ...     except ModelFileError as error:
    ...         print(str(error).removeprefix(path))  # doctest: +ELLIPSIS
     cannot be loaded: it is not a complete safetensors file ...
    """


class NotKeptError(AttributeError, ValueError):
    """Something was left out of a pickle or file; the message says how it is kept.

    An AttributeError, so that ``hasattr`` is False for attributes that were left out, and a
    ValueError, as ``at_budget`` raises for what it cannot do.

    Examples
    --------
    >>> import pickle
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifier, NotKeptError
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
    >>> loaded = pickle.loads(pickle.dumps(model))
    >>> try:
    ...     loaded.pruning_path_.score
    ... except NotKeptError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    pruning_path_.score was not kept: ...
    """

    @classmethod
    def of(cls, what: str) -> NotKeptError:
        """The error for an attribute that was left out."""
        return cls(
            f"{what} was not kept: of a path only its sizes and the order of removal go into "
            "pickles, files of save() and processes of joblib, unless keep_path='always'. Set it "
            "on the fitted estimator that still has it, set_params(keep_path='always'), and save "
            "or pickle that again; or fit again."
        )
