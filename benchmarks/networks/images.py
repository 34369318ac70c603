"""Channels and units of image networks removed without fine-tuning, by several methods.

Each network is trained once for each seed.  The same trained network is pruned by every method to
each budget, and scored on unseen images.  Rows are appended to a CSV file as they are measured,
and what is there is not measured again, so that the program can be stopped at any time::

    python -m benchmarks.networks.images                        # scikit-learn's digits
    python -m benchmarks.networks.images --data FOLDER --nets mnist_cnn cifar10_cnn --seeds 10
    python -m benchmarks.networks.images --device cuda ...
    python -m benchmarks.networks.images --keep NETWORKS ...    # train each network once for all
    python -m benchmarks.networks.images --table                # of what was measured so far
    python -m benchmarks.networks.images --write-page           # the same, into docs/images.md

FOLDER holds ``mnist_10k.npz`` and ``cifar10_2500.npz`` with the arrays ``X_train``, ``y_train``,
``X_test`` and ``y_test`` (uint8, channels last).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_mabprune import MABPrunedClassifier

from ..shared.intervals import interval
from ..shared.pages import DOCS, write_part
from ..shared.results import Results
from . import image_goals
from .image_methods import AFTERWARDS, CONTEXTS, MEASURES, METHODS, PEER
from .image_modules import Cifar10CNN, DigitsCNN, MnistCNN, SmallResNet
from .options import parser_of, trained_aloud
from .torch_pruning_path import accuracy_of, taylor_path, widths

#: Module, data, epochs.
NETS: dict[str, tuple[Any, str, int]] = {
    "digits_cnn": (DigitsCNN, "digits", 15),
    "digits_residual": (SmallResNet, "digits", 15),
    "mnist_cnn": (MnistCNN, "mnist_10k", 12),
    "mnist_residual": (SmallResNet, "mnist_10k", 12),
    "cifar10_cnn": (Cifar10CNN, "cifar10_2500", 20),
    "cifar10_cnn_splits": (Cifar10CNN, "cifar10_2500", 20),
}

#: Networks whose test images are others for each seed: then intervals cover the images as well.
SPLIT_ANEW = frozenset({"cifar10_cnn_splits"})

#: Columns of the scores that a table shows, and of those of the unpruned network.
SCORES = {"test": ("accuracy", "unpruned"), "validation": ("validation", "unpruned_validation")}

BUDGETS = (0.5, 0.75)
KEYS = ("net", "seed", "method", "measure", "budget", "fine_tuning")


def read(name: str, folder: Path | None) -> tuple[Any, Any, Any, Any]:
    """Training and test images, (n_samples, n_channels, height, width) in [0, 1], and classes."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        return tuple(train_test_split(X, y, test_size=0.3, random_state=0, stratify=y))
    if folder is None:
        raise SystemExit(f"{name} is not inside scikit-learn: name its folder with --data.")
    arrays = np.load(folder / f"{name}.npz")

    def images(values: Any) -> Any:
        values = values[..., None] if values.ndim == 3 else values
        return np.ascontiguousarray((values / 255).astype(np.float32).transpose(0, 3, 1, 2))

    X_train, X_test = images(arrays["X_train"]), images(arrays["X_test"])
    y_train, y_test = (arrays[key].astype(np.int64) for key in ("y_train", "y_test"))
    return X_train, X_test, y_train, y_test


def split_anew(images: tuple[Any, Any, Any, Any], seed: int) -> tuple[Any, Any, Any, Any]:
    """The same images, as many of them for testing, drawn by seed."""
    X_train, X_test, y_train, y_test = images
    X, y = np.concatenate([X_train, X_test]), np.concatenate([y_train, y_test])
    n_test = len(y_test)
    return tuple(train_test_split(X, y, test_size=n_test, random_state=seed, stratify=y))


