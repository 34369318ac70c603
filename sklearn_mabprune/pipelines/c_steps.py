"""The C forms of scikit-learn's transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from ..export.c.layers import add_linear
from ..export.c.program import Vector
from ..export.chain import Linear
from ..utils.columns import is_missing
from .c_encoders import write_one_hot, write_ordinal
from .c_tables import Table, refused
from .table_columns import CategoryEncoder, TableColumns
from .tabular_pipeline import TabularPipeline

#: Relative errors of the mean in float32 that are made up for by a second number.
_ROUNDED = 1e-6

Writer = Callable[[Table, Any, Vector | None], Table]


def write_step(table: Table, part: Any, into: Vector | None = None) -> Table:
    """Add the calls of a fitted transformer, and return its output.

    Parameters
    ----------
    table : Table
        Its input.
    part : transformer, "passthrough" or None
    into : Vector, optional
        Where the output has to be written.

    Raises
    ------
    RuntimeError
        If the transformer, or one of its settings, has no C form.
    """
    found = table if part is None or isinstance(part, str) else _writer_of(part)(table, part, into)
    if into is None or found.whole is into:
        return found
    table.program.call("copy", into.size, found.vector(), into)
    return found.of(into, found.origins, found.binary)


def _writer_of(part: Any) -> Writer:
    if isinstance(part, SelectorMixin):
        return _select
    found = STEPS.get(type(part))
    if found is None:
        known = ", ".join(sorted(kind.__name__ for kind in STEPS))
        raise refused(part, f"it is none of {known}, or a selector of features")
    return found


def _pipeline(table: Table, part: Any, into: Vector | None) -> Table:
    steps = [step for _, step in part.steps]
    for step in steps[:-1]:
        table = write_step(table, step)
    return write_step(table, steps[-1], into)


def _column_transformer(table: Table, part: Any, into: Vector | None) -> Table:
    if part.transformer_weights:
        raise refused(part, f"transformer_weights={part.transformer_weights!r} are not written")
    blocks = dict(part.output_indices_.items())
    output = into or Vector(max((block.stop for block in blocks.values()), default=0))
    names = getattr(part, "feature_names_in_", np.empty(0)).tolist()
    origins: list[int | None] = [None] * output.size
    binary = [False] * output.size
    for name, step, columns in part.transformers_:
        block = blocks[name]
        width = block.stop - block.start
        if (isinstance(step, str) and step == "drop") or width == 0:
            continue
        if np.isscalar(columns) and isinstance(columns, str):
            raise refused(step, f"it reads column {columns!r} alone, as text")
        selected = _indices(columns, names, part.n_features_in_)
        found = write_step(table.take(selected), step, output.part(block.start, width))
        origins[block], binary[block] = found.origins, found.binary
    return table.of(output, tuple(origins), tuple(binary))


def _indices(columns: Any, names: list[Any], n_columns: int) -> NDArray[np.intp]:
    """Positions of columns that are given by names, positions, a slice or a mask."""
    if isinstance(columns, slice):
        ends: list[Any] = [
            names.index(end) if isinstance(end, str) else end
            for end in (columns.start, columns.stop)
        ]
        if isinstance(columns.stop, str):
            ends[1] += 1  # a slice of names includes its end
        return np.arange(n_columns)[slice(ends[0], ends[1], columns.step)]
    found = list(np.atleast_1d(np.asarray(columns, dtype=object)))
    if found and all(isinstance(value, (bool, np.bool_)) for value in found):
        return np.flatnonzero(found)
    position = {name: k for k, name in enumerate(names)}
    return np.arange(n_columns)[[position[v] if isinstance(v, str) else int(v) for v in found]]


def _union(table: Table, part: Any, into: Vector | None) -> Table:
    if part.transformer_weights:
        raise refused(part, f"transformer_weights={part.transformer_weights!r} are not written")
    whole = table.of(table.vector(), table.origins)
    # Several steps read it.
    whole.whole.shared = True
    steps = [step for _, step in part.transformer_list if step != "drop"]
    found = [write_step(whole, step) for step in steps]
    output = into or Vector(sum(map(len, found)))
    first = 0
    for one in found:
        table.program.call("copy", len(one), one.vector(), output.part(first, len(one)))
        first += len(one)
    return table.of(output)


def _function(table: Table, part: Any, into: Vector | None) -> Table:
    if part.func is not None:
        name = getattr(part.func, "__name__", repr(part.func))
        raise refused(part, f"its function {name} is code of Python")
    return table


def _select(table: Table, part: Any, into: Vector | None) -> Table:
    return table.take(part.get_support(indices=True))


def _scaled(table: Table, into: Vector | None, centre: NDArray[Any], factor: NDArray[Any]) -> Table:
    """The columns less their centres, times a factor.

    A centre that float32 does not hold well enough is the sum of two numbers.
    """
    program, x = table.program, table.vector()
    y = program.target(x, into)
    factor = np.broadcast_to(factor, x.size)
    centre = np.broadcast_to(centre, x.size).astype(float)
    rest = centre - centre.astype(np.float32)
    factors = program.constant("factors", factor)
    if not centre.any():
        program.call("multiply", factors, x.size, x, y)
        return table.of(y)
    centres = program.constant("centres", centre)
    if (np.abs(rest * factor) < _ROUNDED).all():
        program.call("standardise", centres, factors, x.size, x, y)
    else:
        rests = program.constant("rests", rest)
        program.call("standardise_twice", centres, rests, factors, x.size, x, y)
    return table.of(y)


def _standard(table: Table, part: Any, into: Vector | None) -> Table:
    centre = part.mean_ if part.with_mean else np.zeros(1)
    return _scaled(table, into, centre, 1 / part.scale_ if part.with_std else np.ones(1))


def _robust(table: Table, part: Any, into: Vector | None) -> Table:
    centre = part.center_ if part.with_centering else np.zeros(1)
    return _scaled(table, into, centre, 1 / part.scale_ if part.with_scaling else np.ones(1))


def _max_abs(table: Table, part: Any, into: Vector | None) -> Table:
    return _clipped(_scaled(table, into, np.zeros(1), 1 / part.scale_), part, -1.0, 1.0)


def _min_max(table: Table, part: Any, into: Vector | None) -> Table:
    # Where the output is 0, so that nothing is lost when a large offset is taken away.
    found = _scaled(table, into, -part.min_ / part.scale_, part.scale_)
    return _clipped(found, part, *map(float, part.feature_range))


def _clipped(table: Table, part: Any, low: float, high: float) -> Table:
    """The columns within bounds, if a scaler has clip=True."""
    if part.clip:
        table.program.call("clip", low, high, len(table), table.whole, table.whole)
    return table


def _projection(table: Table, part: Any, into: Vector | None) -> Table:
    weight = part.components_
    if getattr(part, "whiten", False):
        weight = weight / np.sqrt(part.explained_variance_)[:, None]
    n_inputs = len(table)
    mean = getattr(part, "mean_", np.zeros(n_inputs))
    centred = _scaled(table, None, mean, np.ones(1))
    y = into or Vector(len(weight))
    add_linear(table.program, Linear(weight, np.zeros(len(weight))), centred.whole, y)
    return table.of(y)


def _impute(table: Table, part: Any, into: Vector | None) -> Table:
    fills = [
        table.inputs.code(origin, fill)
        if isinstance(fill, str) and origin is not None
        else np.nan if is_missing(fill) else float(fill)
        for fill, origin in zip(part.statistics_, table.origins, strict=True)
    ]  # fmt: skip
    if isinstance(part.missing_values, str):
        raise refused(part, f"missing_values={part.missing_values!r}: only NaN and numbers are")
    missing = np.nan if is_missing(part.missing_values) else float(part.missing_values)
    indicated = part.indicator_.features_ if part.add_indicator else np.empty(0, np.intp)
    kept = np.flatnonzero(~np.isnan(np.asarray(fills)))
    program, n = table.program, len(kept)
    imputed = table.take(kept)
    fill = program.constant("fills", np.asarray(fills)[kept])
    if len(indicated) == 0:
        x = imputed.vector()
        y = program.target(x, into)
        program.call("impute", fill, missing, n, x, y)
        return table.of(y, imputed.origins)
    output = into or Vector(n + len(indicated))
    for k, column in enumerate(indicated):
        program.call("is_missing", missing, table.column(column), output.part(n + k, 1))
    program.call("impute", fill, missing, n, imputed.vector(), output.part(0, n))
    return table.of(output, (*imputed.origins, *[None] * len(indicated)))


#: Writer of each transformer.
STEPS: dict[type, Writer] = {
    Pipeline: _pipeline,
    TabularPipeline: _pipeline,
    ColumnTransformer: _column_transformer,
    TableColumns: _column_transformer,
    FeatureUnion: _union,
    FunctionTransformer: _function,
    StandardScaler: _standard,
    RobustScaler: _robust,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    SimpleImputer: _impute,
    OneHotEncoder: write_one_hot,
    CategoryEncoder: write_one_hot,
    OrdinalEncoder: write_ordinal,
    PCA: _projection,
    TruncatedSVD: _projection,
}
