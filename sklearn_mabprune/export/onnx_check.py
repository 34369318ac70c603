"""Comparison of an ONNX model with the estimator that it was made of."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from ..utils.memory import no_memory, out_of_memory
from ..utils.optional import require

#: Differences of probabilities, and of values as fractions of their range and their size, beyond
#: which they are no rounding: networks, and many steps in ONNX, compute in float32.
_TOLERANCE, _TINY = 1e-3, 1e-5


def check_model(model: Any, estimator: Any, X: Any, inputs: dict[str, NDArray[Any]]) -> None:
    """Raise RuntimeError if an ONNX model predicts otherwise than its estimator.

    Without onnxruntime the model is checked, but not run.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    estimator : estimator
        What it was made of.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples in the format that ``predict`` accepts.
    inputs : dict of str to ndarray
        The same samples as inputs of the model.

    Raises
    ------
    RuntimeError
        If the model cannot be loaded or run, or if labels, probabilities or values differ by
        more than rounding.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        _check_types(model)
        return
    options = runtime.SessionOptions()
    # No threads, which a forked process would wait for; and errors are raised, not printed.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(None, inputs)
    # onnxruntime's errors have no common class.
    except Exception as error:
        if out_of_memory(error):
            raise no_memory(error, "the ONNX model was run") from error
        raise RuntimeError(f"onnxruntime cannot run it ({_first_line(error)}).") from error
    with warnings.catch_warnings():
        # Samples that were drawn have no names of features.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        expected = estimator.predict(X)
        probabilities = getattr(estimator, "predict_proba", None)
        scores = probabilities(X) if is_classifier(estimator) and probabilities else None
    if not is_classifier(estimator):
        _compare_values(found[0], expected)
        return
    _compare_labels(found[0], expected, scores)
    if scores is not None and len(found) > 1:
        _compare_probabilities(found[1], scores)


def _check_types(model: Any) -> None:
    """Raise RuntimeError if onnx finds types or shapes that do not fit."""
    onnx = require("onnx", "onnx")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RuntimeError(f"onnx finds an error in it ({_first_line(error)}).") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _compare_values(found: Any, expected: Any) -> None:
    """Compare the values of a regressor, (n_samples,) or (n_samples, n_outputs)."""
    expected = np.asarray(expected, dtype=np.float64).reshape(len(expected), -1)
    found = np.asarray(found, dtype=np.float64).reshape(-1, expected.shape[1])
    finite = np.where(np.isfinite(expected), expected, 0.0)
    allowed = _TOLERANCE * np.ptp(finite, axis=0) + _TINY * np.abs(finite).max(axis=0)
    same = (np.abs(found - expected) <= allowed) | ~np.isfinite(expected)
    _refuse("value", found, expected, same)


def _compare_probabilities(found: Any, expected: Any) -> None:
    """Compare probabilities: an array, or a list of them for several targets."""
    if isinstance(expected, list):
        for part, wanted in zip(found, expected, strict=True):
            _compare_probabilities(part, wanted)
        return
    found = np.asarray(found, dtype=np.float64)
    if found.shape != expected.shape:
        raise RuntimeError(
            f"its probabilities have shape {found.shape}, those of predict_proba {expected.shape}."
        )
    same = (np.abs(found - expected) <= _TOLERANCE) | ~np.isfinite(expected)
    _refuse("probability", found, expected, same)


def _compare_labels(found: Any, expected: Any, scores: Any) -> None:
    """Compare labels; those that rounding decides may differ."""
    expected = np.asarray(expected)
    found = np.asarray(found).reshape(expected.shape)
    kind = expected.dtype.kind
    same = found == (expected.astype(np.int64) if kind in "iufb" else expected.astype(str))
    if isinstance(scores, np.ndarray):
        if expected.ndim == 2:
            unclear = np.abs(scores - 0.5) < _TOLERANCE
        else:
            highest = np.sort(scores, axis=1)
            unclear = highest[:, -1] - highest[:, -2:].min(axis=1) < 2 * _TOLERANCE
            unclear &= scores.shape[1] > 1
        if unclear.shape == same.shape:
            same = same | unclear
    _refuse("label", found, expected, same)


def _refuse(what: str, found: NDArray[Any], expected: NDArray[Any], same: NDArray[Any]) -> None:
    """Raise RuntimeError unless everything is the same; the message has an example."""
    samples = np.flatnonzero(~same.reshape(len(same), -1).all(axis=1))
    if len(samples):
        k = samples[0]
        raise RuntimeError(
            f"its {what} differs for {len(samples)} of {len(same)} samples: sample {k} gets "
            f"{_text(found[k])} in place of {_text(expected[k])}."
        )


def _text(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=6, threshold=10)
