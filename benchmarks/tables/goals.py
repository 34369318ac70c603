"""What the pruned network should reach beside other models, each with its figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

OURS, BUDGET, TREES = "ours", 0.75, "hist gradient boosting"
ALONE = "ours alone"
#: Test samples from which on a single set counts.
LARGE = 1000

TASKS = ("classification", "regression")

Row = dict[str, str]
Key = tuple[str, float]


@dataclass(frozen=True)
class Goal:
    """A goal, the figure that decides it, and whether it is met; None where rows are missing."""

    text: str
    figure: str
    met: bool | None


@dataclass(frozen=True)
class Pair:
    """Paired differences of one set, in points (score x 100).

    Parameters
    ----------
    name, task : str
    n_test : int
    values : ndarray of shape (n_seeds,)
    """

    name: str
    task: str
    n_test: int
    values: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def error(self) -> float:
        """Standard error of the mean; 0 for one seed, of which nothing is known."""
        n = len(self.values)
        return float(self.values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


class Rows:
    """Rows of the comparison by model, budget, set and seed."""

    def __init__(self, rows: Iterable[Row]):
        self.of: dict[Key, dict[tuple[str, str], Row]] = {}
        for row in rows:
            if not row["note"]:
                key = row["model"], float(row["removed"])
                self.of.setdefault(key, {})[row["set"], row["seed"]] = row

    def pairs(
        self, first: Key, second: Key, column: str = "score", factor: float = 100.0
    ) -> list[Pair]:
        """Differences, first minus second, of all sets that both were run on."""
        one, two = self.of.get(first, {}), self.of.get(second, {})
        found: dict[str, list[tuple[float, Row]]] = {}
        for key in one.keys() & two.keys():
            difference = factor * (float(one[key][column]) - float(two[key][column]))
            if np.isfinite(difference):
                found.setdefault(key[0], []).append((difference, one[key]))
        return [
            Pair(name, some[0][1]["task"], int(some[0][1]["n_test"]),
                 np.array([value for value, _ in some]))
            for name, some in sorted(found.items())
        ]  # fmt: skip

    def ratios(self, first: Key, column: str, second: Key, other: str) -> np.ndarray:
        """Of each set, the median over seeds of a column of one model by that of another."""
        one, two = self.of.get(first, {}), self.of.get(second, {})
        found: dict[str, list[float]] = {}
        for key in one.keys() & two.keys():
            ratio = float(one[key][column]) / float(two[key][other])
            if np.isfinite(ratio):  # not all fits were timed
                found.setdefault(key[0], []).append(ratio)
        return np.array([np.median(each) for each in found.values()])


def means_of(pairs: list[Pair], task: str) -> np.ndarray:
    """Mean differences of the sets of a task."""
    return np.array([pair.mean for pair in pairs if pair.task == task])


def mean_figure(values: np.ndarray, unit: str = "points") -> str:
    """Mean over sets with its standard error, and median, in words."""
    if not len(values):
        return "no rows"
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return (
        f"{values.mean():+.2f} ± {error:.2f} {unit} (median {np.median(values):+.2f}, "
        f"{len(values)} sets)"
    )


def _mean(text: str, values: np.ndarray, least: float, unit: str = "points") -> Goal:
    met = bool(values.mean() >= least) if len(values) else None
    return Goal(text, mean_figure(values, unit), met)


def _every(text: str, wrong: list[str], n: int) -> Goal:
    """Met where no set is wrong."""
    if not n:
        return Goal(text, "no rows", None)
    return Goal(text, f"{len(wrong)} of {n}: {', '.join(wrong)}" if wrong else f"none of {n}",
                not wrong)  # fmt: skip


def _median(text: str, values: np.ndarray, least: float, what: str) -> Goal:
    if not len(values):
        return Goal(text, "no rows", None)
    return Goal(text, f"median {np.median(values):.1f} {what}, {len(values)} sets",
                bool(np.median(values) >= least))  # fmt: skip


def goals_of(rows: Iterable[Row]) -> Iterator[Goal]:
    """All goals, from rows of the comparison."""
    table = Rows(rows)
    ours = OURS, BUDGET
    yield from _beside_trees(table, ours)
    for name in ("lightgbm", "catboost"):
        pairs = table.pairs(ours, (name, 0.0))
        for task in TASKS:
            yield _mean(f"{task}: mean no worse than {name}'s", means_of(pairs, task), 0.0)
    pairs = table.pairs(("ours, catboost", BUDGET), ("catboost", 0.0))
    for task in TASKS:
        text = f"{task}: with CatBoost as teacher within .2 of it"
        yield _mean(text, means_of(pairs, task), -0.2)
    yield from _beside_networks(table, ours)
    for budget, most in ((0.75, 0.2), (0.9, 0.7)):
        pairs = table.pairs((OURS, budget), (OURS, 0.0))
        values = np.array([pair.mean for pair in pairs])
        yield _mean(f"removing {budget:.0%} costs at most {most} points", values, -most)
    for column, text in (("log_loss", "log-loss"), ("calibration", "calibration error")):
        pairs = table.pairs(ours, (TREES, 0.0), column, factor=-1.0)
        values = np.array([pair.mean for pair in pairs])
        yield _mean(f"{text} no worse than the trees'", values, 0.0, "(lower is better, shown > 0)")
    yield from _in_use(table, ours)


def _beside_trees(table: Rows, ours: Key) -> Iterator[Goal]:
    pairs, before = table.pairs(ours, (TREES, 0.0)), table.pairs(("before", BUDGET), (TREES, 0.0))
    for task, least, most in (("classification", 0.5, 1.0), ("regression", 1.5, 2.0)):
        some = [pair for pair in pairs if pair.task == task]
        text = f"{task}: mean at least {least} points above HistGradientBoosting"
        yield _mean(text, means_of(pairs, task), least)
        if task == "regression":
            others = [pair for pair in some if pair.name != "kin8nm"]
            yield _mean(f"{text}, without kin8nm", means_of(others, task), least)
        medians = means_of(pairs, task)
        met = bool(np.median(medians) >= 0) if len(medians) else None
        figure = f"{np.median(medians):+.2f} points" if len(medians) else "no rows"
        yield Goal(f"{task}: median at least level with it", figure, met)
        large = [pair for pair in some if pair.n_test >= LARGE]
        lost = [f"{p.name} {p.mean:+.1f}" for p in large if p.mean + 2 * p.error < -most]
        yield _every(f"{task}: large sets on which more than {most:g} is lost", lost, len(large))
    gaps = {pair.name: pair.mean for pair in before}
    behind = [pair for pair in pairs if pair.mean < 0 and gaps.get(pair.name, 0.0) < 0]
    closed = {pair.name: 1 - pair.mean / gaps[pair.name] for pair in behind}
    wrong = [f"{name} {share:.0%}" for name, share in closed.items() if share < 0.9]
    text = "sets on which less than 90 % of the gap to the trees is closed"
    yield _every(text, wrong, len(before))


def _beside_networks(table: Rows, ours: Key) -> Iterator[Goal]:
    pairs = table.pairs(ours, ("realmlp", 0.0))
    for task in TASKS:
        yield _mean(f"{task}: mean no worse than RealMLP-TD-S", means_of(pairs, task), 0.0)
    ratio = table.ratios(("realmlp", 0.0), "seconds", ours, "seconds")
    yield _median("at most a third of its seconds", ratio, 3.0, "times as fast")
    pairs = table.pairs(ours, ("before", BUDGET))
    better = [pair.name for pair in pairs if pair.mean > pair.error]
    figure = f"{len(better)} of {len(pairs)}" if pairs else "no rows"
    met = bool(len(better) >= 20 / 36 * len(pairs)) if pairs else None
    yield Goal("better than the former default on 20 of 36 sets", figure, met)
    large = [pair for pair in pairs if pair.n_test >= LARGE]
    worse = [f"{p.name} {p.mean:+.1f}" for p in large if p.mean < -p.error]
    yield _every("large sets on which it is worse than that", worse, len(large))


def _in_use(table: Rows, ours: Key) -> Iterator[Goal]:
    trees = TREES, 0.0
    bytes_ = table.ratios(trees, "bytes", ours, "bytes_weights")
    yield _median("weights at most a twentieth of the trees' pickle", bytes_, 20, "times smaller")
    for column, least, text in (
        ("us_ready", 5, "the network on ready features at least 5 times as fast"),
        ("us_batch", 1, "the pipeline in Python no slower"),
        ("us_onnx", 3, "the network as ONNX at least 3 times as fast"),
    ):
        ratio = table.ratios(trees, "us_batch", ours, column)
        yield _median(f"{text}, batches of 10,000", ratio, least, "times as fast")
