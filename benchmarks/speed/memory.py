"""Peak memory of one fit, in a process of its own: the number of bytes above its start.

python -m benchmarks.speed.memory 100000 100
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.speed.timing import Result
from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier


def peak() -> int:
    """Largest resident set so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux lets a new process inherit ru_maxrss from the one that started it.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size


def table(n_rows: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Random float32 samples and two classes that depend on them, made without copies."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def copies(repeats: int, device: str) -> Iterator[Result]:
    """Peak memory of a fit in copies of X, X itself included."""
    found = []
    for _ in range(max(1, repeats // 2)):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.memory", "100000", "100"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        size, grown = (int(value) for value in out.split())
        found.append(grown / size)
    note = f"{grown / 2**20:.0f} MiB for 100,000 x 100 float32 ({size / 2**20:.0f} MiB)"
    yield Result("memory, copies of X at the peak of a fit", median(found), 4.0, False, note)


ROWS = {"memory": copies}


def main() -> None:
    """Print the bytes of X, and by how much a fit raised the peak, X included."""
    torch.set_num_threads(1)
    n_rows, n_features = (int(value) for value in sys.argv[1:3])
    model = MABPrunedClassifier(MLPNetClassifier(max_epochs=3), random_state=0)
    # What is loaded at first use belongs to no fit.
    model.fit(*table(500, 10))
    before = peak()
    X, y = table(n_rows, n_features)
    model.fit(X, y)
    print(X.nbytes, peak() - before)


if __name__ == "__main__":
    main()
