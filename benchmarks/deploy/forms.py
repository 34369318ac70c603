"""Every form of a fitted pipeline: its bytes, what it predicts, and how one sample is predicted."""

from __future__ import annotations

import ctypes
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.deploy.models import Task
from benchmarks.shared.compiling import Library
from sklearn_mabprune import pipeline_to_c, pipeline_to_onnx
from sklearn_mabprune.pipelines.onnx_inputs import inputs_of


@dataclass
class Form:
    """A form of a model.

    Parameters
    ----------
    n_bytes : int
    predicted : ndarray of shape (n_samples,)
        Labels or values for the test samples.
    once : callable
        Predicts the first test sample.
    source : str
        Of C forms.
    """

    n_bytes: int
    predicted: np.ndarray
    once: Callable[[], Any]
    source: str = ""


def python_form(model: Any, task: Task) -> Form:
    """The fitted model itself, as a pickle."""
    one = task.X_test[:1]
    predict = model.predict_proba if task.classify else model.predict
    return Form(len(pickle.dumps(model)), model.predict(task.X_test), lambda: predict(one))


def saved_bytes(model: Any, folder: Path) -> int:
    """Bytes of the file of ``save``, without the steps before the network."""
    model[-1].save(folder / "model.safetensors")
    return (folder / "model.safetensors").stat().st_size


def onnx_form(model: Any, task: Task, quantize: bool) -> Form:
    """The whole pipeline in the ONNX format, in float or in 8 bits."""
    options = {"quantize": task.X[:1000]} if quantize else {}
    made = pipeline_to_onnx(model, task.X[:100], **options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
    is_table = hasattr(task.X, "columns")
    first = session.run(None, inputs_of(made, task.X_test, is_table))[0]
    one = inputs_of(made, task.X_test[:1], is_table)
    return Form(len(data), np.asarray(first).ravel(), lambda: session.run(None, one))


def c_form(model: Any, task: Task, dtype: str, folder: Path) -> Form:
    """The whole pipeline as a C header, compiled with optimisation for this processor."""
    calibrate = {"calibrate": task.X[:1000]} if dtype == "int8" else {}
    numbers, source = inputs_of_c(model, task, dtype, calibrate)
    library = Library(folder, {"model": source}, ("-O3", "-march=native"))
    outputs = library.outputs("model", numbers)
    predicted = outputs.ravel()
    if task.classify:
        predicted = model[-1].classes_[outputs.argmax(axis=1)]
    call = library.function("model", "predict_proba" if task.classify else "predict")
    x, out = np.ascontiguousarray(numbers[0]), np.empty(outputs.shape[1], np.float32)
    at, to = ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data)

    def one(_kept: Any = (x, out)) -> Any:
        """One sample; the memory that is written to must live as long as this function."""
        return call(at, to)

    return Form(0, predicted, one, source)


def inputs_of_c(
    model: Any, task: Task, dtype: str, calibrate: dict[str, Any]
) -> tuple[np.ndarray, str]:
    """Test samples as numbers, as the self-test of the header holds them, and the header."""
    tested = pipeline_to_c(model, dtype=dtype, samples=task.X_test, **calibrate)
    text = tested[tested.index("static const float samples[") :].partition("};")[0]
    items = text.partition("{")[2].replace("f,", ",").replace("f\n", "\n").replace("NAN", "nan")
    numbers = np.array([float(item) for item in items.split(",")], dtype=np.float32)
    source = pipeline_to_c(model, dtype=dtype, **calibrate)
    return numbers.reshape(len(task.y_test), -1), source
