"""What 8 bits cost: accuracy or R2 of ONNX and C in int8 against float, over many data sets.

python -m benchmarks.deploy.int8 --data FOLDER                # all of them
python -m benchmarks.deploy.int8 --data FOLDER --sets car pol --most 2000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from benchmarks.deploy.forms import c_form, onnx_form
from benchmarks.deploy.models import Task
from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor, make_tabular_pipeline

#: Points that may be lost on average.
BOUND = 0.3


def main() -> int:
    """Print a line for each set and the means; 1 if a mean is beyond the bound."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deploy.int8", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", help="only these")
    parser.add_argument("--most", type=int, default=4000, help="samples of training and of test")
    args = parser.parse_args()
    names = args.sets or sorted(
        file.name.removesuffix(".csv.gz")
        for task in ("classification", "regression")
        for file in (args.data / task).glob("*.csv.gz")
    )
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"{'data':22s} {'Python':>8s} {'ONNX int8':>10s} {'C int8':>8s}")
    lost = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            task = Task.of(name, args.data, args.most)
            kind = MABPrunedClassifier if task.classify else MABPrunedRegressor
            model = make_tabular_pipeline(kind(pruning_budget=0.5, tolerance=100.0, random_state=0))
            model.fit(task.X, task.y)
            points = [
                task.points(model.predict(task.X_test)),
                task.points(onnx_form(model, task, quantize=True).predicted),
                task.points(c_form(model, task, "int8", Path(folder)).predicted),
            ]
            print("{:22s} {:8.2f} {:10.2f} {:8.2f}".format(name, *points), flush=True)
            lost.append(np.subtract(points[0], points[1:]))
    means = np.mean(lost, axis=0)
    print(f"points lost, mean of {len(lost)} sets: ONNX {means[0]:.2f}, C {means[1]:.2f}")
    return int(means.max() > BOUND)


if __name__ == "__main__":
    sys.exit(main())
