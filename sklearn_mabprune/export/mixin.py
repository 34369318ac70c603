"""Export methods of the estimators: torch, scikit-learn MLP, ONNX, safetensors file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import shuffle
from torch import nn

from ..utils.files import write_whole
from ..utils.memory import out_of_memory
from ..utils.modes import modes_kept
from ..utils.optional import require
from ..utils.torch_settings import own_settings
from .c.network import features_of, name_of, network_header
from .files.saving import save
from .onnx import onnx_model
from .onnx_check import check_model
from .onnx_int8 import CHAIN, MAX_CALIBRATION, MODULE, quantised_model
from .onnx_module import module_to_onnx
from .sklearn_mlp import sklearn_model
from .torch_layers import any_layers, drawn_samples, is_chain, joined, precision


class Exports:
    """Export methods that all estimators share; they need a fitted estimator."""

    def to_torch(self) -> nn.Sequential:
        """Export the pruned network as a plain torch module.

        The module needs neither this package nor skorch, unless the network has an input stage
        (``inputs`` of :class:`MLPNetClassifier`): then its first layer is of this package.

        Returns
        -------
        nn.Sequential
            On the CPU, in evaluation mode, with a copy of the weights and without Dropout; a
            module of your own that is no chain of layers is its first layer.
            Its input has shape (n_samples, n_features) and the precision of the network; it takes
            inputs by name where X is a dictionary, and needs this package for it.  For a
            classifier its output is that of ``predict_proba``: the last layer is a Softmax, or
            a Sigmoid for multilabel targets, and ``module[:-1]`` returns logits, for further
            training with CrossEntropyLoss or BCEWithLogitsLoss.  For a regressor its output has
            shape (n_samples, n_outputs), in the units of y.  It checks no input: where
            ``predict_proba`` raises an error because values are too large for the precision of
            the network, its output is NaN.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        UnsupportedModuleError
            If the net's ``predict_nonlinearity`` is a custom function.

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
        with own_settings():
            named = isinstance(getattr(self, "input_shape_", None), dict)
            return joined(any_layers(self), named).eval()

    def to_sklearn(self) -> MLPClassifier | MLPRegressor | Pipeline:
        """Export the pruned network as a fitted MLP of scikit-learn.

        BatchNorm is folded into the weights.  With two classes, the single output of
        scikit-learn's MLP is the difference of the network's two logits.

        Returns
        -------
        MLPClassifier, MLPRegressor or Pipeline
            A network with an input stage (``inputs`` of :class:`MLPNetClassifier`) becomes a
            Pipeline of a transformer, which needs this package, and an MLP; others an MLP that
            needs scikit-learn alone.  Fitted: it predicts, can be pickled, and the MLP can be
            trained further with ``partial_fit``.  Weights have the precision of the network,
            except for the last layer of a regressor, which is float64 because it contains the
            scaling of the targets.  For y of shape (n_samples, 1) predictions have shape
            (n_samples,), as in scikit-learn.  Values that are too large for the precision of the
            network give NaN instead of an error.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        UnsupportedModuleError
            If scikit-learn's MLP cannot represent the network: an activation other than ReLU,
            Tanh, Sigmoid or Identity, or different activations in different hidden layers.

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
        return sklearn_model(self)

    @own_settings()
    def to_onnx(self: Any, path: Any = None, *, quantize: Any = None) -> Any:
        """Export the pruned network to ONNX, for onnxruntime and other runtimes.

        Needs the package onnx, and onnxscript for a module that is no chain of layers:
        ``pip install "sklearn-mabprune[onnx]"``.  For a pipeline use
        :func:`pipeline_to_onnx`.

        Parameters
        ----------
        path : str or path-like, optional
            File to write the model to.
        quantize : array-like of shape (n_samples, n_features), optional
            Samples, such as those of ``fit``, of which at most 1,000 are used to quantise the
            network: fully connected layers and convolutions compute in 8 bits, with a scale for
            each unit, embeddings have 8 bits, and the input is float32.  Recurrent layers stay
            as they are.  Needs onnxruntime.

        Returns
        -------
        onnx.ModelProto
            Its input "X" has shape (n_samples, n_features) and the precision of the network; where
            X is a dictionary, there is an input for each of its keys.
            The names of the outputs are those of skl2onnx.  A classifier has "label", int64 or
            string, of shape (n_samples,), and "probabilities", of shape (n_samples, n_classes);
            for multilabel targets "label" is an indicator matrix of shape
            (n_samples, n_classes).  A regressor has "variable", of shape
            (n_samples, n_outputs), in the units of y.

        Raises
        ------
        ImportError
            If onnx is not installed.
        NotFittedError
            If the estimator is not fitted.
        UnsupportedModuleError
            If the net's ``predict_nonlinearity`` is a custom function.
        ValueError
            If class labels are neither numbers nor strings, or are integers beyond int64.
        RuntimeError
            If onnxruntime, where it is installed, predicts otherwise with the model for samples
            that are drawn; where it is not, if onnx finds an error in the model.  With
            `quantize`, if onnxruntime cannot quantise it.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
        >>> [output.name for output in model.to_onnx().graph.output]
        ['label', 'probabilities']
        """
        model = _onnx_of(self)
        _check(model, self)
        if quantize is not None:
            model = _in_8_bits(self, model, quantize)
        if path is not None:
            write_whole(path, model.SerializeToString())
        return model

    @own_settings()
    def to_c(
        self: Any,
        path: Any = None,
        *,
        dtype: str = "float32",
        calibrate: Any = None,
        samples: Any = None,
        name: str | None = None,
    ) -> str:
        """Export the pruned network as a C99 header, for microcontrollers and other programs.

        The header needs nothing but ``math.h``, allocates nothing, and keeps the weights in
        constants.  A comment at its top says how many bytes it takes in flash and on the stack,
        and how to call it.  For a pipeline use :func:`pipeline_to_c`.

        A module that is no chain of layers has a C form if each operator of its ``forward`` has
        one: convolutions, pooling, means, norms, embeddings, recurrent layers, attention,
        activations and other functions of single elements, comparisons and masks, sums, products
        and concatenations of values, and what moves elements.  Samples of more than one axis are
        given in C order, those of several inputs by name one after the other.  Its working memory
        is static: one call at a time.

        Parameters
        ----------
        path : str or path-like, optional
            File to write the header to.
        dtype : {"float32", "int8"}, default="float32"
            In which the network is kept and computed.  "int8": weights of 8 bits, with a scale
            for each unit, hidden values of 16 bits, sums of 32 bits; a quarter of the flash, and
            no floating-point operation for a weight.
        calibrate : array-like of shape (n_samples, n_features), optional
            Samples, such as those of ``fit``, from which the ranges of values for "int8" are
            taken; required for it.
        samples : array-like of shape (n_samples, n_features), optional
            Samples of a self-test, which the header then contains with the predictions of this
            estimator: ``cc -std=c99 -DNAME_TEST -x c FILE -lm`` makes a program that prints the
            largest difference, and exits with 1 if one is more than rounding.
        name : str, optional
            Beginning of all names in the header.  None: the name of the file, or "model".

        Returns
        -------
        str
            The header.  Its functions are ``static`` and take an array of features, ``float
            x[n_features]``.  ``NAME_predict_proba(x, out)`` writes the probabilities of the
            classes, ``NAME_predict(x)`` returns the position of the most probable class, and
            ``NAME_label(k)`` its label; for multilabel targets ``NAME_predict(x, labels)`` writes
            0 or 1 for each label.  For a regressor, ``NAME_predict(x, out)`` writes values in
            the units of y.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        UnsupportedModuleError
            If a layer or an operator has no C form, or the net's ``predict_nonlinearity`` is a
            custom function.
        ValueError
            If a parameter does not fit, if a weight is not finite in float32, or if class labels
            are neither numbers nor strings that C can hold.

        Notes
        -----
        Outputs in float32 differ from those of Python by rounding.  C checks no input: NaN
        gives NaN.

        For int8 features may be four times, hidden values twice as large as those of the
        calibration samples; larger ones count as that.  A comment says how many calibration
        samples get another label.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mabprune import MABPrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MABPrunedClassifier(random_state=0).fit(X, y)
        >>> source = model.to_c(name="iris")
        >>> "static inline void iris_predict_proba(const float *x, float *out)" in source
        True
        >>> small = model.to_c(name="iris", dtype="int8", calibrate=X)
        >>> "static const int8_t iris_weights" in small
        True
        """
        source = network_header(self, name_of(path, name), dtype, calibrate, samples)
        if path is not None:
            write_whole(path, source.encode("ascii"))
        return source

    def save(self, path: Any) -> None:
        """Save the fitted estimator to a safetensors file, which contains data and no code.

        :func:`load` reads it.

        Parameters
        ----------
        path : str or path-like
            File to write.  Written beside an old file, which is replaced when the new one is
            complete.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the class of the estimator is a subclass, or a cross-validated one (save its
            ``best_estimator_``), or if class labels are neither numbers nor strings.
        UnsupportedModuleError
            If the net's module is no chain of layers and data cannot say how it is made: if an
            object was passed in place of a class, or arguments that are no plain data.
        ValueError
            If a weight is not finite.

        Warns
        -----
        UserWarning
            If a parameter cannot be represented as data, such as a net with a custom module:
            it must then be passed to :func:`load`.

        Notes
        -----
        As in a pickle, the net has no history, and of ``pruning_path_`` there are only the sizes
        and the order of removal.  With ``keep_path="always"`` all of the path is saved, and the
        history, but not ``policy_``; ``at_budget`` with data then recomputes the path from its
        first round.  The parameter ``memory``, which names a folder of this machine, is not saved.

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
        save(self, path)


