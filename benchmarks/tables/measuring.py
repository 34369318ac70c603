"""One fit and its predictions in figures."""

from __future__ import annotations

import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, r2_score, root_mean_squared_error

from benchmarks.tables.models import BUDGETS, MODELS
from benchmarks.tables.samples import MOST, Split, split

BATCH = 10_000
_REPEATS, _BINS = 5, 15

#: Columns that say of which fit a row is.
KEYS = ("set", "seed", "model")
#: Columns of the rows, in their order; "note" says why a row has no figures.
COLUMNS = (
    "set", "task", "seed", "model", "removed", "n_train", "n_test", "score", "log_loss", "brier",
    "calibration", "rmse", "seconds", "seconds_teacher", "weight", "us_batch", "us_alone",
    "us_ready", "us_onnx", "bytes", "bytes_weights", "note",
)  # fmt: skip


def row_of(name: str, seed: int, model: str, **found: Any) -> dict[str, Any]:
    """A row with NaN where nothing was found."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan)
    row |= {"set": name, "seed": seed, "model": model, "removed": 0.0, "task": "", "note": ""}
    return row | found


def measure(
    name: str, seed: int, model: str, folder: Path | None, most: int = MOST
) -> list[dict[str, Any]]:
    """Rows of one model on one split: one row, or one for each budget."""
    data = split(name, folder, seed, most)
    known = {"task": data.task, "n_train": len(data.train[1]), "n_test": len(data.test[1])}
    spec = MODELS[model]
    if len(data.train[1]) > spec.most:
        return [row_of(name, seed, model, note="too large", **known)]
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as cache:
        warnings.simplefilter("ignore")
        estimator = spec.make(data, seed)
        if spec.ours:
            # At other budgets the teacher's labels are read again.
            estimator[-1].set_params(memory=cache)
        started = time.process_time()
        estimator.fit(*data.train)
        seconds = time.process_time() - started
        rows = []
        for budget, sized in _sizes(estimator, data, spec.ours):
            found = {"removed": budget, "seconds": seconds, **_scores(sized, data)}
            found |= _speed(sized, data) | (_own(sized, data) if spec.ours else {})
            rows.append(row_of(name, seed, model, **known, **found))
    return rows


def _sizes(estimator: Any, data: Split, ours: bool) -> Iterator[tuple[float, Any]]:
    """The fitted estimator, and what other budgets make of it."""
    yield (BUDGETS[0] if ours else 0.0), estimator
    if not ours:
        return
    for budget in BUDGETS[1:]:
        yield budget, estimator.at_budget(budget, *data.train)


def _scores(model: Any, data: Split) -> dict[str, float]:
    """Scores on the test samples."""
    X, y = data.test
    if not data.classify:
        found = np.asarray(model.predict(X)).ravel()
        return {"score": r2_score(y, found), "rmse": root_mean_squared_error(y, found)}
    classes = np.asarray(model.classes_).astype(str)
    probabilities = np.asarray(model.predict_proba(X), dtype=float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    truth = np.searchsorted(classes, y.astype(str))
    hits = probabilities.argmax(axis=1) == truth
    wanted = np.eye(len(classes))[truth]
    return {
        "score": float(hits.mean()),
        "log_loss": float(log_loss(truth, probabilities, labels=np.arange(len(classes)))),
        "brier": float(((probabilities - wanted) ** 2).sum(axis=1).mean()),
        "calibration": calibration_error(probabilities.max(axis=1), hits),
    }


def calibration_error(confidence: np.ndarray, hits: np.ndarray) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over 15 equal bins.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", 2017.
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, confidence - hits, _BINS)
    return float(np.abs(gaps).sum() / len(hits))


def _repeated(call: Callable[[], Any], repeats: int = _REPEATS) -> float:
    """Median microseconds of a call, of processor time: others may use the cores as well."""
    call()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return 1e6 * median(times)


def _batch(X: Any) -> Any:
    """As many samples as a batch, repeated where there are fewer."""
    index = np.arange(BATCH) % len(X)
    return X.iloc[index].reset_index(drop=True) if hasattr(X, "iloc") else X[index]


def _speed(model: Any, data: Split) -> dict[str, float]:
    """Microseconds a sample, in a batch and alone, and bytes of the pickle."""
    X = data.test[0]
    many, one = _batch(X), X.iloc[:1] if hasattr(X, "iloc") else X[:1]
    ask = model.predict_proba if data.classify else model.predict
    return {
        "us_batch": _repeated(lambda: ask(many)) / BATCH,
        "us_alone": _repeated(lambda: ask(one), 4 * _REPEATS),
        "bytes": len(pickle.dumps(model)),
    }


def _own(model: Any, data: Split) -> dict[str, float]:
    """What is known of our own: the network on ready features, ONNX, weights, the teacher."""
    final = model[-1]
    report = final.pruning_report_
    ready = model[:-1].transform(_batch(data.test[0]))
    ask = final.predict_proba if data.classify else final.predict
    found = {
        "us_ready": _repeated(lambda: ask(ready)) / BATCH,
        "us_onnx": _onnx(final, ready),
        "bytes_weights": report.after.n_bytes,
    }
    if report.teacher is not None:
        found["weight"] = report.teacher.weight
        found["seconds_teacher"] = report.teacher.seconds_teacher
    return found


def _onnx(final: Any, ready: Any) -> float:
    """Microseconds a sample of the network as ONNX in a batch; NaN without onnxruntime."""
    try:
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            final.to_onnx(file)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(str(file), options)
    except ImportError:
        return np.nan
    dense = ready.toarray() if hasattr(ready, "toarray") else np.asarray(ready)
    name, kind = session.get_inputs()[0].name, session.get_inputs()[0].type
    given = {name: dense.astype(np.float64 if "double" in kind else np.float32)}
    return _repeated(lambda: session.run(None, given)) / BATCH
