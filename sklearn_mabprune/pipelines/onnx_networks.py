"""Converters of the package's estimators for skl2onnx.

They have an option of their own, ``single``: the network computes in float32, whatever its
precision in Python.
"""

from __future__ import annotations

from typing import Any

from ..export.labels import labels_as_data
from ..export.onnx import ContainerGraph, Writer
from ..export.torch_layers import n_outputs, plain_layers, precision
from ..utils.optional import require


def classifier_outputs(operator: Any) -> None:
    """Set the types and shapes of label and probabilities."""
    types = require("skl2onnx.common.data_types", "onnx")
    labels = labels_as_data(operator.raw_operator.classes_, "ONNX")
    n_samples = operator.inputs[0].get_first_dimension()
    label_type = types.StringTensorType if labels.dtype == object else types.Int64TensorType
    shape = [n_samples, len(labels)]
    multilabel = operator.raw_operator.multilabel_
    operator.outputs[0].type = label_type(shape if multilabel else [n_samples])
    operator.outputs[1].type = _values_type(operator)(shape)


def regressor_outputs(operator: Any) -> None:
    """Set the type and shape of the predicted values."""
    layers = plain_layers(operator.raw_operator)
    n_samples = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = _values_type(operator)([n_samples, n_outputs(layers)])


def _values_type(operator: Any) -> Any:
    """Type of probabilities and values by skl2onnx's rule: double for double inputs, else float."""
    types = require("skl2onnx.common.data_types", "onnx")
    return type(types.guess_tensor_type(operator.inputs[0].type))


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Write the nodes of a classifier."""
    label, probabilities = (output.full_name for output in operator.outputs)
    writer, output = _write(scope, operator, container, probabilities)
    model = operator.raw_operator
    # From probabilities in the precision of the network, as in `predict`.
    writer.labels(
        output, None if model.multilabel_ else labels_as_data(model.classes_, "ONNX"), label
    )


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Write the nodes of a regressor."""
    _write(scope, operator, container, operator.outputs[0].full_name)


def _write(scope: Any, operator: Any, container: Any, to: str) -> tuple[Writer, str]:
    """Write the nodes of the network from the operator's inputs to the output `to`.

    Returns
    -------
    writer : Writer
    name : str
        Name of the network's output in the precision of the network.
    """
    layers = plain_layers(operator.raw_operator)
    if container.get_options(operator.raw_operator, {"single": False})["single"]:
        layers = [layer.float() for layer in layers]
    dtype = precision(layers)
    writer = Writer(ContainerGraph(scope, container), dtype)
    names = [writer.cast(column.full_name, dtype) for column in operator.inputs]
    x = names[0] if len(names) == 1 else writer.node("Concat", *names, axis=1)
    types = require("skl2onnx.common.data_types", "onnx")
    wide = _values_type(operator) is types.DoubleTensorType
    output = writer.layers(layers, x)
    writer.cast(output, "float64" if wide else "float32", to)
    return writer, output
