"""Where the inputs and the first training come from: one parameter of the net changed at a time.

Only training samples are used: 70 % of a data set with seed 0, at most so many of two thirds of
them for training (a tenth of these for validation), and the rest for scores.  Networks are not
pruned.

    python -m benchmarks.first_training --data FOLDER --sets phoneme kin8nm wine_quality --seeds 2

A variant is compared with "before": features as they are, a rate of .001, patience of 20 epochs.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from benchmarks.shared.data_sets import DataSet, load
from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.data.splitting import content_split
from sklearn_mabprune.training.initial import train

_NEW = {"inputs": "piecewise_linear", "module__dropout": 0.0}
_RAW = {"inputs": None}
_FAST = {"lr": 0.003, "patience": 10}
_OLD = {"lr": 0.001, "patience": 20}

#: name: parameters of the net.
VARIANTS: dict[str, dict[str, Any]] = {
    "before": _RAW | _OLD,
    "inputs": _NEW | _OLD,
    "inputs, lr .003, patience 10": _NEW | _FAST,
    "inputs, lr .002, patience 15": _NEW | {"lr": 0.002, "patience": 15},
    "lr .003, patience 10": _RAW | _FAST,
    "inputs, ..., dropout .1": _NEW | _FAST | {"module__dropout": 0.1},
    "inputs, ..., AdamW, beta2 .95": _NEW
    | _FAST
    | {"optimizer": torch.optim.AdamW, "optimizer__betas": (0.9, 0.95)},
    "inputs, ..., (256, 128)": _NEW | _FAST | {"module__hidden_layer_sizes": (256, 128)},
    "inputs, ..., batch norm": _NEW | _FAST | {"module__batch_norm": True},
    "inputs, ..., GELU": _NEW | _FAST | {"module__activation": "gelu"},
}
#: The variant of the classifier alone.
_SMOOTH = {"criterion__label_smoothing": 0.05}
_SMOOTHED = "inputs, ..., label smoothing"


def parts(data: DataSet, seed: int, most: int) -> tuple[Any, Any, Any]:
    """Samples for training and validation, and samples to score on, all of the training part."""
    classes = data.y if data.task == "classification" else None
    X, _, y, _ = train_test_split(data.X, data.y, test_size=0.3, random_state=0, stratify=classes)
    classes = y if data.task == "classification" else None
    X, scored, y, targets = train_test_split(
        X, y, test_size=1 / 3, random_state=seed, stratify=classes
    )
    # The split was shuffled: the first samples are as good as any.
    prepare = data.preprocessing()
    X = prepare.fit_transform(X[:most]).astype(np.float32)
    scored, y = prepare.transform(scored).astype(np.float32), y[:most]
    if classes is not None:
        names, y = np.unique(y, return_inverse=True)
        targets, n_outputs = np.searchsorted(names, targets), len(names)
    else:
        y, targets, n_outputs = y.reshape(-1, 1), targets.reshape(-1, 1), 1
    split = content_split(X, y if classes is not None else None, 0.1, seed)
    fitted, held = (
        Data(X[index], y[index], None, n_outputs) for index in (split.train, split.validation)
    )
    return fitted, held, Data(scored, targets, None, n_outputs)


def measured(data: DataSet, seed: int, most: int, parameters: dict[str, Any]) -> list[float]:
    """Score x 100, loss (log-loss, or 1 - R2), seconds and epochs of a training."""
    fitted, held, scored = parts(data, seed, most)
    classify = data.task == "classification"
    net: Any = (MLPNetClassifier if classify else MLPNetRegressor)(**parameters)
    started = time.process_time()
    net, _ = train(net, fitted, held, seed)
    seconds, epochs = time.process_time() - started, len(net.history)
    found = net.predict_proba(scored.x) if classify else net.predict(scored.x)
    return [*score_and_loss(found, scored.y, classify), seconds, epochs]


def score_and_loss(found: Any, wanted: Any, classify: bool) -> list[float]:
    """Accuracy and log-loss of probabilities of class indices, or R2 and 1 - R2; scores x 100."""
    if classify:
        loss = -np.mean(np.log(np.maximum(found[np.arange(len(found)), wanted], 1e-15)))
        return [100 * np.mean(found.argmax(axis=1) == wanted), float(loss)]
    loss = np.mean((found - wanted) ** 2) / np.var(wanted)
    return [100 * (1 - loss), float(loss)]


def options(description: str, variants: list[str]) -> argparse.Namespace:
    """Options of trials on training samples, of which the first line of a docstring is shown."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", default=["digits"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=4000, help="training samples, at most")
    parser.add_argument("--variants", nargs="+", default=variants)
    return parser.parse_args()


def main() -> None:
    """Print a line a set and variant, then the means."""
    args = options(__doc__, [*VARIANTS, _SMOOTHED])
    variants = args.variants
    found: dict[str, dict[tuple[str, int], list[float]]] = {name: {} for name in variants}
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for seed in range(args.seeds):
            for name in args.sets:
                data = load(name, args.data)
                for variant in variants:
                    parameters = VARIANTS.get(variant, _NEW | _FAST | _SMOOTH)
                    if variant == _SMOOTHED and data.task != "classification":
                        continue
                    result = measured(data, seed, args.samples, parameters)
                    found[variant][name, seed] = result
                line = [
                    f"{found[v][name, seed][0]:.2f}" for v in variants if found[v].get((name, seed))
                ]
                print(f"{name}, split {seed}: {' '.join(line)}", flush=True)
    print_table(found, args.sets, variants)


def print_table(found: Any, sets: list[str], variants: list[str]) -> None:
    """Differences of scores from the first variant, and ratios of losses and seconds."""
    print(
        f"\n{'':30s}"
        + "".join(f"{name[:8]:>9s}" for name in sets)
        + "     mean (error)   loss  time epochs"
    )
    base = found[variants[0]]
    for variant in variants:
        own = found[variant]
        cells = []
        for name in sets:
            keys = [key for key in own if key[0] == name]
            apart = [own[key][0] - (0 if variant == variants[0] else base[key][0]) for key in keys]
            cells.append(float(np.mean(apart)) if keys else math.nan)
        apart = np.array([own[key][0] - base[key][0] for key in own])
        error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
        ratios = [np.exp(np.mean([np.log(own[k][i] / base[k][i]) for k in own])) for i in (1, 2)]
        epochs = np.mean([row[3] for row in own.values()])
        print(
            f"{variant:30s}"
            + "".join(f"{cell:9.2f}" for cell in cells)
            + f"   {apart.mean():+6.2f} ({error:.2f})"
            + f"  {ratios[0]:5.2f} {ratios[1]:5.2f} {epochs:6.0f}"
        )


if __name__ == "__main__":
    main()
