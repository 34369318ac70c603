"""Export of pipelines to ONNX: converters of the package's estimators for skl2onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from ..estimators.classifier import MABPrunedClassifier
from ..estimators.cv import MABPrunedClassifierCV, MABPrunedRegressorCV
from ..estimators.regressor import MABPrunedRegressor
from ..export.onnx import OPSET, TYPES
from ..export.onnx_check import check_model
from ..export.onnx_int8 import MAX_CALIBRATION, quantised_model
from ..utils.columns import has_numeric_dtype
from ..utils.compat import check_n_features
from ..utils.files import write_whole
from ..utils.memory import out_of_memory
from ..utils.optional import require
from ..utils.torch_settings import own_settings
from .onnx_inputs import inputs_of
from .onnx_networks import (
    classifier_outputs,
    convert_classifier,
    convert_regressor,
    regressor_outputs,
)
from .onnx_samples import drawn_samples, predicts, some_samples
from .onnx_steps import register_table_converters
from .parts import (
    OURS,
    check_thresholds,
    fitted_pipeline,
    names_of_steps,
    parts_of,
    without_frozen,
)
from .table_columns import TableColumns
from .tabular_pipeline import TabularPipeline


@own_settings()
def pipeline_to_onnx(pipeline: Any, X: Any, path: Any = None, *, quantize: Any = None) -> Any:
    """Export a fitted pipeline that ends in a pruned estimator to ONNX.

    Needs skl2onnx: ``pip install "sklearn-mabprune[onnx]"``.

    Parameters
    ----------
    pipeline : Pipeline, search or other estimator
        Fitted pipeline, or a fitted search, whose best estimator is exported.  skl2onnx must
        support all steps before the pruned estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples in the format that ``predict`` accepts; one sample is enough.  They define the
        inputs of the model.  An array becomes one input "X".  Each column of a DataFrame
        becomes an input of shape (n_samples, 1) with the name of the column, in which every
        character other than letters, digits and "_" is replaced by "_".  Columns of strings
        become string inputs.  Numbers and booleans become float32 inputs if NumPy's common
        dtype of these columns is float32, else float64.  In a pipeline of
        :func:`make_tabular_pipeline`, missing values of numeric columns must be passed to the
        model as NaN, and all other columns as strings: ``str(value)``, or "missing" for a
        missing value.
    path : str or path-like, optional
        File to write the model to.
    quantize : array-like or DataFrame of shape (n_samples, n_features), optional
        Samples in the format of X, such as those of ``fit``, of which at most 1,000 are used to
        quantise the network: the fully connected layers compute in 8 bits, with a scale for each
        unit; all else in float32.  Needs onnxruntime.

    Returns
    -------
    onnx.ModelProto
        With the outputs "label" and "probabilities" (classifier) or "variable" (regressor) that
        :meth:`MABPrunedClassifier.to_onnx` describes.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the pipeline is not fitted.
    TypeError
        If `pipeline` is not an estimator, or if a column contains neither only numbers nor only
        strings.
    ValueError
        If X lacks columns that the pipeline was fitted with.
    RuntimeError
        If skl2onnx cannot convert a step, or if the model does not predict what the pipeline
        predicts: labels, probabilities or values that differ by more than rounding.  Without
        onnxruntime the model is checked, but not run.

    Notes
    -----
    Model and pipeline are compared on at most 256 samples of X, and on samples that are drawn
    from it: permuted column by column; with other numbers; in a tabular pipeline with numbers and
    categories of ``fit``.  Drawn samples that the pipeline refuses are left out.  The more samples
    X has, the more is compared.

    For other options of skl2onnx call :func:`register_onnx_converters` and then
    ``skl2onnx.to_onnx``.

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
    pipeline = fitted_pipeline(pipeline, "pipeline_to_onnx(pipeline, X, path)")
    check_thresholds(pipeline)
    register_onnx_converters()
    pipeline = without_frozen(pipeline)
    last = pipeline
    while isinstance(last, Pipeline):
        last = last.steps[-1][1]
    if not hasattr(X, "columns") and np.ndim(X) == 2:
        check_n_features(pipeline, X, reset=False)
    # Probabilities as an array, in place of a dict per sample.
    options: dict[int, dict[str, bool]] = {}
    if is_classifier(last):
        options[id(last)] = {"zipmap": False}
    reads_strings = _reads_strings(pipeline)
    model = _converted(pipeline, X, options)
    _check(model, pipeline, X, reads_strings)
    if quantize is not None:
        for part in parts_of(pipeline):
            if isinstance(part, OURS):
                options[id(part)] = {**options.get(id(part), {}), "single": True}
        model = _converted(pipeline, X, options)
        chosen = some_samples(quantize, MAX_CALIBRATION)
        model = quantised_model(model, inputs_of(model, chosen, reads_strings))
    if path is not None:
        write_whole(path, model.SerializeToString())
    return model


