"""Conversion of a network to an ONNX graph, layer by layer, without tracing.

The layers are applied one after the other, so their nodes can be written directly: this needs
only the package onnx and takes milliseconds.  The same functions write into pipelines that
skl2onnx converts; see :mod:`sklearn_mabprune.pipelines.onnx`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..graph.kinds.embeddings import GAIN, PiecewiseLinearEmbedding
from ..utils.optional import require
from .labels import labels_as_data
from .torch_layers import n_outputs, precision

#: Operator set of 2022, which all current runtimes support.
OPSET, _IR_VERSION = 17, 8

#: Operators that onnxruntime implements in float32 only.
_FLOAT32_ONLY = {
    "Celu", "Elu", "Erf", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Selu", "Softplus",
    "Softsign",
}  # fmt: skip

#: Codes of data types in onnx.TensorProto, by name of the NumPy dtype; strings are objects.
TYPES = {"float32": 1, "int64": 7, "object": 8, "float64": 11}


class OnnxGraph(Protocol):
    """An ONNX graph under construction: a receiver of nodes and constants."""

    def add_node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node with one output."""

    def add_constant(self, name: str, value: NDArray[Any]) -> None:
        """Add a constant."""

    def new_name(self, base: str) -> str:
        """A unique name that starts with `base`."""


class ContainerGraph:
    """The scope and container of a conversion by skl2onnx as a :class:`OnnxGraph`."""

    def __init__(self, scope: Any, container: Any):
        self.scope, self.container = scope, container

    def add_node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node with one output."""
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, inputs, [output], name=name, **attributes)

    def add_constant(self, name: str, value: NDArray[Any]) -> None:
        """Add a constant."""
        values = value.ravel().tolist()
        if value.dtype == object:
            values = [string.encode() for string in values]
        self.container.add_initializer(name, TYPES[value.dtype.name], value.shape, values)

    def new_name(self, base: str) -> str:
        """A unique name that starts with `base`."""
        return str(self.scope.get_unique_variable_name(base))


class Writer:
    """Writes layers as nodes and constants into a graph.

    Parameters
    ----------
    graph : OnnxGraph
        Receiver of nodes and constants.
    dtype : {"float32", "float64"}
        Precision of the network.
    """

    def __init__(self, graph: OnnxGraph, dtype: str):
        self.graph, self.dtype = graph, dtype

    def node(self, operator: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output: `to`, or a new name."""
        if self.dtype == "float64" and operator in _FLOAT32_ONLY:
            narrow = [self.cast(name, "float32") for name in inputs]
            wide = self._add(operator, narrow, None, attributes)
            return self.cast(wide, "float64", to)
        return self._add(operator, list(inputs), to, attributes)

    def cast(self, x: str, dtype: str, to: str | None = None) -> str:
        """Add a node that converts `x` to a dtype, and return the name of its output."""
        return self._add("Cast", [x], to, {"to": TYPES[dtype]})

    def _add(
        self, operator: str, inputs: list[str], to: str | None, attributes: dict[str, Any]
    ) -> str:
        output = to or self.graph.new_name(operator.lower())
        self.graph.add_node(operator, inputs, output, **attributes)
        return output

    def constant(self, value: Any) -> str:
        """Add a constant in the precision of the network, and return its name."""
        name = self.graph.new_name("constant")
        if isinstance(value, Tensor):
            value = value.detach().numpy()
        self.graph.add_constant(name, np.array(value, dtype=self.dtype, order="C"))
        return name

    def integers(self, values: Any) -> str:
        """Add a constant of integers (int64), and return its name."""
        name = self.graph.new_name("integers")
        self.graph.add_constant(name, np.asarray(values, dtype=np.int64))
        return name

    def layers(self, layers: list[nn.Module], x: str) -> str:
        """Add the nodes of layers applied to `x`, and return the name of their output."""
        for layer in layers:
            x = LAYERS[type(layer)](self, x, layer)
        return x

    def labels(self, probabilities: str, classes: NDArray[Any] | None, to: str) -> None:
        """Add the nodes from probabilities to labels, with the output `to`.

        The label is the most probable class, (n_samples,).  With ``classes=None`` (multilabel)
        it is an indicator matrix of probabilities above 0.5, (n_samples, n_classes).
        """
        if classes is None:
            above = self.node("Greater", probabilities, self.constant(0.5))
            self.cast(above, "int64", to)
            return
        largest = self.node("ArgMax", probabilities, axis=1, keepdims=0)
        table = self.graph.new_name("classes")
        self.graph.add_constant(table, classes)
        self.node("Gather", table, largest, to=to)


