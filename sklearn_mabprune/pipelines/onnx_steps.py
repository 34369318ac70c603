"""Steps of pipelines for tables that skl2onnx cannot convert as they are set, as ONNX nodes.

It knows their classes, but not gaps marked by columns of their own, categories turned into
text, or rare categories in one column.  All else is left to its own converters.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from ..export.onnx import ContainerGraph, Writer
from ..utils.optional import require
from .tabular import as_text


class _Converter:
    """How one class is converted; skl2onnx's own functions serve what `takes` declines."""

    #: The class, and skl2onnx's own functions for it: modules and names.
    made: type
    shapes: tuple[str, str]
    nodes: tuple[str, str]

    def takes(self, operator: Any) -> bool:
        """Whether an operator is set to what skl2onnx cannot convert."""
        raise NotImplementedError

    def shape(self, operator: Any) -> None:
        """Set the type and shape of the output."""
        raise NotImplementedError

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        """Write the nodes from the columns to the output."""
        raise NotImplementedError

    def functions(self) -> tuple[Callable[..., None], Callable[..., None]]:
        """What skl2onnx calls: for shapes and for nodes."""
        # From their modules, not from skl2onnx's register, where ours may stand already.
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
            names = [put.full_name for put in operator.inputs]
            x = names[0] if len(names) == 1 else writer.node("Concat", *names, axis=1)
            self.write(writer, operator.raw_operator, x, operator.outputs[0].full_name)

        return shape, convert


def register_table_converters(register: Callable[..., None]) -> None:
    """Teach skl2onnx what else the steps of a tabular pipeline may be set to.

    Parameters
    ----------
    register : callable
        ``skl2onnx.update_registered_converter``.
    """
    for converter in (_Gaps(), _Text(), _Categories()):
        register(converter.made, f"Sklearn{converter.made.__name__}", *converter.functions())


def _types() -> Any:
    return require("skl2onnx.common.data_types", "onnx")


def _is_wide(variable: Any) -> bool:
    return isinstance(variable.type, _types().DoubleTensorType)


def _all_are(operator: Any, *names: str) -> bool:
    """Whether all inputs are of one of these types, and of the same one."""
    kinds = {type(put.type).__name__ for put in operator.inputs}
    return len(kinds) == 1 and kinds <= set(names)


class _Gaps(_Converter):
    """Numbers with gaps: filled, and marked in columns of their own.

    skl2onnx fills them in float32 whatever the input, and marks none.
    """

    made = SimpleImputer
    shapes = ("shape_calculators.imputer", "calculate_sklearn_imputer_output_shapes")
    nodes = ("operator_converters.imputer_op", "convert_sklearn_imputer")

    def takes(self, operator: Any) -> bool:
        gap = operator.raw_operator.missing_values
        is_nan = isinstance(gap, float) and np.isnan(gap)
        return is_nan and _all_are(operator, "FloatTensorType", "DoubleTensorType")

    @staticmethod
    def _columns(imputer: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Columns that are filled (empty ones may go), and those whose gaps are marked."""
        filled = np.flatnonzero(~np.isnan(imputer.statistics_.astype(float)))
        marked = imputer.indicator_.features_ if imputer.add_indicator else np.empty(0)
        return filled, marked.astype(np.intp)

    def shape(self, operator: Any) -> None:
        width = sum(map(len, self._columns(operator.raw_operator)))
        first = operator.inputs[0]
        operator.outputs[0].type = type(first.type)([first.get_first_dimension(), width])

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        filled, marked = self._columns(part)
        gaps = writer.node("IsNaN", x)
        values = writer.constant(np.nan_to_num(part.statistics_.astype(float))[None])
        full = writer.node("Where", gaps, values, x)
        full = writer.node("Gather", full, writer.integers(filled), axis=1)
        if len(marked) == 0:
            writer.node("Identity", full, to=to)
            return
        marks = writer.cast(gaps, writer.dtype)
        marks = writer.node("Gather", marks, writer.integers(marked), axis=1)
        writer.node("Concat", full, marks, to=to, axis=1)


class _Text(_Converter):
    """Categories as text: text comes in already, since ONNX would write numbers otherwise."""

    made = FunctionTransformer
    shapes = (
        "shape_calculators.function_transformer",
        "calculate_sklearn_function_transformer_output_shapes",
    )
    nodes = ("operator_converters.function_transformer", "convert_sklearn_function_transformer")

    def takes(self, operator: Any) -> bool:
        return operator.raw_operator.func is as_text

    def shape(self, operator: Any) -> None:
        if not _all_are(operator, "StringTensorType"):
            raise TypeError(
                "Columns of categories must be strings in ONNX: pipeline_to_onnx declares them so; "
                "for skl2onnx.to_onnx say it in initial_types, with StringTensorType."
            )
        widths = [put.type.shape[1] for put in operator.inputs]
        first = operator.inputs[0]
        operator.outputs[0].type = type(first.type)([first.get_first_dimension(), sum(widths)])

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        writer.node("Identity", x, to=to)


class _Categories(_Converter):
    """Categories as columns, the rare ones together, with those that fit has not seen."""

    made = OneHotEncoder
    shapes = (
        "shape_calculators.one_hot_encoder",
        "calculate_sklearn_one_hot_encoder_output_shapes",
    )
    nodes = ("operator_converters.one_hot_encoder", "convert_sklearn_one_hot_encoder")

    def takes(self, operator: Any) -> bool:
        encoder = operator.raw_operator
        rare = encoder.max_categories is not None or encoder.min_frequency is not None
        kind = encoder.handle_unknown
        return (
            (kind in ("infrequent_if_exist", "warn") or (rare and kind == "ignore"))
            and encoder.drop is None
            and np.dtype(encoder.dtype).kind == "f"
            and _all_are(operator, "StringTensorType")
        )

    @staticmethod
    def _places(encoder: Any) -> list[tuple[list[str], NDArray[np.intp], int]]:
        """For each column its categories, the place of each, and that of all others.

        The rare ones have the last place together; -1 is nowhere.
        """
        rare = getattr(encoder, "infrequent_categories_", [None] * len(encoder.categories_))
        found = []
        for categories, together in zip(encoder.categories_, rare, strict=True):
            is_rare = np.isin(categories, [] if together is None else together)
            n_frequent = int((~is_rare).sum())
            places = np.where(is_rare, n_frequent, np.cumsum(~is_rare) - 1)
            others = n_frequent if is_rare.any() and encoder.handle_unknown != "ignore" else -1
            found.append((categories.tolist(), places, others))
        return found

    def shape(self, operator: Any) -> None:
        width = sum(int(places.max()) + 1 for _, places, _ in self._places(operator.raw_operator))
        n_rows = operator.inputs[0].get_first_dimension()
        # Floats, as skl2onnx has them: 0 and 1 are exact, and its concatenation widens them.
        operator.outputs[0].type = _types().FloatTensorType([n_rows, width])

    def write(self, writer: Writer, part: Any, x: str, to: str) -> None:
        columns = []
        for number, (categories, places, others) in enumerate(self._places(part)):
            column = writer.node("Gather", x, writer.integers([number]), axis=1)
            place = writer.node(
                "LabelEncoder",
                column,
                op_domain="ai.onnx.ml",
                op_version=2,
                keys_strings=[str(category) for category in categories],
                values_int64s=places.tolist(),
                default_int64=others,
            )
            all_places = writer.integers(np.arange(places.max() + 1)[None])
            columns.append(writer.cast(writer.node("Equal", place, all_places), writer.dtype))
        writer.node("Concat", *columns, to=to, axis=1)
