"""ONNX converters for the transformers of tabular pipelines.

skl2onnx supports their classes, but not indicator columns of missing values, and infrequent
categories in one column.  These converters handle such
settings and leave all others to those of skl2onnx.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from ..export.onnx import ContainerGraph, Writer
from ..utils.compat import parse_column_transformer, register_onnx_parser
from ..utils.optional import require
from .categories import one_hot_columns, written_forms
from .table_columns import CategoryEncoder, TableColumns


class _Converter:
    """Converter of a transformer class; skl2onnx's functions convert what `takes` declines."""

    #: The transformer class, and skl2onnx's functions for it: (module, name) of each.
    transformer: type
    shapes: tuple[str, str]
    nodes: tuple[str, str]

    def takes(self, operator: Any) -> bool:
        """Whether an operator has settings that skl2onnx does not support."""
        raise NotImplementedError

    def shape(self, operator: Any) -> None:
        """Set the type and shape of the output."""
        raise NotImplementedError

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        """Write the nodes from the columns `x` to the output `to`."""
        raise NotImplementedError

    def functions(self) -> tuple[Callable[..., None], Callable[..., None]]:
        """The functions that skl2onnx calls to set output shapes and to write nodes."""
        # From their modules: the registry of skl2onnx may contain these converters already.
        known_shape, known_nodes = (
            getattr(import_module(f"skl2onnx.{module}"), name)
            for module, name in (self.shapes, self.nodes)
        )

        def shape(operator: Any) -> None:
            (self.shape if self.takes(operator) else known_shape)(operator)

        def convert(scope: Any, operator: Any, container: Any) -> None:
            if not self.takes(operator):
                known_nodes(scope, operator, container)
                return
            dtype = "float64" if _is_wide(operator.outputs[0]) else "float32"
            writer = Writer(ContainerGraph(scope, container), dtype)
            names = [variable.full_name for variable in operator.inputs]
            x = names[0] if len(names) == 1 else writer.node("Concat", *names, axis=1)
            self.write(writer, operator.raw_operator, x, operator.outputs[0].full_name)

        return shape, convert


def register_table_converters(register: Callable[..., None]) -> None:
    """Register the converters for the transformers of a tabular pipeline with skl2onnx.

    Parameters
    ----------
    register : callable
        ``skl2onnx.update_registered_converter``.
    """
    for converter in (_ImputerConverter(), _EncoderConverter(), _CategoryConverter()):
        register(
            converter.transformer,
            f"Sklearn{converter.transformer.__name__}",
            *converter.functions(),
        )
    # A parser alone: the nodes are those of its steps, since inputs are floats and strings already.
    register_onnx_parser(TableColumns, _parse_table_columns)