def _converted(pipeline: Any, X: Any, options: dict[int, dict[str, bool]]) -> Any:
    """The pipeline as skl2onnx converts it."""
    initial_types = _inputs(X, _reads_strings(pipeline), _numeric_columns(pipeline))
    try:
        return require("skl2onnx", "onnx").to_onnx(
            pipeline,
            initial_types=initial_types,
            options=options or None,
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
    # skl2onnx raises what its code happens to meet for settings and classes that it lacks.
    except (RuntimeError, NotImplementedError, LookupError, AttributeError, TypeError) as error:
        if out_of_memory(error):
            raise
        missing = _missing_columns(pipeline, X)
        if missing:
            raise ValueError(
                f"X lacks columns that the pipeline was fitted with: {', '.join(missing)}. Pass "
                "samples in the format that predict accepts."
            ) from error
        raise RuntimeError(
            f"skl2onnx cannot convert a step of this {type(pipeline).__name__}: {_words(error)} "
            f"{_remedy(error)}"
        ) from error


def _words(error: Exception) -> str:
    """The first line of what skl2onnx says, with the class of an error that says only a name."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{text}." if isinstance(error, RuntimeError) else f"{type(error).__name__} {text}."


def _remedy(error: Exception) -> str:
    """What the user can do about an error of skl2onnx."""
    if "input(s) is(are) supported" in str(error):
        return (
            "A wrapper around a pipeline that reads a table cannot be exported; one inside it can: "
            "make_tabular_pipeline(CalibratedClassifierCV(estimator)), for example."
        )
    return "Replace the step; or run it in Python, and export the network alone with to_onnx."


def _check(model: Any, pipeline: Any, X: Any, reads_strings: bool) -> None:
    """Compare the ONNX form of a pipeline with the pipeline on samples of X, and on drawn ones."""
    some = some_samples(X)
    tables = [p for p in parts_of(pipeline) if isinstance(p, TableColumns) and hasattr(p, "kinds_")]
    try:
        check_model(model, pipeline, some, inputs_of(model, some, reads_strings))
        for drawn in drawn_samples(some, tables[0] if len(tables) == 1 else None):
            if predicts(pipeline, drawn):
                check_model(model, pipeline, drawn, inputs_of(model, drawn, reads_strings))
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        kinds = {put.type.tensor_type.elem_type for put in model.graph.input}
        # skl2onnx converts such steps to float32 and leaves the others in float64.
        mixed = "different types" in str(error) and TYPES["float64"] in kinds
        narrow = "Fit and export on float32 samples, X.astype('float32'). " if mixed else ""
        raise RuntimeError(
            f"The ONNX form of this {type(pipeline).__name__} is not handed out: {error} skl2onnx "
            f"converts {names_of_steps(pipeline)} in another way than scikit-learn computes. "
            f"{narrow}Replace the step; or run it in Python, and export the network alone with "
            "to_onnx."
        ) from error


def register_onnx_converters() -> None:
    """Register converters of the pruned estimators with skl2onnx.

    ``skl2onnx.to_onnx(model, X)`` then works for every model that contains pruned estimators,
    with skl2onnx's options for classifiers.  Settings of scikit-learn's transformers that
    :func:`make_tabular_pipeline` uses and skl2onnx does not support are registered too:
    indicator columns of missing values, and infrequent categories in one column.  Calling the
    function repeatedly has no further effect.

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
        "single": [False, True],
    }
    for classifier in (MABPrunedClassifier, MABPrunedClassifierCV):
        register(
            classifier,
            f"Mabprune{classifier.__name__}",
            classifier_outputs,
            convert_classifier,
            options=options,
        )
    for regressor in (MABPrunedRegressor, MABPrunedRegressorCV):
        register(
            regressor,
            f"Mabprune{regressor.__name__}",
            regressor_outputs,
            convert_regressor,
            options={"single": [False, True]},
        )
    # Around a pipeline skl2onnx asks for its class, and knows no subclasses.
    register(
        TabularPipeline,
        "MabpruneTabularPipeline",
        require("skl2onnx.shape_calculators.pipelines", "onnx").pipeline_shape_calculator,
        require("skl2onnx.operator_converters.pipelines", "onnx").convert_pipeline,
        options="passthrough",
    )
    register_table_converters(register)


