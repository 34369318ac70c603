"""The main job on real data: train, prune, fine-tune, and what it costs on test samples.

    python -m benchmarks.demo                       # digits, breast cancer, diabetes
    python -m benchmarks.demo --data FOLDER --sets electricity letter california_housing

Five splits of ``random_state`` 0 to 4, a quarter of the samples for testing, hidden layers
(128, 64), everything else default.  All scores in the tables are on test samples
that no fit has seen.  A plot of score against units is saved beside them.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from benchmarks.shared.data_sets import DataSet, load
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    PruningWarning,
)

SIZES = (128, 64)
SHARES = (0.5, 0.75, 0.9)

#: What is compared: name and the parameters that differ from the default.
VARIANTS: dict[str, dict[str, Any]] = {
    "fine-tuned": {},
    "without fine-tuning": {"fine_tune_epochs": 0},
    "random, no compensation, no fine-tuning": {
        "fine_tune_epochs": 0,
        "policy": "random",
        "ablation": "zero",
    },
}


@dataclass
class Results:
    """Scores on test samples, and reports, of one data set."""

    unpruned: list[float] = field(default_factory=list)
    scores: dict[tuple[str, float], list[float]] = field(default_factory=dict)
    reports: dict[float, list[Any]] = field(default_factory=dict)
    paths: list[Any] = field(default_factory=list)

    def add(self, variant: str, share: float, score: float) -> None:
        """One more split."""
        self.scores.setdefault((variant, share), []).append(score)


def models(data: DataSet, memory: str, **parameters: Any) -> Any:
    """A pipeline with everything default but the named parameters."""
    classify = data.task == "classification"
    kind = MABPrunedClassifier if classify else MABPrunedRegressor
    net = MLPNetClassifier if classify else MLPNetRegressor
    return make_pipeline(
        data.preprocessing(),
        kind(net(module__hidden_layer_sizes=SIZES), memory=memory, random_state=0, **parameters),
    )


def run(data: DataSet, splits: range, memory: str, bar: tqdm) -> Results:
    """Fit every variant on every split."""
    results = Results()
    for seed in splits:
        X, X_test, y, y_test = data.split(seed)
        whole = models(data, memory, pruning_budget=0).fit(X, y)
        results.unpruned.append(whole.score(X_test, y_test))
        bar.update()
        for variant, parameters in VARIANTS.items():
            for share in SHARES:
                model = models(data, memory, pruning_budget=share, **parameters).fit(X, y)
                results.add(variant, share, model.score(X_test, y_test))
                if variant == "fine-tuned":
                    results.reports.setdefault(share, []).append(model[-1].pruning_report_)
                    if share == SHARES[-1]:
                        results.paths.append(model[-1].pruning_path_)
                bar.update()
    return results


def table(data: DataSet, results: Results) -> str:
    """One table a data set: means and standard deviations over the splits."""
    name = "accuracy" if data.task == "classification" else "R2"
    rows = [["", "unpruned", *(f"{share:.0%} removed" for share in SHARES)]]
    for variant in VARIANTS:
        cells = [spread(results.scores[variant, share]) for share in SHARES]
        rows.append([f"{name}, {variant}", spread(results.unpruned), *cells])
    sides = [(results.reports[SHARES[0]], "before")]
    sides += [(results.reports[share], "after") for share in SHARES]
    for label, get in (
        ("parameters", lambda m: m.n_parameters),
        ("MACs per sample", lambda m: m.n_macs),
        ("bytes", lambda m: m.n_bytes),
        ("ms for a batch", lambda m: m.ms_batch),
        ("ms per sample", lambda m: m.ms_sample),
        ("validation score", lambda m: m.score),
    ):
        cells = [spread([get(getattr(r, side)) for r in reports]) for reports, side in sides]
        rows.append([label, *cells])
    reports = [results.reports[share] for share in SHARES]
    rows.append(["pulls", "", *(spread([r.n_pulls for r in each]) for each in reports)])
    for label, attribute in (
        ("seconds of pruning", "seconds_pruning"),
        ("seconds of fine-tuning", "seconds_fine_tuning"),
        ("epochs of fine-tuning", "n_fine_tune_epochs"),
    ):
        cells = [spread([getattr(r, attribute) for r in each]) for each in reports]
        rows.append([label, "", *cells])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        f"{data.name}: {len(data.y):,} samples, {len(results.unpruned)} splits, "
        "mean +- standard deviation"
    ]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def goals(name: str, results: Results) -> list[str]:
    """The goals for the data sets of scikit-learn, and whether they are met."""
    tuned, plain, random = VARIANTS

    def points(variant: str, share: float) -> float:
        return 100 * float(np.mean(results.scores[variant, share]))

    whole = 100 * float(np.mean(results.unpruned))
    wanted = {
        "digits": [
            ("unpruned, at least 97", whole, whole >= 97),
            ("loss at 75%, at most 0.7", whole - points(tuned, 0.75), None),
            ("loss at 90%, at most 2", whole - points(tuned, 0.9), None),
            ("loss at 75% without fine-tuning, at most 3", whole - points(plain, 0.75), None),
            (
                "above random removal at 75% without fine-tuning, at least 20",
                points(plain, 0.75) - points(random, 0.75),
                points(plain, 0.75) - points(random, 0.75) >= 20,
            ),
        ],
        "breast cancer": [
            ("unpruned, at least 95.5", whole, whole >= 95.5),
            ("loss at 75%, at most 0.7", whole - points(tuned, 0.75), None),
        ],
        "diabetes": [
            ("unpruned, at least 37", whole, whole >= 37),
            ("at 75%, at least 37", points(tuned, 0.75), points(tuned, 0.75) >= 37),
        ],
    }
    lines = ["goals, in percentage points of accuracy or R2 x 100"] if name in wanted else []
    for text, value, met in wanted.get(name, []):
        if met is None:
            met = value <= float(text.rsplit(" ", 1)[1])
        lines.append(f"  {'met' if met else 'MISSED'}: {text}: {value:.2f}")
    return lines


def spread(values: list[float]) -> str:
    """Mean and standard deviation, with digits that fit their size."""
    mean, deviation = float(np.mean(values)), float(np.std(values))
    if abs(mean) >= 100:
        return f"{mean:,.0f} +-{deviation:,.0f}"
    return f"{mean:.3f} +-{deviation:.3f}" if abs(mean) < 10 else f"{mean:.1f} +-{deviation:.1f}"


def plot(found: dict[str, tuple[DataSet, Results]], file: Path) -> None:
    """Score against units along the path, one panel a data set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(found), figsize=(4.2 * len(found), 3.8), layout="constrained", squeeze=False
    )
    for ax, (name, (data, results)) in zip(axes[0], found.items(), strict=True):
        total = sum(SIZES)
        kept = 1 - np.array([0.0, *SHARES])
        for path in results.paths:
            ax.plot(path.n_neurons, path.score, color="0.8", lw=0.8, zorder=1)
        ax.plot([], [], color="0.8", label="validation samples, each path")
        styles = {
            "fine-tuned": ("#0072B2", "o-"),
            "without fine-tuning": ("#E69F00", "s--"),
            "random, no compensation, no fine-tuning": ("#000000", "x:"),
        }
        for variant, (color, style) in styles.items():
            scores = [results.unpruned] + [results.scores[variant, share] for share in SHARES]
            ax.errorbar(
                kept * total,
                [np.mean(score) for score in scores],
                yerr=[np.std(score) for score in scores],
                fmt=style,
                color=color,
                ms=5,
                capsize=2,
                label=f"test samples, {variant}",
                zorder=2,
            )
        ax.axhline(float(np.mean(results.unpruned)), color="#009E73", lw=1, label="unpruned")
        ax.set(title=name, xlabel="hidden units", xlim=(total * 1.03, 0))
        # Random removal may leave the frame: the others must be told apart.
        shown = [results.scores[v, s] for v in list(VARIANTS)[:2] for s in SHARES]
        shown.append(results.unpruned)
        lowest = min(float(np.mean(each) - np.std(each)) for each in shown)
        highest = max(float(np.mean(each) + np.std(each)) for each in shown)
        ax.set_ylim(lowest - 0.6 * (highest - lowest), highest + 0.3 * (highest - lowest))
        ax.set_ylabel("accuracy" if data.task == "classification" else "R2")
        ax.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", default=["digits", "breast cancer", "diabetes"])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first-split", type=int, default=0)
    parser.add_argument("--plot", type=Path, default=Path("demo.png"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    # A fixed budget may cost more than the tolerance: the tables show what it costs.
    warnings.simplefilter("ignore", PruningWarning)
    total = len(args.sets) * args.splits * (1 + len(VARIANTS) * len(SHARES))
    splits = range(args.first_split, args.first_split + args.splits)
    found = {}
    with TemporaryDirectory() as memory, tqdm(total=total, unit="fit", desc="demo") as bar:
        for name in args.sets:
            data = load(name, args.data)
            bar.set_postfix_str(name)
            found[name] = data, run(data, splits, memory, bar)
            tqdm.write("\n".join([table(*found[name]), *goals(name, found[name][1]), ""]))
    plot(found, args.plot)
    tqdm.write(f"Score against units: {args.plot}")


if __name__ == "__main__":
    main()
