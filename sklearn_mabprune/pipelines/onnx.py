"""Whole pipelines as ONNX: skl2onnx converts the other steps, these functions ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..estimators.classifier import MABPrunedClassifier
from ..estimators.cv import MABPrunedClassifierCV, MABPrunedRegressorCV
from ..estimators.regressor import MABPrunedRegressor
from ..export.onnx import OPSET, ContainerGraph, Writer, onnx_labels
from ..export.torch_layers import n_outputs, plain_layers, precision
from ..utils.compat import check_n_features
from ..utils.optional import require
from .onnx_steps import register_table_converters
from .tabular import ColumnsOf, as_text, has_number_type


def pipeline_to_onnx(pipeline: Any, X: Any, path: Any = None) -> Any:
    """A fitted pipeline that ends in one of our estimators, in the ONNX format.

    Needs the extra: ``pip install "sklearn-mabprune[onnx]"``.

    Parameters
    ----------
    pipeline : Pipeline, search or other estimator
        Fitted.  Of a search its best estimator is taken.  skl2onnx must know all steps but ours.
    X : array-like or dataframe of shape (n_samples, n_features)
        Rows as ``predict`` takes them; one is enough.  They say what the inputs are: an array
        is one input "X"; a dataframe has an input of shape (n_rows, 1) for each column, in
        their order and called like them, with "_" for whatever is no letter, digit or "_".
        Strings are strings; numbers and booleans are float32 where NumPy makes float32 of
        them together, else float64.  In pipelines of :func:`make_tabular_pipeline` numbers may
        have gaps, fed as NaN, and all other columns are strings: feed ``str(value)``, and
        "missing" for a gap.
    path : str or path-like, optional
        File to write.

    Returns
    -------
    onnx.ModelProto
        With the outputs "label" and "probabilities", or "variable" for a regressor, as
        :meth:`MABPrunedClassifier.to_onnx` has them.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    TypeError
        If a column is neither all numbers nor all strings.
    ValueError
        If X has not the columns of fit.
    RuntimeError
        If skl2onnx cannot convert a step.

    Notes
    -----
    For other options of skl2onnx call :func:`register_onnx_converters`, and then
    ``skl2onnx.to_onnx`` yourself.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mabprune import MABPrunedClassifier, pipeline_to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MABPrunedClassifier(random_state=0)).fit(X, y)
    >>> onnx_model = pipeline_to_onnx(model, X)
    >>> [output.name for output in onnx_model.graph.output]
    ['label', 'probabilities']
    """
    pipeline = getattr(pipeline, "best_estimator_", pipeline)
    check_is_fitted(pipeline)
    register_onnx_converters()
    last = pipeline
    while isinstance(last, Pipeline):
        last = last.steps[-1][1]
    initial_types = _inputs(X, _reads_text(pipeline), _columns_of_numbers(pipeline))
    if not hasattr(X, "columns") and np.ndim(X) == 2:
        check_n_features(pipeline, X, reset=False)
    try:
        model = require("skl2onnx", "onnx").to_onnx(
            pipeline,
            initial_types=initial_types,
            # Arrays, in place of a dict for each row.
            options={id(last): {"zipmap": False}} if is_classifier(last) else None,
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
    except (RuntimeError, NotImplementedError) as error:
        lacking = _columns_lacking(pipeline, X)
        if lacking:
            raise ValueError(
                f"X lacks columns that the pipeline was fitted with: {', '.join(lacking)}. Pass "
                "rows as predict takes them."
            ) from error
        raise RuntimeError(
            f"skl2onnx cannot convert a step of this {type(pipeline).__name__}: {error} Put "
            "another step in its place; or do that step in Python, and export the network alone "
            "with to_onnx."
        ) from error
    if path is not None:
        with open(path, "wb") as file:
            file.write(model.SerializeToString())
    return model


def register_onnx_converters() -> None:
    """Teach skl2onnx our estimators, wherever they stand in what it converts.

    ``skl2onnx.to_onnx(model, X)`` then works for every model that contains them, with the
    options that classifiers have there.  It also learns what :func:`make_tabular_pipeline`
    sets scikit-learn's steps to and it does not know: gaps of numbers marked by columns of
    their own, and rare categories in one column.  Calling it again does nothing more.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import VotingClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_mabprune import MABPrunedClassifier, register_onnx_converters
    >>> register_onnx_converters()
    >>> X, y = load_iris(return_X_y=True)
    >>> members = [("net", MABPrunedClassifier(random_state=0)), ("bayes", GaussianNB())]
    >>> vote = VotingClassifier(members, voting="soft", flatten_transform=False).fit(X, y)
    >>> onnx_model = skl2onnx.to_onnx(vote, X, options={id(vote): {"zipmap": False}})
    """
    register = require("skl2onnx", "onnx").update_registered_converter
    options = {
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [True, False],
    }
    for made in (MABPrunedClassifier, MABPrunedClassifierCV):
        register(
            made,
            f"Mabprune{made.__name__}",
            _classifier_outputs,
            _convert_classifier,
            options=options,
        )
    for kind in (MABPrunedRegressor, MABPrunedRegressorCV):
        register(kind, f"Mabprune{kind.__name__}", _regressor_outputs, _convert_regressor)
    register_table_converters(register)


# ------------------------------------------------------------------- inputs of a pipeline


def _inputs(X: Any, categories_are_text: bool, of_numbers: set[str]) -> list[tuple[str, Any]]:
    """Names and types of the inputs, as skl2onnx wants them.

    Parameters
    ----------
    X : array-like or frame
    categories_are_text : bool
        Whether the pipeline reads as text whatever are no numbers, truth values too.
    of_numbers : set of str
        Columns that it reads as numbers whatever their type.
    """
    types = require("skl2onnx.common.data_types", "onnx")
    if hasattr(X, "columns"):
        columns = {str(name): X[name] for name in X.columns}
    else:
        columns = {"X": X if hasattr(X, "dtype") else np.asarray(X)}
    numbers = {
        # Numbers may lie in objects.
        name: np.asarray(values[:0]).dtype if has_number_type(values) else np.dtype(np.float64)
        for name, values in columns.items()
        if has_number_type(values)
        or name in of_numbers
        or not (categories_are_text or _is_text(values, name))
    }
    # One type for all: skl2onnx joins columns without a cast, whatever they are.
    single = numbers and np.result_type(*numbers.values()) == np.float32
    number = types.FloatTensorType if single else types.DoubleTensorType
    return [
        (
            name,
            (number if name in numbers else types.StringTensorType)(
                [None, values.shape[1] if len(values.shape) == 2 else 1]
            ),
        )
        for name, values in columns.items()
    ]


def _reads_text(pipeline: Any) -> bool:
    """Whether there is the step of `make_tabular_pipeline` that makes text of categories."""
    return any(getattr(part, "func", None) is as_text for part in pipeline.get_params().values())


def _columns_of_numbers(pipeline: Any) -> set[str]:
    """Columns of a frame that `make_tabular_pipeline` found to hold numbers, if it was used."""
    found: set[str] = set()
    for part in pipeline.get_params().values():
        if isinstance(part, ColumnTransformer):
            columns = {name: where for name, _, where in part.transformers_}
            for name, _, asked in part.transformers:
                if asked == ColumnsOf(True):
                    found |= set(map(str, columns.get(name, ())))
    return found


def _columns_lacking(pipeline: Any, X: Any) -> list[str]:
    """Names of fit that a frame has not got; a pipeline need not use all of them."""
    given = set(getattr(X, "columns", ()))
    known = getattr(pipeline, "feature_names_in_", ())
    return [repr(name) for name in known if name not in given] if given else []


def _is_text(column: Any, name: str) -> bool:
    """Whether a column holds strings; else it holds truth values or numbers."""
    values = np.asarray(column)
    if values.dtype.kind in "fiub":
        return False
    if values.dtype.kind in "UTO" and all(isinstance(value, str) for value in np.ravel(values)):
        return True
    raise TypeError(
        f"{name!r} holds neither numbers alone nor strings alone, and an ONNX input must. Fill in "
        "what is missing before the pipeline, or let make_tabular_pipeline do it."
    )


# --------------------------------------------------------------------------- converters


def _classifier_outputs(operator: Any) -> None:
    types = require("skl2onnx.common.data_types", "onnx")
    labels = onnx_labels(operator.raw_operator.classes_)
    n_rows = operator.inputs[0].get_first_dimension()
    made = types.StringTensorType if labels.dtype == object else types.Int64TensorType
    several = operator.raw_operator.multilabel_
    operator.outputs[0].type = made([n_rows, len(labels)] if several else [n_rows])
    operator.outputs[1].type = _values_type(operator)([n_rows, len(labels)])


def _regressor_outputs(operator: Any) -> None:
    layers = plain_layers(operator.raw_operator)
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = _values_type(operator)([n_rows, n_outputs(layers)])


def _values_type(operator: Any) -> Any:
    """Doubles for doubles, floats for everything else: skl2onnx's rule."""
    types = require("skl2onnx.common.data_types", "onnx")
    return type(types.guess_tensor_type(operator.inputs[0].type))


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    label, probabilities = (output.full_name for output in operator.outputs)
    writer, found = _write(scope, operator, container, probabilities)
    model = operator.raw_operator
    # From the network's own precision, as `predict` does it.
    writer.labels(found, None if model.multilabel_ else onnx_labels(model.classes_), label)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    _write(scope, operator, container, operator.outputs[0].full_name)


def _write(scope: Any, operator: Any, container: Any, to: str) -> tuple[Writer, str]:
    """Write the network from the operator's inputs to an output; also its name uncast."""
    layers = plain_layers(operator.raw_operator)
    dtype = precision(layers)
    writer = Writer(ContainerGraph(scope, container), dtype)
    names = [writer.cast(column.full_name, dtype) for column in operator.inputs]
    x = names[0] if len(names) == 1 else writer.node("Concat", *names, axis=1)
    types = require("skl2onnx.common.data_types", "onnx")
    wide = _values_type(operator) is types.DoubleTensorType
    found = writer.layers(layers, x)
    writer.cast(found, "float64" if wide else "float32", to)
    return writer, found