# ------------------------------------------------------------------- inputs of a pipeline


def _inputs(X: Any, reads_strings: bool, numeric: set[str]) -> list[tuple[str, Any]]:
    """Names and types of the inputs, in the format of skl2onnx.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples in the format that ``predict`` accepts.
    reads_strings : bool
        Whether the pipeline converts all columns without numbers to strings, booleans too.
    numeric : set of str
        Names of columns that the pipeline reads as numbers, whatever their dtype.

    Returns
    -------
    list of (name, type)
    """
    types = require("skl2onnx.common.data_types", "onnx")
    if hasattr(X, "columns"):
        columns = {str(name): X[name] for name in X.columns}
    else:
        columns = {"X": X if hasattr(X, "dtype") else np.asarray(X)}
    numbers = {
        # Numbers of object dtype count as float64.
        name: np.asarray(values[:0]).dtype if has_numeric_dtype(values) else np.dtype(np.float64)
        for name, values in columns.items()
        if has_numeric_dtype(values)
        or name in numeric
        or not (reads_strings or _is_string(values, name))
    }
    # One dtype for all columns, because skl2onnx concatenates them without a cast.
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


def _reads_strings(pipeline: Any) -> bool:
    """Whether a pipeline contains the step of `make_tabular_pipeline` that makes strings."""
    return any(isinstance(part, TableColumns) for part in parts_of(pipeline))


def _numeric_columns(pipeline: Any) -> set[str]:
    """Names of columns that a pipeline of `make_tabular_pipeline` reads as numbers."""
    return {
        str(name)
        for part in parts_of(pipeline)
        if isinstance(part, TableColumns)
        # A wrapper keeps the unfitted pipeline that it clones, too.
        for name, kind in getattr(part, "kinds_", {}).items()
        if kind.is_number
    }


def _missing_columns(pipeline: Any, X: Any) -> list[str]:
    """Quoted names of the columns of fit that a DataFrame lacks; not all of them may be needed."""
    given = set(getattr(X, "columns", ()))
    known = getattr(pipeline, "feature_names_in_", ())
    return [repr(name) for name in known if name not in set(map(str, given))] if given else []


def _is_string(column: Any, name: str) -> bool:
    """Whether a column contains strings; if not, it contains booleans or numbers.

    Raises
    ------
    TypeError
        If the column contains neither only numbers nor only strings.
    """
    values = np.asarray(column)
    if values.dtype.kind in "fiub":
        return False
    if values.dtype.kind in "UTO" and all(isinstance(value, str) for value in np.ravel(values)):
        return True
    raise TypeError(
        f"{name!r} contains neither only numbers nor only strings, as an ONNX input must. Impute "
        "missing values before the pipeline, or use make_tabular_pipeline."
    )
