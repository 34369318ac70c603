"""A network as an ONNX graph, layer by layer, without tracing it.

The graph of a chain is a list of nodes, so it is written down directly: this needs onnx
alone and takes milliseconds.  The same functions write into a pipeline that skl2onnx
converts; see :mod:`sklearn_mabprune.pipelines.onnx`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..utils.optional import require
from .torch_layers import n_outputs, precision

#: Operators of 2022: every runtime of today knows them.
OPSET, _IR_VERSION = 17, 8

#: onnxruntime computes these in float32 only.
_FLOAT32_ONLY = {
    "Celu", "Elu", "Erf", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Selu", "Softplus",
    "Softsign",
}  # fmt: skip

#: Numbers of types in onnx.TensorProto, by dtype; strings are objects.
TYPES = {"float32": 1, "int64": 7, "object": 8, "float64": 11}


class Graph(Protocol):
    """Where nodes and constants go."""

    def add_node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node with one output."""

    def add_constant(self, name: str, value: NDArray[Any]) -> None:
        """Add a constant."""

    def new_name(self, base: str) -> str:
        """A name that nothing has yet."""


class ContainerGraph:
    """Where skl2onnx collects nodes, seen as a :class:`Graph`."""

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
            values = [text.encode() for text in values]
        self.container.add_initializer(name, TYPES[value.dtype.name], value.shape, values)

    def new_name(self, base: str) -> str:
        """A name that nothing has yet."""
        return str(self.scope.get_unique_variable_name(base))


