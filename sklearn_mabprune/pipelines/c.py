"""Export of pipelines to C: the steps before the network, and the network, in one header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from ..export.c.header import header
from ..export.c.literals import comment, identifier
from ..export.c.network import NetworkForm, check_dtype, interface_of, name_of, program_of
from ..utils.files import write_whole
from ..utils.torch_settings import own_settings
from .c_inputs import numbers_of, rounded
from .c_steps import write_step
from .c_tables import Table, refused
from .parts import OURS, fitted_pipeline, without_frozen


@own_settings()
def pipeline_to_c(
    pipeline: Any,
    path: Any = None,
    *,
    dtype: str = "float32",
    calibrate: Any = None,
    samples: Any = None,
    name: str | None = None,
) -> str:
    """Export a fitted pipeline that ends in a pruned estimator as a C99 header.

    Parameters
    ----------
    pipeline : Pipeline or search
        Fitted pipeline, or a fitted search, whose best estimator is exported.  The steps before
        the pruned estimator may be those of :func:`make_tabular_pipeline`, ColumnTransformer,
        FeatureUnion, StandardScaler, RobustScaler, MinMaxScaler, MaxAbsScaler, SimpleImputer,
        OneHotEncoder, OrdinalEncoder, PCA, TruncatedSVD, selectors of features, and
        FunctionTransformer without a function.
    path : str or path-like, optional
        File to write the header to.
    dtype : {"float32", "int8"}, default="float32"
        In which the network is kept and computed, as in :meth:`MABPrunedClassifier.to_c`; the
        steps before it compute in float32.
    calibrate : array-like or DataFrame of shape (n_samples, n_features), optional
        Samples for "int8", in the format that ``predict`` accepts.
    samples : array-like or DataFrame of shape (n_samples, n_features), optional
        Samples of a self-test, in the format that ``predict`` accepts; see
        :meth:`MABPrunedClassifier.to_c`.
    name : str, optional
        Beginning of all names in the header.  None: the name of the file, or "model".

    Returns
    -------
    str
        The header, with the functions that :meth:`MABPrunedClassifier.to_c` describes.  They
        take one ``float`` for each column that the pipeline was fitted with, in that order,
        which a comment in the header lists.  A missing value is NaN.  A category that was a
        string, or in a pipeline of :func:`make_tabular_pipeline` any category, is a code:
        ``NAME_code(column, "category")`` returns it, -1 for an unknown category.

    Raises
    ------
    NotFittedError
        If the pipeline is not fitted.
    TypeError
        If `pipeline` is not an estimator.
    RuntimeError
        If a step, or one of its settings, has no C form.
    UnsupportedModuleError
        If a layer or an operator of the network has no C form.
    ValueError
        If a parameter does not fit, if a number is not finite in float32, or if a class label or
        category cannot be a string in C.

    Notes
    -----
    Where scikit-learn raises an error for an unknown category (``handle_unknown="error"``), the
    outputs in C are NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mabprune import MABPrunedClassifier, make_tabular_pipeline, pipeline_to_c
    >>> X = pd.DataFrame({"age": [31, None, 58, 22] * 10, "job": ["cook", "nurse"] * 20})
    >>> y = ["no", "yes", "yes", "no"] * 10
    >>> model = make_tabular_pipeline(MABPrunedClassifier(random_state=0)).fit(X, y)
    >>> source = pipeline_to_c(model, name="jobs")
    >>> [line for line in source.splitlines() if "x[1]" in line]
    [' *   x[1]  job: category, jobs_code(1, "...") of 2']
    """
    check_dtype(dtype, calibrate)
    pipeline = fitted_pipeline(pipeline, "pipeline_to_c(pipeline, path)")
    *steps, estimator = _steps_of(without_frozen(pipeline))
    if not isinstance(estimator, OURS):
        raise refused(estimator, "the last step must be a pruned estimator")
    shape = getattr(estimator, "input_shape_", None) or ()
    if isinstance(shape, dict) or len(shape) > 1:
        # No table: images, sequences, or inputs by name.
        if steps:
            raise refused(steps[0], "the network reads samples that are no rows of a table")
        given = {"dtype": dtype, "calibrate": calibrate, "samples": samples, "name": name}
        return estimator.to_c(path, **given)  # type: ignore[no-any-return]
    columns = _columns(steps, estimator)
    program = program_of(estimator, len(columns))
    table = Table.of_input(program)
    for step in steps:
        table = write_step(table, step)
    features = None if calibrate is None else _features(steps, calibrate)
    form = NetworkForm.of(estimator, dtype, features, np.array(table.binary, dtype=bool))
    program.output = form.write(program, table.vector())
    # Encoders of categories of which a later step, such as a selector, reads none.
    read = program.leave_out_unread()
    title = f"A pipeline that ends in {type(estimator).__name__}"
    interface = interface_of(estimator, name_of(path, name), title, program.output.size)
    interface.notes.extend(form.notes)
    codes = {k: known for k, known in table.inputs.codes.items() if known and k in read}
    interface.categories.extend(sorted(codes.items()))
    if codes or not all(isinstance(column, int) for column in columns):
        interface.features.extend(_described(columns, codes, read, identifier(interface.name)))
    test = None
    if samples is not None:
        kinds = getattr(steps[0], "kinds_", {}) if steps else {}
        X = rounded(samples)
        numbers = numbers_of(X, columns, codes, read, kinds)
        test = form.self_test(pipeline, numbers, X, _features(steps, X))
    source = header(program, interface, test)
    if path is not None:
        write_whole(path, source.encode("ascii"))
    return source


def _steps_of(pipeline: Any) -> Iterator[Any]:
    """The steps of a pipeline, and of the pipelines inside it, one after the other."""
    if isinstance(pipeline, Pipeline):
        for _, step in pipeline.steps:
            yield from _steps_of(step)
    else:
        yield pipeline


def _features(steps: list[Any], X: Any) -> NDArray[Any]:
    """Samples after the steps before the network, dense."""
    for step in steps:
        X = step.transform(X) if hasattr(step, "transform") else X
    return X.toarray() if issparse(X) else np.asarray(X)


def _columns(steps: list[Any], estimator: Any) -> list[Any]:
    """Names of the columns that a pipeline was fitted with, or their indices."""
    for step in [*steps, estimator]:
        if hasattr(step, "kinds_"):
            return list(step.kinds_)
        if hasattr(step, "feature_names_in_"):
            return list(step.feature_names_in_)
        if hasattr(step, "n_features_in_"):
            return list(range(step.n_features_in_))
    return []


def _described(
    columns: list[Any], codes: Mapping[int, Mapping[str, int]], read: Set[int], name: str
) -> Iterator[str]:
    """A line of the comment for each column."""
    for k, column in enumerate(columns):
        known = codes.get(k)
        what = (
            f'category, {name}_code({k}, "...") of {len(set(known.values()))}'
            if known
            else "number"
        )
        yield f"{comment(str(column))}: {what if k in read else 'not read'}"