def onnx_model(
    layers: list[nn.Module],
    n_features: int,
    classes: NDArray[Any] | None,
    multilabel: bool = False,
) -> Any:
    """The ONNX model of a network.

    Parameters
    ----------
    layers : list of nn.Module
        Layers from features to predictions, on the CPU.
    n_features : int
        Number of features.
    classes : ndarray of shape (n_classes,) or None
        Class labels of a classifier; None for a regressor.
    multilabel : bool
        Whether the targets of the classifier are multilabel.

    Returns
    -------
    onnx.ModelProto
        Model with the inputs and outputs that :meth:`Exports.to_onnx` describes.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If class labels are neither numbers nor strings.
    """
    onnx = require("onnx", "onnx")
    helper = onnx.helper
    dtype = precision(layers)
    kind, width = TYPES[dtype], n_outputs(layers)
    graph = _ModelGraph(onnx)
    writer = Writer(graph, dtype)
    output = writer.layers(layers, "X")
    if classes is None:
        writer.node("Identity", output, to="variable")
        outputs = [helper.make_tensor_value_info("variable", kind, [None, width])]
    else:
        labels = labels_as_data(classes, "ONNX")
        writer.node("Identity", output, to="probabilities")
        writer.labels("probabilities", None if multilabel else labels, "label")
        shape = [None, width] if multilabel else [None]
        outputs = [
            helper.make_tensor_value_info("label", TYPES[labels.dtype.name], shape),
            helper.make_tensor_value_info("probabilities", kind, [None, width]),
        ]
    inputs = [helper.make_tensor_value_info("X", kind, [None, n_features])]
    return helper.make_model(
        helper.make_graph(graph.nodes, "network", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="sklearn_mabprune",
    )


class _ModelGraph:
    """The nodes and constants of an ONNX model of its own, as a :class:`OnnxGraph`."""

    def __init__(self, onnx: Any):
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def add_node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node with one output."""
        self.nodes.append(
            self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
        )

    def add_constant(self, name: str, value: NDArray[Any]) -> None:
        """Add a constant."""
        self.constants.append(self._onnx.numpy_helper.from_array(value, name))

    def new_name(self, base: str) -> str:
        """A unique name that starts with `base`."""
        self._count += 1
        return f"{base}_{self._count}"


# ------------------------------------------------------------------------ layer by layer


def _linear(to: Writer, x: str, layer: Any) -> str:
    constants = [to.constant(layer.weight)]
    if layer.bias is not None:
        constants.append(to.constant(layer.bias))
    return to.node("Gemm", x, *constants, transB=1)


def _piecewise_linear(to: Writer, x: str, layer: Any) -> str:
    """Sums of clipped differences: of the chosen outputs alone."""
    passed, chosen = layer.passed, layer.chosen
    parts = []
    if len(passed):
        # The operator for the root of a sum of squares does not exist: they must not overflow.
        large = to.constant(-1e15), to.constant(1e15)
        z = to.node("Gather", x, to.integers(passed), axis=1)
        z = to.node("Sub", z, to.constant(layer.center[passed]))
        z = to.node("Clip", to.node("Mul", z, to.constant(layer.scale[passed])), *large)
        bent = to.node("Mul", z, to.constant(layer.bend[passed]))
        root = to.node("Sqrt", to.node("Add", to.node("Mul", bent, bent), to.constant(1.0)))
        parts.append(to.node("Div", z, root))
    if len(chosen):
        rows, functions = chosen // layer.n_functions, chosen % layer.n_functions
        z = to.node("Gather", x, to.integers(layer.embedded[rows]), axis=1)
        z = to.node("Unsqueeze", z, to.integers([2]))
        z = to.node("Sub", z, to.constant(layer.start[rows]))
        z = to.node("Mul", z, to.constant(layer.slope[rows]))
        z = to.node("Clip", z, to.constant(0.0), to.constant(1.0))
        z = to.node("Mul", z, to.constant(GAIN * layer.weight[rows, functions]))
        parts.append(to.node("ReduceSum", z, to.integers([2]), keepdims=0))
    return parts[0] if len(parts) == 1 else to.node("Concat", *parts, axis=1)


def _batch_norm(to: Writer, x: str, layer: Any) -> str:
    n = layer.num_features
    scale = np.ones(n) if layer.weight is None else layer.weight
    shift = np.zeros(n) if layer.bias is None else layer.bias
    parts = (scale, shift, layer.running_mean, layer.running_var)
    return to.node("BatchNormalization", x, *map(to.constant, parts), epsilon=layer.eps)


def _prelu(to: Writer, x: str, layer: Any) -> str:
    return to.node("PRelu", x, to.constant(layer.weight))


def _single_node(operator: str, **attributes: str) -> Callable[[Writer, str, Any], str]:
    """Writer of a layer as one node; `attributes` maps attributes of the node to the layer's."""

    def write(to: Writer, x: str, layer: Any) -> str:
        values: dict[str, Any] = {
            name: float(getattr(layer, attribute)) for name, attribute in attributes.items()
        }
        return to.node(operator, x, **values)

    return write


def _clipped(low: str | float, high: str | float) -> Callable[[Writer, str, Any], str]:
    """Writer of a layer that clips to bounds: numbers, or names of attributes of the layer."""

    def write(to: Writer, x: str, layer: Any) -> str:
        bounds = [getattr(layer, b) if isinstance(b, str) else b for b in (low, high)]
        return to.node("Clip", x, *map(to.constant, bounds))

    return write


def _softmax(to: Writer, x: str, layer: Any) -> str:
    return to.node(type(layer).__name__, x, axis=1)


def _hard_sigmoid(to: Writer, x: str, layer: Any) -> str:
    return to.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _gelu(to: Writer, x: str, layer: Any) -> str:
    if layer.approximate == "tanh":
        cube = to.node("Mul", to.node("Mul", x, x), x)
        inner = to.node("Add", x, to.node("Mul", cube, to.constant(0.044715)))
        gate = to.node("Tanh", to.node("Mul", inner, to.constant((2 / np.pi) ** 0.5)))
    else:
        gate = to.node("Erf", to.node("Mul", x, to.constant(0.5**0.5)))
    half = to.node("Mul", x, to.constant(0.5))
    return to.node("Mul", half, to.node("Add", gate, to.constant(1.0)))


def _silu(to: Writer, x: str, layer: Any) -> str:
    return to.node("Mul", x, to.node("Sigmoid", x))


def _mish(to: Writer, x: str, layer: Any) -> str:
    return to.node("Mul", x, to.node("Tanh", to.node("Softplus", x)))


def _softplus(to: Writer, x: str, layer: Any) -> str:
    scaled = to.node("Mul", x, to.constant(layer.beta))
    soft = to.node("Div", to.node("Softplus", scaled), to.constant(layer.beta))
    linear = to.node("Greater", scaled, to.constant(layer.threshold))
    return to.node("Where", linear, x, soft)


def _log_sigmoid(to: Writer, x: str, layer: Any) -> str:
    return to.node("Neg", to.node("Softplus", to.node("Neg", x)))


def _tanhshrink(to: Writer, x: str, layer: Any) -> str:
    return to.node("Sub", x, to.node("Tanh", x))


def _softshrink(to: Writer, x: str, layer: Any) -> str:
    return to.node("Shrink", x, lambd=float(layer.lambd), bias=float(layer.lambd))


def _threshold(to: Writer, x: str, layer: Any) -> str:
    above = to.node("Greater", x, to.constant(layer.threshold))
    return to.node("Where", above, x, to.constant(layer.value))


#: Writer of each kind of layer.  Layers that are the identity in evaluation mode, such as
#: Dropout, are removed before.
LAYERS: dict[type[nn.Module], Callable[[Writer, str, Any], str]] = {
    nn.Linear: _linear,
    PiecewiseLinearEmbedding: _piecewise_linear,
    nn.BatchNorm1d: _batch_norm,
    nn.ReLU: _single_node("Relu"),
    nn.ReLU6: _clipped(0.0, 6.0),
    nn.LeakyReLU: _single_node("LeakyRelu", alpha="negative_slope"),
    nn.PReLU: _prelu,
    nn.ELU: _single_node("Elu", alpha="alpha"),
    nn.SELU: _single_node("Selu"),
    nn.CELU: _single_node("Celu", alpha="alpha"),
    nn.GELU: _gelu,
    nn.SiLU: _silu,
    nn.Mish: _mish,
    nn.Tanh: _single_node("Tanh"),
    nn.Sigmoid: _single_node("Sigmoid"),
    nn.LogSigmoid: _log_sigmoid,
    nn.Softplus: _softplus,
    nn.Softsign: _single_node("Softsign"),
    nn.Tanhshrink: _tanhshrink,
    nn.Softshrink: _softshrink,
    nn.Hardshrink: _single_node("Shrink", lambd="lambd"),
    nn.Hardtanh: _clipped("min_val", "max_val"),
    nn.Hardsigmoid: _hard_sigmoid,
    nn.Hardswish: _single_node("HardSwish"),
    nn.Threshold: _threshold,
    nn.Softmax: _softmax,
    nn.LogSoftmax: _softmax,
}