class Writer:
    """Writes layers into a graph.

    Parameters
    ----------
    graph : Graph
    dtype : {"float32", "float64"}
        What the network computes in.
    """

    def __init__(self, graph: Graph, dtype: str):
        self.graph, self.dtype = graph, dtype

    def node(self, operator: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Add a node; the name of its output, which is `to` or a new one."""
        if self.dtype == "float64" and operator in _FLOAT32_ONLY:
            narrow = [self.cast(name, "float32") for name in inputs]
            wide = self._add(operator, narrow, None, attributes)
            return self.cast(wide, "float64", to)
        return self._add(operator, list(inputs), to, attributes)

    def cast(self, x: str, dtype: str, to: str | None = None) -> str:
        """Change the type; the name of the result."""
        return self._add("Cast", [x], to, {"to": TYPES[dtype]})

    def _add(
        self, operator: str, inputs: list[str], to: str | None, attributes: dict[str, Any]
    ) -> str:
        output = to or self.graph.new_name(operator.lower())
        self.graph.add_node(operator, inputs, output, **attributes)
        return output

    def constant(self, value: Any) -> str:
        """Add a constant in the network's precision; its name."""
        name = self.graph.new_name("constant")
        if isinstance(value, Tensor):
            value = value.detach().numpy()
        self.graph.add_constant(name, np.array(value, dtype=self.dtype, order="C"))
        return name

    def integers(self, values: Any) -> str:
        """Add a constant of whole numbers; its name."""
        name = self.graph.new_name("integers")
        self.graph.add_constant(name, np.asarray(values, dtype=np.int64))
        return name

    def layers(self, layers: list[nn.Module], x: str) -> str:
        """Pass rows through layers; the outputs' name."""
        for layer in layers:
            x = LAYERS[type(layer)](self, x, layer)
        return x

    def labels(self, probabilities: str, classes: NDArray[Any] | None, to: str) -> None:
        """The label of the largest probability, (n_rows,).

        Without classes those above one half, as 0 and 1, (n_rows, n_classes).
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
    several: bool = False,
) -> Any:
    """A network as an ONNX model of its own.

    Parameters
    ----------
    layers : list of nn.Module
        From rows to predictions, on the CPU.
    n_features : int
    classes : ndarray of shape (n_classes,) or None
        Labels of a classifier.
    several : bool
        Whether a row may have several of them.

    Returns
    -------
    onnx.ModelProto
        See :meth:`Exports.to_onnx`.
    """
    onnx = require("onnx", "onnx")
    helper = onnx.helper
    dtype = precision(layers)
    kind, width = TYPES[dtype], n_outputs(layers)
    graph = _ModelGraph(onnx)
    writer = Writer(graph, dtype)
    found = writer.layers(layers, "X")
    if classes is None:
        writer.node("Identity", found, to="variable")
        outputs = [helper.make_tensor_value_info("variable", kind, [None, width])]
    else:
        labels = onnx_labels(classes)
        writer.node("Identity", found, to="probabilities")
        writer.labels("probabilities", None if several else labels, "label")
        shape = [None, width] if several else [None]
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


def onnx_labels(classes: NDArray[Any]) -> NDArray[Any]:
    """Class labels as ONNX has them: int64 or strings.

    Raises
    ------
    ValueError
        If they are neither numbers nor strings.
    """
    if classes.dtype.kind in "iufb":
        # Labels that are floats are whole numbers: scikit-learn admits no others.
        return classes.astype(np.int64)
    if all(isinstance(label, str) for label in classes.tolist()):
        return classes.astype(object)
    raise ValueError(
        "ONNX has labels that are numbers or strings; the classes are "
        f"{classes[:5].tolist()}. Fit with labels of one of these kinds."
    )


class _ModelGraph:
    """A graph that :mod:`onnx` will make a model of."""

    def __init__(self, onnx: Any):
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def add_node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(
            self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
        )

    def add_constant(self, name: str, value: NDArray[Any]) -> None:
        self.constants.append(self._onnx.numpy_helper.from_array(value, name))

    def new_name(self, base: str) -> str:
        self._count += 1
        return f"{base}_{self._count}"


# ------------------------------------------------------------------------ layer by layer


def _linear(to: Writer, x: str, layer: Any) -> str:
    constants = [to.constant(layer.weight)]
    if layer.bias is not None:
        constants.append(to.constant(layer.bias))
    return to.node("Gemm", x, *constants, transB=1)


def _batch_norm(to: Writer, x: str, layer: Any) -> str:
    n = layer.num_features
    scale = np.ones(n) if layer.weight is None else layer.weight
    shift = np.zeros(n) if layer.bias is None else layer.bias
    parts = (scale, shift, layer.running_mean, layer.running_var)
    return to.node("BatchNormalization", x, *map(to.constant, parts), epsilon=layer.eps)


def _prelu(to: Writer, x: str, layer: Any) -> str:
    return to.node("PRelu", x, to.constant(layer.weight))


def _one(operator: str, **attributes: str) -> Callable[[Writer, str, Any], str]:
    """One operator, with its attributes taken from these of the layer."""

    def write(to: Writer, x: str, layer: Any) -> str:
        own: dict[str, Any] = {
            theirs: float(getattr(layer, ours)) for theirs, ours in attributes.items()
        }
        return to.node(operator, x, **own)

    return write


def _clipped(low: str | float, high: str | float) -> Callable[[Writer, str, Any], str]:
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


#: How each kind of layer is written; those that do nothing in a trained network never come.
LAYERS: dict[type[nn.Module], Callable[[Writer, str, Any], str]] = {
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.ReLU: _one("Relu"),
    nn.ReLU6: _clipped(0.0, 6.0),
    nn.LeakyReLU: _one("LeakyRelu", alpha="negative_slope"),
    nn.PReLU: _prelu,
    nn.ELU: _one("Elu", alpha="alpha"),
    nn.SELU: _one("Selu"),
    nn.CELU: _one("Celu", alpha="alpha"),
    nn.GELU: _gelu,
    nn.SiLU: _silu,
    nn.Mish: _mish,
    nn.Tanh: _one("Tanh"),
    nn.Sigmoid: _one("Sigmoid"),
    nn.LogSigmoid: _log_sigmoid,
    nn.Softplus: _softplus,
    nn.Softsign: _one("Softsign"),
    nn.Tanhshrink: _tanhshrink,
    nn.Softshrink: _softshrink,
    nn.Hardshrink: _one("Shrink", lambd="lambd"),
    nn.Hardtanh: _clipped("min_val", "max_val"),
    nn.Hardsigmoid: _hard_sigmoid,
    nn.Hardswish: _one("HardSwish"),
    nn.Threshold: _threshold,
    nn.Softmax: _softmax,
    nn.LogSoftmax: _softmax,
}