def _parse_table_columns(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare the steps of TableColumns, as those of a ColumnTransformer."""
    categories = {str(name) for name, kind in model.kinds_.items() if not kind.is_number}
    strings = _types().StringTensorType
    # ONNX formats numbers differently than Python.
    if any(
        variable.raw_name in categories and not isinstance(variable.type, strings)
        for variable in inputs
    ):
        raise TypeError(
            "Categorical columns must be strings in ONNX: pipeline_to_onnx declares them so; "
            "for skl2onnx.to_onnx declare them in initial_types with StringTensorType."
        )
    return parse_column_transformer(scope, model, inputs, custom_parsers)


def _types() -> Any:
    """The module of skl2onnx with its data types."""
    return require("skl2onnx.common.data_types", "onnx")


def _is_wide(variable: Any) -> bool:
    """Whether a variable is of type double."""
    return isinstance(variable.type, _types().DoubleTensorType)


def _all_are(operator: Any, *names: str) -> bool:
    """Whether all inputs have the same type, and it is one of those named."""
    kinds = {type(variable.type).__name__ for variable in operator.inputs}
    return len(kinds) == 1 and kinds <= set(names)


class _ImputerConverter(_Converter):
    """Converter of SimpleImputer for NaN, with indicator columns of missing values.

    skl2onnx's converter imputes in float32 for any input and writes no indicator columns.
    """

    transformer = SimpleImputer
    shapes = ("shape_calculators.imputer", "calculate_sklearn_imputer_output_shapes")
    nodes = ("operator_converters.imputer_op", "convert_sklearn_imputer")

    def takes(self, operator: Any) -> bool:
        """Whether missing values are NaN and all columns are of the same float type."""
        missing = operator.raw_operator.missing_values
        is_nan = isinstance(missing, float) and np.isnan(missing)
        return is_nan and _all_are(operator, "FloatTensorType", "DoubleTensorType")

    @staticmethod
    def _columns(imputer: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of the imputed columns (not dropped as empty) and of those with indicators."""
        imputed = np.flatnonzero(~np.isnan(imputer.statistics_.astype(float)))
        indicated = imputer.indicator_.features_ if imputer.add_indicator else np.empty(0)
        return imputed, indicated.astype(np.intp)

    def shape(self, operator: Any) -> None:
        """Set the type and shape of imputed and indicator columns."""
        width = sum(map(len, self._columns(operator.raw_operator)))
        first = operator.inputs[0]
        operator.outputs[0].type = type(first.type)([first.get_first_dimension(), width])

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        """Write the nodes that impute missing values and append indicator columns."""
        imputed, indicated = self._columns(part)
        missing = writer.node("IsNaN", x)
        values = writer.constant(np.nan_to_num(part.statistics_.astype(float))[None])
        complete = writer.node("Where", missing, values, x)
        complete = writer.node("Gather", complete, writer.integers(imputed), axis=1)
        if len(indicated) == 0:
            writer.node("Identity", complete, to=to)
            return
        indicators = writer.cast(missing, writer.dtype)
        indicators = writer.node("Gather", indicators, writer.integers(indicated), axis=1)
        writer.node("Concat", complete, indicators, to=to, axis=1)


class _EncoderConverter(_Converter):
    """Converter of OneHotEncoder with infrequent categories, which unknown ones are treated as."""

    transformer = OneHotEncoder
    shapes = (
        "shape_calculators.one_hot_encoder",
        "calculate_sklearn_one_hot_encoder_output_shapes",
    )
    nodes = ("operator_converters.one_hot_encoder", "convert_sklearn_one_hot_encoder")

    def takes(self, operator: Any) -> bool:
        """Whether the encoder has, or may have, a column of infrequent categories."""
        encoder = operator.raw_operator
        limited = encoder.max_categories is not None or encoder.min_frequency is not None
        unknown = encoder.handle_unknown
        return (
            (unknown in ("infrequent_if_exist", "warn") or (limited and unknown == "ignore"))
            and encoder.drop is None
            and np.dtype(encoder.dtype).kind == "f"
            and _all_are(operator, "StringTensorType")
        )

    def shape(self, operator: Any) -> None:
        """Set the type and shape of the one-hot columns."""
        width = sum(column.width for column in one_hot_columns(operator.raw_operator))
        n_samples = operator.inputs[0].get_first_dimension()
        # Float, as in skl2onnx: 0 and 1 are exact, and its concatenation converts to double.
        operator.outputs[0].type = _types().FloatTensorType([n_samples, width])

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        """Write the nodes that compare the code of each category with all output columns."""
        columns = []
        for number, found in enumerate(one_hot_columns(part)):
            names = [str(category) for category in found.categories]
            keys = written_forms(part, dict(zip(names, found.columns.tolist(), strict=True)))
            column = writer.node("Gather", x, writer.integers([number]), axis=1)
            code = writer.node(
                "LabelEncoder",
                column,
                op_domain="ai.onnx.ml",
                op_version=2,
                keys_strings=list(keys),
                values_int64s=list(keys.values()),
                default_int64=found.unknown,
            )
            all_codes = writer.integers(np.arange(found.width)[None])
            columns.append(writer.cast(writer.node("Equal", code, all_codes), writer.dtype))
        writer.node("Concat", *columns, to=to, axis=1)


class _CategoryConverter(_EncoderConverter):
    """Converter of CategoryEncoder, whose categories may be written in several ways."""

    transformer = CategoryEncoder
