"""ONNX models of modules that are no chains, by torch's own exporter."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..utils.memory import no_memory, out_of_memory
from ..utils.optional import require
from .labels import labels_as_data
from .onnx import TYPES, Writer

_BATCH = 3
#: Beginning of the names of inputs while torch exports.
_INPUT = "sample_input_"


def module_to_onnx(
    module: nn.Sequential,
    inputs: dict[str, Tensor],
    by_name: bool,
    classes: NDArray[Any] | None,
    multilabel: bool,
) -> Any:
    """The ONNX model of a module.

    Parameters
    ----------
    module : nn.Sequential
        From samples to predictions, on the CPU, in evaluation mode.
    inputs : dict of str to Tensor
        Samples of the right shapes and dtypes, by the names that the model's inputs get.
    by_name : bool
        Whether the module takes them by these names; else it takes one.
    classes : ndarray of shape (n_classes,) or None
        Class labels of a classifier; None for a regressor.
    multilabel : bool
        Whether the targets of the classifier are multilabel.

    Returns
    -------
    onnx.ModelProto
        With the outputs that :meth:`Exports.to_onnx` describes.

    Raises
    ------
    ImportError
        If onnx or onnxscript is not installed.
    UnsupportedModuleError
        If torch cannot export the module.
    """
    onnx = require("onnx", "onnx")
    require("onnxscript", "onnx")
    output = "variable" if classes is None else "probabilities"
    taken = {output} if classes is None else {output, "label"}
    if taken & set(inputs):
        name = min(taken & set(inputs))
        raise UnsupportedModuleError(
            f"The ONNX form of {type(module[0]).__name__} has an output named {name!r}, and so is "
            "a parameter of its forward. Rename the parameter, and the part of X."
        )
    model = _exported(module, inputs, by_name, output)
    if classes is None:
        return model
    kinds = {code: name for name, code in TYPES.items()}
    dtype = kinds[model.graph.output[0].type.tensor_type.elem_type]
    writer = Writer(_Appended(onnx, model), dtype)
    labels = labels_as_data(classes, "ONNX")
    writer.labels(output, None if multilabel else labels, "label")
    width = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    shape = ["n", width] if multilabel else ["n"]
    kind = TYPES["int64" if multilabel else labels.dtype.name]
    label = onnx.helper.make_tensor_value_info("label", kind, shape)
    first = model.graph.output[0]
    del model.graph.output[:]
    model.graph.output.extend([label, first])
    return model


class _ByPlace(nn.Module):
    """A module of inputs by name that takes them in order."""

    def __init__(self, module: nn.Module, names: Sequence[str]):
        super().__init__()
        self.module, self.names = module, tuple(names)

    def forward(self, *inputs: Tensor) -> Any:
        """What the module returns."""
        return self.module(**dict(zip(self.names, inputs, strict=True)))


def _exported(module: nn.Sequential, inputs: dict[str, Tensor], by_name: bool, output: str) -> Any:
    """What torch makes of a module, silently."""
    names, n = list(inputs), {0: torch.export.Dim("n")}
    whole: nn.Module = _ByPlace(module, names) if by_name else module
    shapes: tuple[Any, ...] = (tuple(n for _ in names),) if by_name else (n,)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            torch.no_grad(),
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            program = torch.onnx.export(
                whole,
                tuple(part[:_BATCH] for part in inputs.values()),
                dynamo=True,
                # Names of forward's parameters may be those that torch gives to values inside.
                input_names=[f"{_INPUT}{k}" for k in range(len(names))],
                output_names=[output],
                dynamic_shapes=shapes,
                verbose=False,
            )
    except Exception as error:
        if out_of_memory(error):
            raise no_memory(error, "the module was exported to ONNX") from error
        raise UnsupportedModuleError(
            f"torch cannot export {type(module[0]).__name__} to ONNX: "
            f"{str(error).strip().splitlines()[0]}. Use to_torch() and another exporter."
        ) from error
    finally:
        logging.disable(level)
    model: Any = _without_origins(program.model_proto)  # type: ignore[union-attr]
    inside = {name: f"{name}_inside" for name in names}
    _rename(model.graph, inside | {f"{_INPUT}{k}": name for k, name in enumerate(names)})
    return model


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Give values of a graph, and of the graphs inside its nodes, other names."""
    for part in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.name = names.get(part.name, part.name)
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)


def _without_origins(model: Any) -> Any:
    """The model without what tells where in Python its nodes come from, which takes most bytes."""
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output):  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


class _Appended:
    """The nodes and constants of a model that torch made, as an :class:`~.onnx.OnnxGraph`."""

    def __init__(self, onnx: Any, model: Any):
        self._onnx, self._graph = onnx, model.graph
        self._count = 0

    def add_node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node with one output."""
        node = self._onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
        self._graph.node.append(node)

    def add_constant(self, name: str, value: NDArray[Any]) -> None:
        """Add a constant."""
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(np.array(value), name))

    def new_name(self, base: str) -> str:
        """A name that torch does not use."""
        self._count += 1
        return f"after_{base}_{self._count}"
