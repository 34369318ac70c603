"""Peak memory of one fit, in a process of its own: the number of bytes above its start.

python -m benchmarks.speed.memory 100000 100
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import torch

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
    """Random float32 rows and two classes that depend on them, made without copies."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


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
