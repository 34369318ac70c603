"""A fitted estimator as a C header."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import is_classifier

from ...data.features import read_table
from ...data.named import NamedSamples
from ...utils.compat import check_n_features
from ..chain import Part, folded
from ..labels import labels_as_data
from ..torch_layers import any_layers, drawn_samples, is_chain, joined, plain_layers
from .embeddings import of_two_values
from .header import Interface, SelfTest, Size, header
from .layers import write
from .literals import comment
from .operators.form import Network, each_input, flat
from .operators.integers import in_integers
from .program import Program, Vector
from .quantised import Stage, quantised, run

#: Differences from Python that are rounding, as fractions of outputs of at least 1: in float32, and
#: in integers, where a feature that float32 rounds may become the next integer.
_TOLERANCE, _STEP = 1e-5, 2e-3

#: Samples on which a network of operators is compared with its module, and calibrated, at most.
_COMPARED, _CALIBRATED = 5, 256

#: Samples that are drawn where only sizes are asked for.
_DRAWN = 16

_DTYPES = ("float32", "int8")


def network_header(estimator: Any, name: str, dtype: str, calibrate: Any, samples: Any) -> str:
    """The header of a fitted estimator; see ``to_c`` for the parameters."""
    check_dtype(dtype, calibrate)
    # First, because it raises NotFittedError before fitted attributes are read.
    is_chain(estimator)
    calibrate = None if calibrate is None else features_of(estimator, calibrate, "calibrate")
    form = NetworkForm.of(estimator, dtype, calibrate)
    program = program_of(estimator, n_inputs(estimator))
    program.output = form.write(program, program.input)
    interface = interface_of(estimator, name, type(estimator).__name__, program.output.size)
    names = getattr(estimator, "feature_names_in_", ())
    interface.features.extend(comment(str(feature)) for feature in names)
    interface.notes.extend(form.notes)
    shapes = getattr(estimator, "input_shape_", None)
    interface.notes.extend(_places(shapes) if isinstance(shapes, dict) else ())
    test = None
    if samples is not None:
        X = features_of(estimator, samples, "samples")
        # What the C function is given are these numbers in float32.
        numbers = flat(X).astype(np.float32)
        same = each_input(X, lambda part: part.astype(np.float32).astype(part.dtype))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            test = form.self_test(estimator, numbers, same, numbers)
    return header(program, interface, test)


def _places(shapes: dict[str, tuple[int, ...]]) -> Iterator[str]:
    """Lines of the comment on where each of several inputs stands."""
    first = 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        where = f"x[{first}]" if size == 1 else f"x[{first}] to x[{first + size - 1}]"
        yield f"{where}: input {comment(name)}, of shape {shape}"
        first += size


def n_inputs(estimator: Any) -> int:
    """Numbers of a sample, in the order in which C functions read them."""
    shapes = getattr(estimator, "input_shape_", None) or (estimator.n_features_in_,)
    return sum(map(math.prod, shapes.values() if isinstance(shapes, dict) else [shapes]))


def program_of(estimator: Any, n_inputs: int) -> Program:
    """A program without steps; images take more memory than a stack may have."""
    return Program(n_inputs, static=not is_chain(estimator))


def check_dtype(dtype: str, calibrate: Any) -> None:
    """Raise ValueError unless a dtype is known and has the samples that it needs."""
    if dtype not in _DTYPES:
        raise ValueError(f"dtype={dtype!r} is not one of {', '.join(map(repr, _DTYPES))}.")
    if dtype == "int8" and calibrate is None:
        raise ValueError(
            "dtype='int8' needs calibrate: samples, such as those of fit, from which the ranges of "
            "hidden values are taken."
        )
    if dtype != "int8" and calibrate is not None:
        raise ValueError(f"calibrate is for dtype='int8' only, and dtype is {dtype!r}.")


def features_of(estimator: Any, X: Any, name: str) -> Any:
    """Samples for an estimator as a dense array, or as a dictionary of several."""
    if is_chain(estimator):
        try:
            check_n_features(estimator, X, reset=False)
        except (TypeError, ValueError) as error:
            why = str(error).rstrip(".")
            raise ValueError(
                f"{name} cannot be used: {why}. Pass samples that predict accepts."
            ) from error
        found = X.toarray() if issparse(X) else np.asarray(X)
    else:
        found = read_table(estimator, X, any_shape=True, reset=False)
    n_samples = len(found)
    if isinstance(found, NamedSamples):
        found = found.parts
    parts = list(found.values()) if isinstance(found, dict) else [found]
    if n_samples == 0 or not all(np.isfinite(part).all() for part in parts):
        what = "is empty" if n_samples == 0 else "contains NaN or infinity"
        raise ValueError(f"{name} {what}. Pass samples that predict accepts.")
    return found


@dataclass(frozen=True)
class Chain:
    """A chain of layers, as C computes it.

    Parameters
    ----------
    parts : list of Linear, Affine and nn.Module
    stages : sequence of Stage
        Of the network in integers; empty: it computes in float32.
    """

    parts: list[Part]
    stages: Sequence[Stage]

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """What C computes in integers for samples, but for rounding in float32."""
        return run(self.stages, x)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the steps of the network, and return its output."""
        if not self.stages:
            return write(program, self.parts, x)
        for stage in self.stages:
            x = stage.write(program, x)
        return x


