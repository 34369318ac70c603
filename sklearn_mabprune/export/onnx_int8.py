"""ONNX models whose layers of weights compute in 8 bits, by onnxruntime's quantisation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..utils.memory import no_memory, out_of_memory
from ..utils.optional import require

#: Calibration samples beyond so many tell little more about ranges.
MAX_CALIBRATION = 1000

#: Samples that run at once, with all their values in memory.
_BATCH = 100

#: Operators of a chain, and of any module, that compute in 8 bits.
CHAIN = ("Gemm",)
MODULE = ("Conv", "ConvTranspose", "Gather", "Gemm", "MatMul")


def quantised_model(
    model: Any, inputs: dict[str, NDArray[Any]], operators: tuple[str, ...] = CHAIN
) -> Any:
    """A model of which some nodes have weights and values of 8 bits, in the QDQ format.

    Parameters
    ----------
    model : onnx.ModelProto
        With such nodes in float32; left as it is.
    inputs : dict of str to ndarray
        Calibration samples, from which the ranges of values are taken.
    operators : tuple of str
        Types of these nodes.

    Returns
    -------
    onnx.ModelProto
        Weights have 7 of the 8 bits and a scale for each unit (those of embeddings one scale),
        values one scale for each layer.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    RuntimeError
        If onnxruntime cannot quantise the model, or not run the result, or if the model has no
        such node.
    """
    onnx = require("onnx", "onnx")
    runtime = require("onnxruntime", "onnx")
    tools = require("onnxruntime.quantization", "onnx")

    class Reader(tools.CalibrationDataReader):  # type: ignore[name-defined, misc]
        """All samples, once."""

        def __init__(self) -> None:
            n_samples = len(next(iter(inputs.values())))
            self.left = [
                {name: part[first : first + _BATCH] for name, part in inputs.items()}
                for first in range(0, n_samples, _BATCH)
            ]

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            """Some samples; None after the last ones."""
            return self.left.pop() if self.left else None

    if not any(node.op_type in operators for node in model.graph.node):
        raise RuntimeError(
            f"Nothing of this model computes in 8 bits: it has no {' or '.join(operators)}. Export "
            "it without quantize."
        )

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        # The graph is as small as an optimiser would make it: no advice to run one is needed.
        marked = onnx.ModelProto()
        marked.CopyFrom(model)
        onnx.helper.set_model_props(marked, {"onnx.quant.pre_process": "onnxruntime.quant"})
        onnx.save(marked, before)
        try:
            tools.quantize_static(
                before,
                after,
                Reader(),
                quant_format=tools.QuantFormat.QDQ,
                op_types_to_quantize=list(operators),
                per_channel=True,
                # 7 bits: processors with AVX2 and no VNNI add two products in 16 bits, and
                # products of 8 bits saturate there without a word.
                reduce_range=True,
                activation_type=tools.QuantType.QInt8,
                weight_type=tools.QuantType.QInt8,
            )
            found = onnx.load(after)
            found.ClearField("metadata_props")
            session = runtime.InferenceSession(
                found.SerializeToString(), providers=["CPUExecutionProvider"]
            )
            session.run(None, inputs)
        # onnxruntime's errors have no common class.
        except Exception as error:
            if out_of_memory(error):
                raise no_memory(
                    error,
                    "the model was quantised",
                    "Pass fewer samples as quantize, or export it without quantize.",
                ) from error
            raise RuntimeError(
                f"onnxruntime cannot quantise this model: {str(error).partition(chr(10))[0][:300]} "
                "Export it without quantize."
            ) from error
    return found
