"""A fitted estimator as a C header."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import is_classifier

from ...utils.compat import check_n_features
from ..chain import folded
from ..labels import labels_as_data
from ..torch_layers import n_outputs, plain_layers
from .header import Interface, SelfTest, Size, header
from .layers import write
from .literals import comment
from .program import Program, Vector

#: Differences from Python that are rounding, as fractions of outputs of at least 1.
_TOLERANCE = 1e-5


def network_header(estimator: Any, name: str, samples: Any = None) -> str:
    """The header of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    name : str
        Beginning of all names in the header.
    samples : array-like of shape (n_samples, n_features), optional
        Samples of the self-test.
    """
    program = network_program(estimator)
    interface = interface_of(estimator, name, type(estimator).__name__)
    names = getattr(estimator, "feature_names_in_", ())
    interface.features.extend(comment(str(feature)) for feature in names)
    test = None
    if samples is not None:
        check_n_features(estimator, samples, reset=False)
        X = samples.toarray() if issparse(samples) else np.asarray(samples)
        # What the C function is given are these numbers in float32.
        narrow = X.astype(np.float32)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            test = self_test(estimator, narrow, narrow.astype(X.dtype))
    return header(program, interface, test)


def network_program(estimator: Any) -> Program:
    """The steps from features to predictions of a fitted estimator."""
    # First, because it raises NotFittedError before fitted attributes are read.
    layers = plain_layers(estimator)
    program = Program(estimator.n_features_in_)
    program.output = add_network(program, layers, program.input)
    return program


def add_network(program: Program, layers: list[Any], x: Vector) -> Vector:
    """Add the steps of a network, and return its output.

    Raises
    ------
    UnsupportedModuleError
        If a layer has no C form.
    ValueError
        If a weight is not finite.
    """
    for layer in layers:
        for name, value in layer.state_dict().items():
            if not value.isfinite().all():
                raise ValueError(
                    f"The {name} of {layer} is not finite, so that the network has no C form. "
                    "Fit again, on scaled features or with a lower lr."
                )
    return write(program, folded(layers), x)


def network_size(estimator: Any) -> Size:
    """Bytes and MACs of the C form of a fitted estimator, without writing it."""
    return Size.of(network_program(estimator))


def interface_of(estimator: Any, name: str, title: str) -> Interface:
    """What a caller has to know of a fitted estimator's C functions."""
    classes = None
    if is_classifier(estimator):
        classes = labels_as_data(estimator.classes_, "C").tolist()
    return Interface(
        name,
        title,
        n_outputs(plain_layers(estimator)),
        classes,
        getattr(estimator, "multilabel_", False),
    )


def self_test(model: Any, inputs: NDArray[Any], X: Any) -> SelfTest:
    """Inputs of the C function, and what a fitted model predicts for the same samples.

    Differences are allowed up to 1e-5 of an output, or of 1, or of the standard deviation of a
    regressor's outputs, whichever is largest.
    """
    if is_classifier(model):
        expected = model.predict_proba(X)
        unit = np.ones(expected.shape[1])
    else:
        expected = np.asarray(model.predict(X)).reshape(len(inputs), -1)
        unit = expected.std(axis=0)
    allowed = _TOLERANCE * np.maximum(np.abs(expected), unit)
    return SelfTest(inputs, expected, allowed)


def name_of(path: Any, name: str | None) -> str:
    """The given name, or that of the file, or "model"."""
    if name is not None:
        return name
    return "model" if path is None else Path(path).stem
