"""What holds under kills, Ctrl-C, threads, repetition and changed files, each tried many times."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from sklearn.datasets import make_classification

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier, ModelFileError, load

X, y = make_classification(120, 6, n_informative=5, n_redundant=0, n_classes=3, random_state=0)
#: MiB by which the memory of a process may differ from one measurement to the next.
_NOISE = 24


def model(seed: int = 0, **params: Any) -> MABPrunedClassifier:
    """An unfitted estimator whose fit takes some tenths of a second."""
    net = MLPNetClassifier(
        module__hidden_layer_sizes=(12, 8), module__dropout=0.1, max_epochs=12, lr=0.01
    )
    options = {"step": 0.1, "tolerance": 10.0, "random_state": seed}
    return MABPrunedClassifier(net, **{**options, **params})


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _in_child(work: Callable[[], bool], sent: int, after: float) -> int | None:
    """Exit status of a forked process that gets a signal; None: the signal ended it.

    Ctrl-C is blocked in it: one that comes early waits until the work lets it in.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            status = 0 if work() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    time.sleep(after)
    os.kill(child, sent)
    status = os.waitpid(child, 0)[1]
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def kills_in_cached_fits(n: int, rng: Generator) -> Counter[str]:
    """A fit with ``memory=`` after one that was killed: the same as without."""
    found, wanted = Counter[str](), model().fit(X, y).predict_proba(X)
    with tempfile.TemporaryDirectory() as folder:
        took = _seconds(lambda: model().fit(X, y))
        for k in range(n):
            cache = os.path.join(folder, str(k % 3))
            _in_child(
                lambda cache=cache: bool(model(memory=cache).fit(X, y)),
                signal.SIGKILL,
                took * rng.random(),
            )
            again = model(memory=cache).fit(X, y).predict_proba(X)
            found["right" if np.array_equal(again, wanted) else "wrong"] += 1
    return found


def kills_in_saves(n: int, rng: Generator) -> Counter[str]:
    """A file after a process that saves over it was killed: the old model or the new one."""
    found, models = Counter[str](), [model(seed).fit(X, y) for seed in (0, 1)]
    wanted = [each.predict_proba(X) for each in models]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        models[0].save(path)
        took = _seconds(lambda: models[0].save(path))

        def save() -> bool:
            while True:
                for each in models:
                    each.save(path)

        for _ in range(n):
            _in_child(save, signal.SIGKILL, 10 * took * rng.random())
            outputs = load(path).predict_proba(X)
            whole = any(np.array_equal(outputs, each) for each in wanted)
            found["right" if whole else "wrong"] += 1
    return found


def interrupts(n: int, rng: Generator) -> Counter[str]:
    """Ctrl-C at a random time: nothing is fitted, or all; what goes on to be fitted reports it."""
    model().fit(X, y)  # the first one of a process takes longer
    found, took = Counter[str](), _seconds(lambda: model().fit(X, y))

    def fit() -> bool:
        fitted = model()
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            fitted.fit(X, y)
            if not fitted.pruning_report_.interrupted:
                time.sleep(60)  # the signal comes when the fit is over
                return False  # it was lost
        except KeyboardInterrupt:
            # The one signal has come. What it met, the fit or what is after it, is seen from what
            # is fitted.
            if not [name for name in vars(fitted) if name.endswith("_")]:
                return True
        return fitted.predict_proba(X).shape == (len(X), 3)

    for _ in range(n):
        status = _in_child(fit, signal.SIGINT, took * rng.random())
        found["right" if status == 0 else "wrong"] += 1
    return found


def threaded_predictions(n: int, rng: Generator) -> Counter[str]:
    """Predictions of one model from 16 threads: equal to the last bit."""
    fitted = model().fit(X, y)
    wanted = np.concatenate([fitted.predict_proba(X[k : k + 1]) for k in range(len(X))])

    def same(k: int) -> bool:
        return np.array_equal(fitted.predict_proba(X[k : k + 1])[0], wanted[k])

    with ThreadPoolExecutor(16) as pool:
        return Counter(
            "right" if each else "wrong"
            for each in pool.map(same, rng.integers(0, len(X), n).tolist())
        )


def concurrent_fits(n: int, rng: Generator) -> Counter[str]:
    """Fits in 8 threads: equal to those one after the other."""
    wanted = [model(seed).fit(X, y).predict_proba(X) for seed in range(4)]

    def same(seed: int) -> bool:
        return np.array_equal(model(seed).fit(X, y).predict_proba(X), wanted[seed])

    with ThreadPoolExecutor(8) as pool:
        return Counter(
            "right" if each else "wrong" for each in pool.map(same, rng.integers(0, 4, n).tolist())
        )


def repeated_fits(n: int, rng: Generator) -> Counter[str]:
    """Fits, each with 420 predictions: no memory, thread or file is left behind."""

    def work() -> None:
        fitted = model().fit(X, y)
        for k in range(420):
            fitted.predict_proba(X[k % 100 : k % 100 + 1])

    def held() -> tuple[float, int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGESIZE") / 2**20
        return memory, threading.active_count(), len(os.listdir("/proc/self/fd"))

    for _ in range(10):
        work()
    before = held()
    for _ in range(n):
        work()
    after = held()
    leaked = after[0] - before[0] > _NOISE or after[1:] != before[1:]
    return Counter({"wrong" if leaked else "right": n})


def changed_files(n: int, rng: Generator) -> Counter[str]:
    """Files of ``save`` with bytes changed, cut or inserted: refused, or the same model."""
    found, fitted = Counter[str](), model().fit(X, y)
    wanted = fitted.predict_proba(X)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        fitted.save(path)
        whole = path.read_bytes()
        for _ in range(n):
            path.write_bytes(_changed(whole, rng))
            try:
                right = np.array_equal(load(path).predict_proba(X), wanted)
            except ModelFileError:
                right = True
            except Exception:
                right = False
            found["right" if right else "wrong"] += 1
    return found


def _changed(content: bytes, rng: Generator) -> bytes:
    data, kind = bytearray(content), rng.integers(4)
    where = int(rng.integers(len(data)))
    if kind == 0:
        return bytes(data[:where])
    if kind == 1:
        data[where:where] = rng.bytes(int(rng.integers(1, 9)))
        return bytes(data)
    if kind == 2:
        del data[where : where + int(rng.integers(1, 99))]
        return bytes(data)
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
    return bytes(data)


#: Parts by name, with the usual number of trials.
PARTS: dict[str, tuple[Callable[[int, Generator], Counter[str]], int]] = {
    "kills in fits with memory=": (kills_in_cached_fits, 98),
    "kills in save": (kills_in_saves, 322),
    "Ctrl-C at random times": (interrupts, 862),
    "predictions in threads": (threaded_predictions, 100_000),
    "fits in threads": (concurrent_fits, 120),
    "fits in a row": (repeated_fits, 500),
    "changed files": (changed_files, 6000),
}


def held(name: str, scale: float, seed: int) -> Counter[str]:
    """Outcomes of one part, with so many times its usual number of trials."""
    part, n = PARTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return part(max(1, round(n * scale)), np.random.default_rng(seed))
