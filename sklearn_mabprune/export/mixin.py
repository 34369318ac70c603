"""Take a pruned network away: as plain torch, as scikit-learn's MLP, as ONNX, as a safe file."""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

from .files.saving import save
from .onnx import onnx_model
from .sklearn_mlp import sklearn_mlp
from .torch_layers import plain_layers


class Exports:
    """What both estimators give away once they are fitted."""

    def to_torch(self) -> nn.Sequential:
        """The pruned network as a plain torch module, which needs neither this library nor skorch.

        Returns
        -------
        nn.Sequential
            On the CPU, in evaluation mode, with weights of its own; without Dropout.  Reads
            rows of shape (n_rows, n_features) in the precision of the network, and returns
            what ``predict_proba`` returns for a classifier (its last layer is a Softmax, or a
            Sigmoid for several labels a row: ``module[:-1]`` gives logits, to train on with
            CrossEntropyLoss or BCEWithLogitsLoss), and values in
            original units, (n_rows, n_outputs), for a regressor.

        Raises
        ------
        UnsupportedModuleError
            If the net turns outputs into probabilities by a function of your own.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
        >>> module = model.to_torch()
        >>> type(module).__name__, type(module[-1]).__name__
        ('Sequential', 'Softmax')
        >>> with torch.no_grad():
        ...     probabilities = module(torch.tensor(X)).numpy()
        >>> bool((abs(probabilities - model.predict_proba(X)) < 1e-9).all())
        True
        """
        return nn.Sequential(*plain_layers(self)).eval()

    def to_sklearn(self) -> MLPClassifier | MLPRegressor:
        """The pruned network as a fitted MLP of scikit-learn.

        BatchNorm is folded into the weights, and for two classes the difference of the two
        outputs becomes scikit-learn's single one.

        Returns
        -------
        MLPClassifier or MLPRegressor
            Fitted: predicts, pickles, and goes on training with ``partial_fit``.  Weights
            have the precision of the network; those of a regressor's last layer are always
            float64, since they contain the targets' units.  A target of shape (n_samples, 1)
            is predicted flat, as scikit-learn does.

        Raises
        ------
        UnsupportedModuleError
            If scikit-learn's MLP cannot be this network: an activation other than ReLU,
            Tanh, Sigmoid or Identity, or different ones in different layers.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
        >>> mlp = model.to_sklearn()
        >>> mlp.hidden_layer_sizes == model.hidden_layer_sizes_
        True
        >>> bool((abs(mlp.predict_proba(X) - model.predict_proba(X)) < 1e-9).all())
        True
        """
        return sklearn_mlp(self)

    def to_onnx(self: Any, path: Any = None) -> Any:
        """The pruned network in the ONNX format, for onnxruntime and others.

        Needs the package onnx: ``pip install "sklearn-mabprune[onnx]"``.  For a pipeline see
        :func:`pipeline_to_onnx`.

        Parameters
        ----------
        path : str or path-like, optional
            File to write.

        Returns
        -------
        onnx.ModelProto
            Its input "X" has shape (n_rows, n_features) and the precision of the network.  Its
            outputs are called as skl2onnx calls them: a classifier has "label", of shape
            (n_rows,), integers (int64) or strings, and "probabilities", of shape
            (n_rows, n_classes); with several labels a row "label" is 0 or 1 for each, of shape
            (n_rows, n_classes).  A regressor has "variable", of shape (n_rows, n_outputs), in
            original units.

        Raises
        ------
        ImportError
            If onnx is not installed.
        UnsupportedModuleError
            If the net turns outputs into probabilities by a function of your own.
        ValueError
            If class labels are neither numbers nor strings.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
        >>> [output.name for output in model.to_onnx().graph.output]
        ['label', 'probabilities']
        """
        # Before anything of `self` is read: it checks that there is a fit.
        layers = plain_layers(self)
        model = onnx_model(
            layers,
            self.n_features_in_,
            getattr(self, "classes_", None),
            getattr(self, "multilabel_", False),
        )
        if path is not None:
            with open(path, "wb") as file:
                file.write(model.SerializeToString())
        return model

    def save(self, path: Any, *, networks: bool = True) -> None:
        """Write the fitted estimator into one file that contains data only, no code.

        :func:`load` reads it.  The format is safetensors; needs the package of that name:
        ``pip install "sklearn-mabprune[safetensors]"``.

        Parameters
        ----------
        path : str or path-like
            File to write.
        networks : bool, default=True
            Also write the networks of ``pruning_path_``.  Without them the file is smaller,
            and the loaded estimator is as one fitted with ``keep_path=False``.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        TypeError
            If the estimator is of a class of your own, or one with folds (its
            ``best_estimator_`` can be saved), or its labels are neither numbers nor strings.
        ValueError
            If a weight is not finite.

        Warns
        -----
        UserWarning
            If a parameter is an object that data cannot describe, such as a net with a module
            of your own: :func:`load` will ask for it.

        Notes
        -----
        Everything is kept but the parameter ``memory``, which belongs to the machine, and what
        ``policy_`` had counted; so ``at_budget`` with data walks the path anew.

        Examples
        --------
        >>> import os, tempfile
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier, load
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.safetensors")
        ...     model.save(path)
        ...     loaded = load(path)
        >>> bool((loaded.predict_proba(X) == model.predict_proba(X)).all())
        True
        """
        save(self, path, networks)