def trained(
    name: str,
    X: Any,
    y: Any,
    seed: int,
    device: str,
    epochs: int | None,
    folder: Path | None = None,
) -> Any:
    """A network trained with Adam, by seed.

    Parameters
    ----------
    name : str
        Key of `NETS`.
    X, y : ndarray
        Training samples.
    seed : int
    device : str
    epochs : int or None
        In place of the network's own.
    folder : Path, optional
        Trained networks are kept there: they are read instead of trained again.
    """
    module, _, default_epochs = NETS[name]
    arguments = {"module__n_channels": X.shape[1]} if module is SmallResNet else {}
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.001,
        batch_size=64,
        max_epochs=epochs or default_epochs,
        train_split=None,
        device=device,
        verbose=0,
        **arguments,
    )
    if folder is None:
        return net.fit(X, y)
    names = {"f_params": "weights", "f_optimizer": "optimizer", "f_history": "history"}
    stem = f"{name}_{seed}_{device}_{net.max_epochs}"
    files = {part: str(folder / f"{stem}.{end}") for part, end in names.items()}
    if Path(files["f_history"]).exists():
        net.initialize().load_params(**files)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        net.fit(X, y).save_params(**files)
    return net


class Pruning:
    """Methods on one trained network: what is pruned once is not pruned again.

    Parameters
    ----------
    net : NeuralNetClassifier
        Trained.
    data : tuple of ndarray
        X, X_test, y, y_test, X_val, y_val; the last two take no part in what is measured.
    seed : int
    budgets : sequence of float
        Increasing.
    """

    def __init__(self, net: Any, data: Any, seed: int, budgets: Sequence[float]):
        self.net, self.data, self.seed, self.budgets = net, data, seed, budgets
        _, X_test, _, y_test, X_val, y_val = data
        self.unpruned = {
            "unpruned": float(np.mean(net.predict(X_test) == y_test)),
            "unpruned_validation": float(np.mean(net.predict(X_val) == y_val)),
        }
        self._models: dict[tuple[str, str], Any] = {}

    def rows(self, method: str, share: float, measure: str) -> list[dict[str, Any]]:
        """Scores of one method at all budgets; with fine-tuning, at the largest one.

        Parameters
        ----------
        method : str
            Key of `METHODS`.
        share : float
            Epochs of fine-tuning as a fraction of those of the training; 0: none.
        measure : str
            What budgets count, a key of `MEASURES`.
        """
        epochs, rows = round(share * self.net.max_epochs), []
        budgets = self.budgets[-1:] if epochs else self.budgets
        prune = self._of_peer if method == PEER else self._of_package
        started = time.perf_counter()
        for budget, row in zip(budgets, prune(method, budgets, epochs, measure), strict=True):
            known = {"method": method, "measure": measure, "budget": budget, "fine_tuning": share}
            seconds = time.perf_counter() - started
            rows.append({**known, **self.unpruned, **row, "seconds": seconds})
            started = time.perf_counter()
        return rows

    def _of_package(
        self, method: str, budgets: Sequence[float], epochs: int, measure: str
    ) -> Iterator[dict[str, Any]]:
        X, X_test, y, y_test, X_val, y_val = self.data
        for budget in budgets:
            model = self._models.get((method, measure))
            if model is None:
                model = MABPrunedClassifier(
                    FrozenEstimator(self.net),
                    pruning_budget=budget,
                    budget_unit=MEASURES[measure],
                    fine_tune_epochs=epochs,
                    tolerance=1.0,
                    random_state=self.seed,
                    **METHODS[method],
                ).fit(X, y, X_val=X_val, y_val=y_val)
            else:
                model.set_params(fine_tune_epochs=epochs)
                model = model.at_budget(budget, X, y, X_val=X_val, y_val=y_val)
            self._models[method, measure] = model
            changed = AFTERWARDS.get(method, lambda fitted, X: fitted)(model, X)
            yield _row(changed, (X_test, y_test), (X_val, y_val))

    def _of_peer(
        self, _: str, budgets: Sequence[float], epochs: int, measure: str
    ) -> Iterator[dict[str, Any]]:
        X, X_test, y, y_test, *_ = self.data
        for module, macs, parameters in taylor_path(self.net, X, y, budgets, measure == "MACs"):
            yield {
                "accuracy": accuracy_of(
                    module, self.net, (X, y, X_test, y_test), epochs, self.seed
                ),
                "validation": np.nan,
                "macs": macs,
                "parameters": parameters,
                "sizes": widths(module),
            }