@dataclass(frozen=True)
class NetworkForm:
    """The network of a fitted estimator as C computes it: in float32, or in integers.

    Parameters
    ----------
    network : Chain or Network
    whole : bool
        Whether it computes in integers.
    notes : list of str
        Lines for the comment of the header.
    """

    network: Chain | Network
    whole: bool
    notes: list[str]

    @classmethod
    def of(
        cls,
        estimator: Any,
        dtype: str,
        features: NDArray[Any] | None,
        binary: NDArray[np.bool_] | None = None,
    ) -> NetworkForm:
        """The form of the network of an estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        dtype : {"float32", "int8"}
        features : ndarray of shape (n_samples, n_features) or None
            Samples for the calibration of int8, as the network reads them.
        binary : ndarray of bool, shape (n_features,), optional
            Which features are known to be 0 or 1.

        Raises
        ------
        UnsupportedModuleError
            If a layer or an operator has no C form.
        ValueError
            If a weight is not finite.
        """
        network = _network(estimator, None if dtype == "float32" else features, binary)
        if features is None:
            return cls(network, False, [])
        found = network.run(flat(features))
        return cls(network, True, _notes(estimator, found, features))

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the steps of the network, and return its output."""
        return self.network.write(program, x)

    def self_test(
        self, model: Any, inputs: NDArray[Any], X: Any, features: NDArray[Any]
    ) -> SelfTest:
        """Inputs of the C function, and what it should return.

        In float32 that is what the model predicts, to 1e-5 of an output, or of 1, or of the
        standard deviation of a regressor's outputs, whichever is largest.  In integers it is what
        the same stages return in Python.

        Parameters
        ----------
        model : estimator or pipeline
            Fitted.
        inputs : ndarray of shape (n_samples, n_inputs)
        X : array-like of shape (n_samples, n_features)
            The same samples, as the model reads them.
        features : ndarray of shape (n_samples, n_features)
            The same samples, as the network reads them.
        """
        tolerance = _STEP if self.whole else _TOLERANCE
        expected = _outputs(model, X)
        unit = np.ones(expected.shape[1]) if is_classifier(model) else expected.std(axis=0)
        if self.whole:
            expected = self.network.run(features.astype(np.float64))
        return SelfTest(inputs, expected, tolerance * np.maximum(np.abs(expected), unit))


def _network(
    estimator: Any, features: NDArray[Any] | None, binary: NDArray[np.bool_] | None
) -> Chain | Network:
    """The network in float32, or in integers if there are samples for it."""
    layers = plain_layers(estimator) if is_chain(estimator) else any_layers(estimator)
    for layer in layers:
        for name, value in layer.state_dict().items():
            if not value.isfinite().all():
                raise ValueError(
                    f"The {name} of {layer} is not finite, so that the network has no C form. "
                    "Fit again, on scaled features or with a lower lr."
                )
    if is_chain(estimator):
        parts = folded(layers)
        if binary is not None:
            parts = of_two_values(parts, binary)
        if features is None:
            return Chain(parts, ())
        return Chain(parts, quantised(parts, features.astype(np.float64)))
    drawn = drawn_samples(estimator)
    shapes = getattr(estimator, "input_shape_", None)
    if named := isinstance(shapes, dict):
        drawn = {name: drawn[name] for name in shapes}
    drawn = each_input(drawn, lambda part: torch.as_tensor(part[:_COMPARED]))
    network = Network.of(joined(layers, named).eval(), drawn)
    if features is None:
        return network
    found = flat(features)
    # Some of them: all values of each are kept.
    return in_integers(network, found[:: -(-len(found) // _CALIBRATED)])


def _outputs(model: Any, X: Any) -> NDArray[Any]:
    """Probabilities or values, (n_samples, n_outputs)."""
    found = np.asarray(model.predict_proba(X) if is_classifier(model) else model.predict(X))
    return found.reshape(len(found), -1)


def _notes(estimator: Any, found: NDArray[Any], features: NDArray[Any]) -> list[str]:
    """What the integers change for the calibration samples."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        expected = _outputs(estimator, features)
    head = "Weights of 8 bits, values of 16 bits, sums of 32 bits. NaN counts as the largest value."
    if is_classifier(estimator):
        if getattr(estimator, "multilabel_", False):
            differ = ((found > 0.5) != (expected > 0.5)).any(axis=1)
        else:
            differ = found.argmax(axis=1) != expected.argmax(axis=1)
        what = f"another label for {int(differ.sum()):,}"
    else:
        spread = np.maximum(expected.std(axis=0), np.finfo(float).tiny)
        error = np.sqrt(np.mean(((found - expected) / spread) ** 2))
        what = f"a difference of {error:.1e} standard deviations (root mean square)"
    return [head, f"Against float: {what} of {len(found):,} calibration samples."]


def network_size(estimator: Any, dtype: str = "float32") -> Size:
    """Bytes and MACs of the C form of a fitted estimator, without writing it.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    dtype : {"float32", "int8"}
        For int8 features are taken to have similar ranges.

    Raises
    ------
    UnsupportedModuleError
        If a layer or an operator has no C form.
    """
    features = None
    if dtype == "int8":
        features = each_input(drawn_samples(estimator), lambda part: part[:_DRAWN])
    network = _network(estimator, features, None)
    program = program_of(estimator, n_inputs(estimator))
    program.output = network.write(program, program.input)
    return Size.of(program)


def interface_of(estimator: Any, name: str, title: str, n_outputs: int) -> Interface:
    """What a caller has to know of a fitted estimator's C functions."""
    classes = None
    if is_classifier(estimator):
        classes = labels_as_data(estimator.classes_, "C").tolist()
    return Interface(name, title, n_outputs, classes, getattr(estimator, "multilabel_", False))


def name_of(path: Any, name: str | None) -> str:
    """The given name, or that of the file, or "model"."""
    if name is not None:
        return name
    return "model" if path is None else Path(path).stem
