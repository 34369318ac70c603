"""Samples as inputs of the ONNX form of a pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..export.onnx import TYPES
from ..utils.columns import is_missing
from .kinds import read_categories

#: NumPy dtypes of numeric inputs by their codes in onnx.TensorProto.
_NUMBERS = {code: name for name, code in TYPES.items() if name != "object"}


def inputs_of(model: Any, X: Any, reads_strings: bool) -> dict[str, NDArray[Any]]:
    """Samples as inputs of an ONNX model, in the form that `pipeline_to_onnx` describes."""
    inputs = {}
    columns = [X[[name]] for name in X.columns] if hasattr(X, "columns") else [X]
    for put, column in zip(model.graph.input, columns, strict=True):
        kind = put.type.tensor_type.elem_type
        if kind in _NUMBERS:
            values = column.toarray() if issparse(column) else np.asarray(column)
            if values.dtype == object:
                values = np.frompyfunc(_number, 1, 1)(values)
            found = values.astype(_NUMBERS[kind])
        elif reads_strings:
            found = _strings(column)
        else:
            found = np.asarray(column, dtype=object)
        inputs[put.name] = found.reshape(len(found), -1)
    return inputs


def _strings(X: Any) -> NDArray[Any]:
    """Columns of categories as the strings that the pipeline makes of them."""
    names = X.columns if hasattr(X, "columns") else range(X.shape[1])
    columns = [X[name] if hasattr(X, "columns") else X[:, name] for name in names]
    found = [read_categories(name, c)[0] for name, c in zip(names, columns, strict=True)]
    return np.stack(found, axis=1)


def _number(value: Any) -> float:
    return np.nan if is_missing(value) else float(value)