def _row(model: Any, test: Any, validation: Any) -> dict[str, Any]:
    """Accuracy and sizes of a fitted estimator."""
    report = model.pruning_report_
    return {
        "accuracy": float(model.score(*test)),
        "validation": float(model.score(*validation)),
        "macs": report.after.n_macs / report.before.n_macs,
        "parameters": report.after.n_parameters / report.before.n_parameters,
        "sizes": "-".join(map(str, model.hidden_layer_sizes_)),
    }


def table(results: Results, methods: Iterable[str], score: str) -> str:
    """Accuracies, paired differences to the unpruned network and to the default, in points.

    Parameters
    ----------
    results : Results
    methods : iterable of str
        Keys of `METHODS`.
    score : str
        Key of `SCORES`.
    """
    own_score, of_unpruned = SCORES[score]
    lines = [
        "| network | left out | fine-tuning | method | seeds | accuracy | points from unpruned "
        "| points from default | MACs left |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (net, measure, budget, share), rows in results.groups(
        "net", "measure", "budget", "fine_tuning"
    ):
        default = {row["seed"]: float(row[own_score]) for row in rows if row["method"] == "default"}
        for method in methods:
            own = [row for row in rows if row["method"] == method]
            if not own:
                continue
            accuracy = [float(row[own_score]) for row in own]
            from_whole = [
                100 * (a - float(row[of_unpruned])) for a, row in zip(accuracy, own, strict=True)
            ]
            paired = [
                100 * (a - default[row["seed"]])
                for a, row in zip(accuracy, own, strict=True)
                if row["seed"] in default
            ]
            beside = "" if method == "default" or not paired else interval(paired, 1)
            macs = np.mean([float(row["macs"]) for row in own])
            lines.append(
                f"| {net} | {float(budget):.0%} of {measure} | {share} | {method} | {len(own)} "
                f"| {interval(accuracy, 3)} | {interval(from_whole, 1)} | {beside} | {macs:.2f} |"
            )
    return "\n".join(lines)


def parts(results: Results) -> dict[str, list[str]]:
    """What stands on the page, by mark."""
    lines = table(results, METHODS, "test").splitlines()
    return {"goals": image_goals.table(results), "table": lines}


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = parser_of(__doc__, NETS, METHODS, ["digits_cnn"], "images.csv")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="of the training, in place of each net's own")
    parser.add_argument("--fine-tuning", type=float, nargs="+", default=[0.0],
                        help="epochs of fine-tuning, as fractions of all epochs")  # fmt: skip
    parser.add_argument("--budgets", type=float, nargs="+", default=BUDGETS, help="increasing")
    parser.add_argument("--score", choices=SCORES, default="test",
                        help="what the printed table has: accuracy on test images, or on those "
                        "of the training images that are held out")  # fmt: skip
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=["units"],
                        help="what budgets count")  # fmt: skip
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=Path, help="folder of trained networks, read if they are "
                        "there")  # fmt: skip
    parser.add_argument("--write-page", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    results = Results(options.results, KEYS)
    warnings.simplefilter("ignore")
    for name in [] if options.table or options.write_page else options.nets:
        images = read(NETS[name][1], options.data)
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            missing = [
                (method, share, measure)
                for measure in options.measures
                for share in options.fine_tuning
                for method in options.methods
                if (name, seed, method, measure, options.budgets[-1], share) not in results
            ]
            if not missing:
                continue
            images_now = split_anew(images, seed) if name in SPLIT_ANEW else images
            X_all, X_test, y_all, y_test = images_now
            split = partial(train_test_split, test_size=0.1, random_state=seed, stratify=y_all)
            X, X_val, y, y_val = split(X_all, y_all)
            train = partial(trained, name, X, y, seed, options.device, options.epochs,
                            options.keep)  # fmt: skip
            net = trained_aloud(name, seed, train)
            pruning = Pruning(net, (X, X_test, y, y_test, X_val, y_val), seed, options.budgets)
            for method, share, measure in missing:
                with CONTEXTS.get(method, nullcontext)():
                    rows = pruning.rows(method, share, measure)
                results.add({"net": name, "seed": seed, **row} for row in rows)
                found = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
                print(f"  {method}: {found} (unpruned {rows[0]['unpruned']:.3f})", flush=True)
    if options.write_page:
        for mark, lines in parts(results).items():
            write_part(DOCS / "images.md", mark, lines)
    print(table(results, options.methods, options.score))


if __name__ == "__main__":
    main()