def _onnx_of(estimator: Any, single: bool = False) -> Any:
    """The ONNX model of a fitted estimator, in the precision of its network or in float32."""
    # First, because it raises NotFittedError before fitted attributes are read.
    layers = any_layers(estimator)
    if single:
        layers = [layer.float() for layer in layers]
    facts = getattr(estimator, "classes_", None), getattr(estimator, "multilabel_", False)
    if is_chain(estimator):
        return onnx_model(layers, estimator.n_features_in_, *facts)
    x = drawn_samples(estimator)
    named = isinstance(x, dict)
    inputs = {k: torch.as_tensor(v) for k, v in (x if named else {"X": x}).items()}
    if single:
        inputs = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
    return module_to_onnx(joined(layers, named).eval(), inputs, named, *facts)


def _in_8_bits(estimator: Any, model: Any, quantize: Any) -> Any:
    """The ONNX model of a fitted estimator with weights of 8 bits, from calibration samples."""
    X = features_of(estimator, quantize, "quantize")
    parts = X if isinstance(X, dict) else {"X": X}
    n = len(next(iter(parts.values())))
    chosen = shuffle(np.arange(n), random_state=0, n_samples=min(n, MAX_CALIBRATION))
    parts = {name: part[chosen] for name, part in parts.items()}
    if precision(any_layers(estimator)) != "float32":
        model = _onnx_of(estimator, single=True)
    return quantised_model(model, _as_read(model, parts), CHAIN if is_chain(estimator) else MODULE)


def _as_read(model: Any, parts: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Samples by name in the dtypes that an ONNX model reads."""
    dtype = require("onnx", "onnx").helper.tensor_dtype_to_np_dtype
    kinds = {each.name: dtype(each.type.tensor_type.elem_type) for each in model.graph.input}
    return {name: part.astype(kinds[name]) for name, part in parts.items()}


def _check(model: Any, estimator: Any) -> None:
    """Compare an ONNX model with its estimator on samples that are drawn."""
    X = drawn_samples(estimator)
    inputs = _as_read(model, X if isinstance(X, dict) else {"X": X})
    try:
        # Predictions put the net into evaluation mode; an export leaves it as it is.
        with modes_kept(estimator.estimator_.module_):
            check_model(model, estimator, inputs if isinstance(X, dict) else inputs["X"], inputs)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise RuntimeError(
            f"The ONNX form of this {type(estimator).__name__} is not handed out: {error} Use "
            "another release of onnx or onnxruntime, or to_torch() and torch's own export."
        ) from error
