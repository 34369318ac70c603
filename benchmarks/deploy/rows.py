"""Measurements of one data set, as rows of a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.deploy.cross import TARGETS, available, compiled
from benchmarks.deploy.emlearn_forms import Code, forest_code, is_installed, network_code
from benchmarks.deploy.forms import c_form, onnx_form, python_form, saved_bytes
from benchmarks.deploy.models import COLUMNS as N_COLUMNS
from benchmarks.deploy.models import REMOVED, Task, pipelines, rivals, small_pipeline
from benchmarks.shared.compiling import Library

#: Names of the columns, in the order of the file.
COLUMNS = (
    "data", "model", "removed", "form", "points", "bytes", "microseconds", "flash_estimate",
    "ram_estimate", "flash_m0", "ram_m0", "instructions_m0", "flash_m4", "ram_m4",
    "instructions_m4",
)  # fmt: skip

#: Models by name: our pipelines of few columns, networks without the steps before them, and rivals.
SMALL, ALONE = f"ours, {N_COLUMNS} columns", "ours, network alone"
SAME, FOREST = "emlearn, same network", "emlearn, forest"

_SHORT = {"Cortex-M0+": "m0", "Cortex-M4": "m4"}


def rows_of(task: Task, folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of our pipelines at every budget in every form, and of the rivals."""
    for removed, model in pipelines(task).items():
        known = {"data": task.name, "model": "ours", "removed": removed}
        for name, row in forms_of(task, model, folder):
            yield {**known, "form": name, **row}
        if removed == 0.75:
            for name, form, row in alone_rows(task, model, folder):
                yield {**known, "model": name, "form": form, **row}
    if hasattr(task.X, "columns"):
        small = small_pipeline(task)
        known = {"data": task.name, "model": SMALL, "removed": REMOVED[-1]}
        for form, row in forms_of(task, small, folder):
            yield {**known, "form": form, **row}
        for name, form, row in alone_rows(task, small, folder):
            name = name.replace("ours", SMALL)
            yield {**known, "model": name, "form": form, **row}
    for name, model in rivals(task).items():
        form = python_form(model, task)
        yield {
            "data": task.name, "model": name, "removed": 0.0, "form": "pickle",
            "points": task.points(form.predicted), "bytes": form.n_bytes,
        }  # fmt: skip


def forms_of(task: Task, model: Any, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of one pipeline; the forms take turns on the clock."""
    forms = {
        "pickle": python_form(model, task),
        "ONNX": onnx_form(model, task, quantize=False),
        "ONNX int8": onnx_form(model, task, quantize=True),
        "C": c_form(model, task, "float32", folder),
        "C int8": c_form(model, task, "int8", folder),
    }
    times = microseconds([form.once for form in forms.values()])
    for (name, form), microsecond in zip(forms.items(), times, strict=True):
        row: dict[str, Any] = {
            "points": task.points(form.predicted),
            "bytes": form.n_bytes,
            "microseconds": microsecond,
        }
        if form.source:
            row |= cross_compiled(form.source, task.classify, folder)
            row["bytes"] = row.get("flash_m0", row["flash_estimate"])
        yield name, row
    yield "save", {"bytes": saved_bytes(model, folder)}


def cross_compiled(source: str, classify: bool, folder: Path) -> dict[str, Any]:
    """Estimated and compiled sizes of a header, and instructions."""
    estimate = source.partition("Flash: about ")[2].partition(" bytes")[0].replace(",", "")
    stack = source.partition("RAM: about ")[2].partition(" bytes")[0].replace(",", "")
    n_inputs = int(source.partition("#define MODEL_N_FEATURES ")[2].split()[0])
    n_outputs = int(source.partition("#define MODEL_N_OUTPUTS ")[2].split()[0])
    # What a sample takes hardly depends on its values.
    header = f"""{source}
float sample[{n_inputs}] = {{{", ".join(["1.0f"] * n_inputs)}}};
static float once(void)
{{
    float out[MODEL_N_OUTPUTS];
    model_predict{"_proba" if classify else ""}(sample, out);
    return out[0];
}}
"""
    found = {"flash_estimate": int(estimate), "ram_estimate": int(stack)}
    return found | _targets(header, "once()", folder, 4 * n_inputs, 4 * n_outputs)


def _targets(
    header: str,
    call: str,
    folder: Path,
    sample: int,
    outputs: int = 0,
    include: Path | None = None,
) -> dict[str, Any]:
    """Columns of all processors, less the bytes of the sample and of the caller's outputs."""
    found: dict[str, Any] = {}
    if available():
        for processor in TARGETS:
            done, short = compiled(header, call, processor, folder, include), _SHORT[processor]
            found |= {
                f"flash_{short}": done.flash - sample,
                f"ram_{short}": done.ram - sample - outputs,
                f"instructions_{short}": done.instructions,
            }
    return found


def alone_rows(task: Task, model: Any, folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Model, form and columns of the network alone, ours and emlearn's, and of a forest."""
    known, features = (_dense(model[:-1].transform(X)) for X in (task.X[:1000], task.X_test))
    for dtype in ("float32", "int8"):
        calibrate = {"calibrate": known} if dtype == "int8" else {}
        source = model[-1].to_c(name="model", dtype=dtype, **calibrate)
        outputs = Library(folder, {"model": source}).outputs("model", features)
        predicted = outputs.ravel()
        if task.classify:
            predicted = model[-1].classes_[outputs.argmax(axis=1)]
        row = cross_compiled(source, task.classify, folder)
        row |= {"points": task.points(predicted), "bytes": row.get("flash_m0", "")}
        yield ALONE, "C" if dtype == "float32" else "C int8", row
    if not is_installed():
        return
    network = network_code(task, model)
    if network is not None:
        yield SAME, "C", emlearn_row(network, folder)
    reached = task.points(model.predict(task.X_test))
    yield FOREST, "C", emlearn_row(forest_code(task, model, reached), folder)


def emlearn_row(made: Code, folder: Path) -> dict[str, Any]:
    """Columns of code of emlearn's."""
    n_inputs = int(made.header.partition("#define N ")[2].split()[0])
    sizes = _targets(made.header, made.call, folder, 4 * n_inputs, 0, made.include)
    return {"points": made.points, "bytes": sizes.get("flash_m0", ""), **sizes}


def _dense(X: Any) -> Any:
    return X.toarray() if hasattr(X, "toarray") else X


def microseconds(calls: list[Callable[[], Any]], n_turns: int = 60) -> list[float]:
    """Median time of each call; they take turns, and short ones are called several times."""
    repeats = []
    for call in calls:
        started = time.perf_counter()
        for _ in range(3):
            call()
        repeats.append(max(1, int(3e-4 / max((time.perf_counter() - started) / 3, 1e-7))))
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(n_turns):
        for k, call in enumerate(calls):
            started = time.perf_counter()
            for _ in range(repeats[k]):
                call()
            times[k].append((time.perf_counter() - started) / repeats[k])
    return [1e6 * statistics.median(each) for each in times]
